"""Decisions made again: from their records, along the source topics, and under another policy or model."""
