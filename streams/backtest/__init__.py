"""What a model would have done on what was logged, for a person: `repricer backtest`."""
