"""Candidates become what is live by themselves, if the gate lets them pass; what earns less is rolled back."""
