"""One seed on demand: ``pytest tests/simulation -k replay --seed 517``."""

from __future__ import annotations

import pytest


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=0, help="the seed of the simulation that `-k replay` runs")


@pytest.fixture
def seed(request):
    return request.config.getoption("--seed", default=0)
