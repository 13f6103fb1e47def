"""Random states, policies and model outputs through the real decision, and an independent look at every moved price.

The question is not whether the decisions are good, but whether any price leaves what its merchant allows.
"""
