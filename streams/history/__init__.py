"""What a history of orders can and cannot teach before the first live decision: `repricer learn-from-history`."""
