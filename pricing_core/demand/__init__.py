"""What is believed about demand: curves, the posterior of an offer, priors of new ones."""
