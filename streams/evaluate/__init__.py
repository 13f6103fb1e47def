"""`repricer evaluate`: play the bar, and show what the system earns: on a terminal, as JSON, or as a page."""
