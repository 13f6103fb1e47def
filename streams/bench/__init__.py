"""Benchmarks that a user can run: figures as ratios, measured alternately in one run on one broker."""
