"""`repricer learner`: learns from ``transitions`` and writes candidate models."""
