"""Markets on which a pricing policy that decides online, from events alone, is scored against a known optimum.

Each kind of market is a frozen dataclass after `interface.Market`; it draws n markets, shows what a merchant could
know (`interface.View`), lets periods pass, and says what who knows the demand would earn. `pricing_core.evaluation.bar`
plays them; `rows` names the rows of the bar. A policy is never told the form of a demand curve, its level, its
elasticity, or which kind it is in.

==================  ==========================================================================================
`finite`            a stock of 5-40 and a deadline; cold, or with a log of 120 periods at random prices
`ferreira`          the four prices of Ferreira, Simchi-Levi & Wang (2018), 500 and 5,000 shoppers
`short`             8-30 periods, stocks of 3-40, any pressure, cost of up to 40 % of the list price
`drifting`          no limit of stock; demand jumps once, or walks
`logged`            10,000 logged periods of a cost-plus rule with 10 % random prices, then 100 to do better
`reference`         shoppers remember past prices, and dislike losses more than they like gains
`substitutes`       families of five offers that take shoppers from one another; shoppers are counted
`rivals`            one to three rivals that stay, match, undercut, or raise now and then
`endogenous`        a log in which the price followed hidden demand shocks, and cost
`categories`        cold starts of 50 decisions; something is known of the category
==================  ==========================================================================================

Two things are shared by all. Luck: counts are monotone quantiles of uniforms that depend on the run's key, the period
and the offer only, so that policies can be compared pair by pair. And ranges: each kind has two sets, ``TUNING`` to
develop policies on and ``TEST`` to report, which overlap in part only.

Profit is realised where the stock is finite, and there `evaluation.bar.play_without_luck` takes the luck of sales
out of the score; elsewhere it is the exact expectation at each price.
"""
