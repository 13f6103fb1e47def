"""What to do with a known demand: exact programmes and their bounds."""
