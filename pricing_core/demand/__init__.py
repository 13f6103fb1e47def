"""How demand depends on the price: forms of the curve, and their estimation."""
