"""Models for a person's eyes: a list, one of them, and two beside one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.models.difference import Difference
from streams.models.registered import Registered, label


def rows(registered: Mapping[str, Registered]) -> list[dict[str, Any]]:
    """One for each version, for JSON; the oldest of a name first."""
    return [row(each, version) for _, each in sorted(registered.items()) for version in sorted(each.versions)]


def row(registered: Registered, version: int) -> dict[str, Any]:
    """All that is known of a version, for JSON."""
    published = registered.get(version)
    said = registered.statuses.get(version)
    live = registered.live if registered.status_of(version) == "live" else None
    return {
        **msgspec.to_builtins(published),
        "label": label(published),
        "status": registered.status_of(version),
        "status_set": None if said is None else msgspec.to_builtins(said),
        "live_set": None if live is None else msgspec.to_builtins(live),
    }


def print_models(found: Iterable[dict[str, Any]], console: Console) -> None:
    """The list for a terminal."""
    table = Table("model", "status", "since", "by", "why", "parent", "weights", title="Models")
    for one in found:
        said = one["live_set"] or one["status_set"] or one
        name, style = f"{one['name']}/{one['version']}", "bold green" if one["status"] == "live" else ""
        parent = one["manifest"].get("training", {}).get("parent") or ""
        cells = (one["status"], said["at"], said["by"], said["why"], parent, one["sha256"][:12])
        table.add_row(*(Text(cell, style) for cell in (name, *cells)))
    if table.row_count:
        console.print(table)
    else:
        console.print("no model was published: workers price with that of their own settings")


def print_model(one: Mapping[str, Any], console: Console) -> None:
    """One of them: where it comes from, what it presupposes, how it was scored, what became of it."""
    manifest = one["manifest"]
    training, made_for = manifest.get("training", {}), manifest.get("format", {})
    console.print(Text(f"{one['label']}  {one['status']}", "bold"))
    facts: dict[str, str] = {
        "published": f"{one['at']} by {one['by']}: {one['why']}",
        "weights": f"{one['size']:,} bytes, SHA-256 {one['sha256']}, {one['uri'] or 'in parts'}",
        "features": ", ".join(feature["name"] for feature in made_for.get("features", [])),
        "exploration": f"{manifest.get('epsilon', 0):.1%} of the decisions",
        "parent": training.get("parent") or "-",
        "trained on": ", ".join(f"{k} [{a}, {b})" for k, (a, b) in training.get("trained_on", {}).items()) or "-",
    }
    for said in (one["live_set"], one["status_set"]):
        if said is not None:
            facts["live" if said is one["live_set"] else said["status"]] = (
                f"{said['at']} by {said['by']}: {said['why']}"
            )
            facts |= {f"reason {i}": reason for i, reason in enumerate(said.get("reasons", []), 1)}
    table = Table.grid(padding=(0, 2))
    for name, fact in facts.items():
        table.add_row(name, Text(fact))
    console.print(table)
    _print_scores({"value": training.get("score", {})}, console)


def print_difference(found: Difference, console: Console) -> None:
    """Two of them."""
    console.print(
        f"{found.differing_decisions} of {found.golden_decisions} golden decisions differ, "
        f"{found.higher} prices are higher in the second, {found.lower} lower"
    )
    table = Table("weights", "distance", "of their length")
    for layer, (distance, length) in found.weights.items():
        table.add_row(layer, f"{distance:.4g}", f"{distance / length:.1%}" if length else "-")
    console.print(table)
    _print_scores(found.scores, console)


def _print_scores(scores: Mapping[str, Mapping[str, Mapping[str, float]]], console: Console) -> None:
    """Scores of models, by label, policy and measure."""
    table = Table("policy", "measure", *scores, title="Scores on held-out markets")
    names = sorted(
        {(policy, measure) for each in scores.values() for policy, found in each.items() for measure in found}
    )
    for policy, measure in names:
        values = [each.get(policy, {}).get(measure) for each in scores.values()]
        table.add_row(policy, measure, *("-" if value is None else f"{value:.4g}" for value in values))
    if names:
        console.print(table)
