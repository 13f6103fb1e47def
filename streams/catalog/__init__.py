"""Reference catalog: a subscriber that shows prices. Written to be copied into a merchant's own catalog service.

`rules` says whether a change may be shown, `ledger` applies it once and in order in one SQLite transaction with
the positions read, `service` is the Kafka loop around it.
"""
