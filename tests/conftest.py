"""For every test: properties have no deadline, and settings come from the test, not from the shell around it."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# The first call of a compiled function compiles it, and the machine may be busy: time is no property here.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith("REPRICER_")]:
        monkeypatch.delenv(name)
