"""The project's own files agree with one another."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME, DEVELOPMENT = "requirements.lock", "requirements-dev.lock"


def locked(name):
    """Versions by package; a package may have one for each of several platforms."""
    versions = {}
    for package, version in re.findall(r"^([\w.\-\[\]]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE):
        versions.setdefault(canonicalize_name(package.partition("[")[0]), set()).add(version)
    return versions


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        (RUNTIME, PROJECT["project"]["dependencies"]),
        (DEVELOPMENT, PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]),
    ],
)
def test_every_dependency_is_locked_to_a_version_that_it_allows(lock, wanted):
    versions = locked(lock)

    for text in wanted:
        requirement = Requirement(text)
        found = versions.get(canonicalize_name(requirement.name), set())
        assert found, f"{text} is not in {lock}: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in found), f"{lock} breaks {text}"


def test_tests_run_on_the_versions_that_ship():
    development = locked(DEVELOPMENT)

    assert all(development.get(package) == versions for package, versions in locked(RUNTIME).items())


@pytest.mark.parametrize("name", [RUNTIME, DEVELOPMENT, "tests/requirements-data.txt"])
def test_locks_hold_hashes_and_no_addresses(name):
    text = (ROOT / name).read_text()
    packages = re.split(r"^(?=[\w.\-]+==)", text, flags=re.MULTILINE)[1:]

    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text


def test_no_file_of_the_program_is_longer_than_300_lines():
    files = [path for package in ("schemas", "pricing_core", "streams") for path in (ROOT / package).rglob("*.py")]

    assert {path.name: n for path in files if (n := len(path.read_text().splitlines())) > 300} == {}
