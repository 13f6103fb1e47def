"""Experiments with prices: who is in which arm, what a difference is worth, and how small a one can be seen."""
