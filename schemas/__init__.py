"""What travels: events, policies, decisions, dead letters, and the topics that carry them.

This package imports nothing of ours. Everything in it is a frozen value.
"""
