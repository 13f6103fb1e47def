"""The registry of models on ``q-models``: published, judged, promoted, and followed by the workers."""
