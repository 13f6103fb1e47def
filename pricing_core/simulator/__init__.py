"""Seeded markets that react to prices: for training, for scoring, and for the reference market process."""
