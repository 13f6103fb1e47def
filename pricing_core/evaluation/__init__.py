"""What a model is worth: baselines and the share of the optimum that each policy earns. Never imported to serve."""
