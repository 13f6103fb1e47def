"""What is decided: arrays in, arrays out. No I/O, no clock, no environment, no logging."""
