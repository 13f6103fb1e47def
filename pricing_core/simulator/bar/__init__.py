"""Markets of the bar."""
