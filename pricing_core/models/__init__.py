"""The Q-function that ships: weights, manifest and model card."""
