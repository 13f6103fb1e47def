"""`repricer evaluate`: play the bar, and show on a terminal, as JSON or as a page what the system earns and what others do."""
