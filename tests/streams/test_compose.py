"""docker-compose.yml without an engine: its schema, and what must hold for every container."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml

from streams.cli import app
from streams.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_it_is_valid_by_the_schema_of_compose_files():
    # the package's file is read, its code is not imported: it needs a newer click than Faust allows
    files = importlib.metadata.files("check-jsonschema")
    (schema,) = [file for file in files if file.name == "compose-spec.json"]

    jsonschema.Draft202012Validator(json.loads(schema.locate().read_text())).validate(COMPOSE)


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_is_root_writes_its_image_or_gains_rights(name):
    service = SERVICES[name]

    assert int(service["user"].split(":")[0]) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_ports_are_on_loopback_only(name):
    tag = SERVICES[name]["image"].rpartition(":")[2]

    assert re.fullmatch(r"\d+\.\d+\.\d+", tag)
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_the_image_is_built_on_a_pinned_tag_and_runs_as_nobody_special():
    lines = (ROOT / "Dockerfile").read_text().splitlines()

    assert {line.split()[1] for line in lines if line.startswith("FROM")} == {"python:3.12.11-slim-bookworm"}
    assert "USER 10001:10001" in lines
    assert any("--require-hashes" in line for line in lines)


@pytest.mark.parametrize("name", OURS)
def test_commands_and_variables_are_those_of_the_program(name):
    verbs = typer.main.get_command(app).commands
    variables = {PREFIX + field.upper() for field in Settings.model_fields}

    assert OURS[name]["command"][0] in verbs
    assert set(OURS[name]["environment"]) <= variables


def test_volumes_and_dependencies_exist():
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    needed = {other for service in SERVICES.values() for other in service.get("depends_on", {})}

    assert used == set(COMPOSE["volumes"])
    assert needed <= set(SERVICES)
