"""For every test: settings come from the test, never from the shell it was started in."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith("REPRICER_")]:
        monkeypatch.delenv(name)
