"""`repricer demo`: everything on one machine, watched live.

`processes` starts and stops the children, `watch` collects what they say, `reasons` puts decisions into words,
`view` draws, `run` is the course of the demo.
"""
