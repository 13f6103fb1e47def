"""Decisions joined with what followed them: `repricer outcomes` writes the topic ``transitions``."""
