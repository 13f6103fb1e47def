"""The breaker: what stops a shard, or all of them, when too much moves at once (`pricing_core.breaker`)."""
