"""The Faust agents: thin. They carry what arrives to the owner of the shards, and stop the worker on any error.

Faust acknowledges and loses a message whose agent raises. Ours never raise: `streams.carefully` ends the process.
"""
