"""How the Q-function is made: simulated shops, temporal-difference targets, training. Never imported to serve."""
