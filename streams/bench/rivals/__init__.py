"""What a user would pick instead: one small program each, run by its own Python (``make rivals``) and not imported.

Each reads the same topics as the worker and keeps, per offer, counts and sums by kind of event: less than the
worker's decoded columns, decayed sums and last values, and no decisions. Settings are as shipped.
"""
