"""Experiments on the topics: who was held out, and what each arm earned."""
