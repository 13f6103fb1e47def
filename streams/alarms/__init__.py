"""Alarms: what a person should look at, said once for many offers, and how it is read back."""
