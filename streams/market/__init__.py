"""The simulated market as a Kafka neighbour: it publishes what shoppers and rivals do, and reads applied prices.

`policies` says what its merchant allows, `events` what a period looks like from outside, `delivery` makes some of
it late or doubled, `truth` keeps what was really earned beside what other rules would have earned, `process` is
the loop.
"""
