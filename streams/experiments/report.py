"""What an experiment has shown so far, and what one that is planned would be able to show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console

from pricing_core.experiments import effect
from pricing_core.experiments.assignment import Experiment
from pricing_core.experiments.effect import Effect
from schemas.columns import Int64
from schemas.currencies import CURRENCIES
from schemas.timestamps import format_ms
from streams.errors import InputRefused
from streams.experiments.earnings import Earnings, earnings
from streams.replay.decision_log import DecisionLog

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Report:
    """An experiment up to a moment."""

    experiment: Experiment
    until: int
    """Event time, ms."""
    effect: Effect
    """Per offer and day, or per block of the shop; minor units."""
    per: str
    currency: str
    offers: int
    controls: int
    """Offers in the control arm; of a switchback, blocks."""
    unevenness: float | None
    """How likely arms as uneven as these are, see `effect.arms_are_uneven`; None for a switchback."""
    left_out: int
    """Audit records that could not be read."""

    @property
    def is_suspicious(self) -> bool:
        """Whether something other than chance put offers into arms."""
        return self.unevenness is not None and self.unevenness < effect.SUSPICIOUS

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "experiment": asdict(self.experiment),
            "until": format_ms(self.until),
            "effect": {**self.effect._asdict(), "share": self.effect.share, "per": self.per, "currency": self.currency},
            "offers": self.offers,
            "controls": self.controls,
            "sample_ratio_p_value": self.unevenness,
            "suspicious": self.is_suspicious,
            "left_out": self.left_out,
        }


def report(log: DecisionLog, experiment: Experiment, now: int) -> Report:
    """Estimate the effect of repricing from the decisions up to ``now`` (event time, ms).

    Raises:
        InputRefused: The experiment has not begun, or has too little to show yet.
    """
    until = min(now, experiment.ends_at)
    if until <= experiment.starts_at:
        raise InputRefused(f"experiment {experiment.name} begins at {format_ms(experiment.starts_at)}")
    try:
        return _of_offers(log, experiment, until) if experiment.kind == "offers" else _of_blocks(log, experiment, until)
    except ValueError as error:
        raise InputRefused(f"experiment {experiment.name} shows nothing yet: {error}") from error


def _of_offers(log: DecisionLog, experiment: Experiment, until: int) -> Report:
    start = experiment.starts_at
    found = _earned(log, np.array([2 * start - until, start, until], np.int64))
    days = (until - start) / DAY_MS
    before, outcome = found.profit.T / days
    controls = experiment.controls(found.keys, np.full(len(found.keys), start, np.int64))
    return Report(
        experiment=experiment,
        until=until,
        effect=effect.of_offers(outcome, before, ~controls),
        per="offer and day",
        currency=found.currency,
        offers=len(found.keys),
        controls=int(controls.sum()),
        unevenness=effect.arms_are_uneven(int(controls.sum()), len(controls), experiment.control_share),
        left_out=found.left_out,
    )


def _of_blocks(log: DecisionLog, experiment: Experiment, until: int) -> Report:
    blocks = np.arange(2 * ((until - experiment.starts_at) // (2 * experiment.block_ms)))
    if not len(blocks):
        raise ValueError("no pair of blocks is over")
    found = _earned(log, experiment.starts_at + experiment.block_ms * np.arange(len(blocks) + 1))
    controls = experiment.control_blocks(blocks)
    earned = found.profit.sum(axis=0)
    return Report(
        experiment=experiment,
        until=until,
        effect=effect.of_pairs(earned[~controls], earned[controls]),
        per="block of the shop",
        currency=found.currency,
        offers=len(found.keys),
        controls=int(controls.sum()),
        unevenness=None,
        left_out=found.left_out,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What an experiment would be able to show, judged by the time before it."""

    kind: str
    smallest: float
    """Effect that it finds in four of five cases, minor units."""
    mean: float
    """What is earned now, minor units."""
    per: str
    currency: str
    offers: int

    @property
    def share(self) -> float:
        """The smallest effect as a share of what is earned now; nan if that is nothing."""
        return self.smallest / self.mean if self.mean else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**asdict(self), "share": self.share}


def plan(log: DecisionLog, experiment: Experiment, now: int) -> Plan:
    """Say how small an effect an experiment like this one would find, were the shop as it was until ``now``.

    Raises:
        InputRefused: The decisions of the time before say too little.
    """
    length = experiment.ends_at - experiment.starts_at
    try:
        if experiment.kind == "offers":
            found = _earned(log, np.array([now - 2 * length, now - length, now], np.int64))
            before, outcome = found.profit.T * (DAY_MS / length)
            smallest = effect.detectable_by_offers(outcome, before, experiment.control_share)
            return Plan("offers", smallest, float(outcome.mean()), "offer and day", found.currency, len(found.keys))
        blocks = 2 * experiment.pairs
        found = _earned(log, now - experiment.block_ms * np.arange(blocks, -1, -1))
        earned = found.profit.sum(axis=0)
        smallest = effect.detectable_by_pairs(earned, experiment.pairs)
        per = "block of the shop"
        return Plan("switchback", smallest, float(earned.mean()), per, found.currency, len(found.keys))
    except ValueError as error:
        raise InputRefused(f"too little is known to plan: {error}") from error


def _minor_units(currency: str) -> int:
    """Of one unit."""
    return int(10 ** CURRENCIES[currency].exponent)


def _earned(log: DecisionLog, boundaries: Int64) -> Earnings:
    return earnings(log.between(int(boundaries[0]), int(boundaries[-1])), boundaries)


def print_report(found: Report, console: Console) -> None:
    """For a terminal."""
    seen, unit, minor = found.effect, f"{found.currency} per {found.per}", _minor_units(found.currency)
    console.print(
        f"[bold]{found.experiment.name}[/] ({found.experiment.kind}), until {format_ms(found.until)}: "
        f"{found.offers:,} offers, {seen.units:,} {'offers' if found.unevenness is not None else 'pairs'} compared"
    )
    console.print(
        f"repricing earned {seen.difference / minor:+,.2f} {unit} "
        f"({seen.lower / minor:+,.2f} to {seen.upper / minor:+,.2f}; p = {seen.p_value:.3f}), "
        f"{seen.share:+.1%} of the control's {seen.control_mean / minor:,.2f}"
    )
    verdict = "no effect is shown" if seen.lower <= 0.0 <= seen.upper else "an effect is shown"
    console.print(f"[bold]{verdict}[/] at 95 % confidence")
    if found.is_suspicious:
        console.print(
            f"[red]Do not trust it:[/] {found.controls:,} of {found.offers:,} offers in the control is no chance "
            f"(p = {found.unevenness:.1e}). Were offers removed, or their arms heard of too late?"
        )
    if found.left_out:
        console.print(f"[yellow]{found.left_out:,} records[/] of another version could not be read")


def print_plan(found: Plan, console: Console) -> None:
    """For a terminal."""
    minor = _minor_units(found.currency)
    console.print(
        f"{found.offers:,} offers earn {found.mean / minor:,.2f} {found.currency} per {found.per}. Smallest effect "
        f"that is found in 4 of 5 such experiments: {found.smallest / minor:,.2f} ({found.share:.1%})"
    )
