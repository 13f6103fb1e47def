"""A second model that decides silently beside the first, from the first one's records."""
