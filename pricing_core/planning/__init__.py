"""Which price a belief about demand asks for."""
