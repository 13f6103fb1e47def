"""What a sweep decides on: offers and policies of all kinds, most of them sensible and many of them not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pricing_core.price_window import BUCKET_MS, LONGER
from pricing_core.rules import CODE
from pricing_core.run_modes import MODES
from pricing_core.state import MONTH, NEVER, RIVALS, WINDOW, State
from schemas.binary import BinaryArray
from schemas.columns import APPROVE, NONE, ON_APPROVAL, REJECT, ROLL_BACK, Int8, Int64, PolicyColumns
from schemas.policies import MAX_NAMED

NOW = 1_800_000_000_000
HOUR, DAY = 3_600_000, 86_400_000
EUR, USD = 978, 840
UNKNOWN_MODE = 7
LARGEST = 10**13


class Siblings(NamedTuple):
    """What is known of the other members of each family, [n] each; looked at where the policy has one."""

    lowest: Int64
    highest: Int64
    members: Int64


@dataclass(frozen=True, slots=True)
class Drawn:
    """n offers at one moment."""

    policies: PolicyColumns
    state: State
    now: Int64
    mode: Int8
    """Run modes."""
    siblings: Siblings


def draw(rng: Generator, n: int) -> Drawn:
    """Draw n offers."""
    anchor = np.exp(rng.uniform(np.log(2), np.log(10**9), n)).astype(np.int64)
    anchor = np.where(rng.random(n) < 0.01, LARGEST // 4, anchor)
    policies = _policies(rng, anchor)
    state = _state(rng, anchor, policies)
    siblings = _siblings(rng, np.where(state.price > 0, state.price, anchor))
    return Drawn(policies, state, np.full(n, NOW), _run_modes(rng, n), siblings)


def _run_modes(rng: Generator, n: int) -> Int8:
    """A few are halted, a few may only go back to the list price, and a few are held out at it."""
    return rng.choice(np.arange(len(MODES), dtype=np.int8), n, p=(0.88, 0.05, 0.05, 0.02))


def _one_of(rng: Generator, n: int, *values: int) -> Int64:
    return rng.choice(np.array(values, np.int64), n)


def _times(rng: Generator, anchor: Int64, least: float, most: float, *width: int) -> Int64:
    """Anchor times a number between two, at least 1."""
    shape = (len(anchor), *width)
    scale = anchor.reshape(-1, *(1 for _ in width))
    return np.clip((scale * rng.uniform(least, most, shape)).astype(np.int64), 1, LARGEST)


def _sometimes(rng: Generator, share: float, values: Int64) -> Int64:
    return np.where(rng.random(len(values)) < share, values, NONE)


def _policies(rng: Generator, anchor: Int64) -> PolicyColumns:
    n = len(anchor)
    floor = _times(rng, anchor, 0.2, 1.05)
    digits = _one_of(rng, n, 0, 0, 1, 2, 3)
    return PolicyColumns(
        keys=BinaryArray.of(b"web:%d" % i for i in range(n)),
        index=np.arange(n),
        time=np.full(n, NOW),
        removed=rng.random(n) < 0.02,
        version=np.full(n, 1),
        currency=np.full(n, EUR),
        list_price=anchor,
        floor=floor,
        ceiling=np.maximum(_times(rng, anchor, 0.95, 3.0), floor),
        mode=_one_of(rng, n, *[0] * 9, 1, 2, 3, 3, 3, UNKNOWN_MODE).astype(np.int8),
        goal=_one_of(rng, n, 0, 1).astype(np.int8),
        map_price=_sometimes(rng, 0.3, _times(rng, anchor, 0.5, 1.1)),
        emergency_price=_sometimes(rng, 0.2, _times(rng, anchor, 0.5, 1.2)),
        max_emergency_rise_bp=_one_of(rng, n, 0, 1000, 5000),
        max_stock_age_ms=_sometimes(rng, 0.2, _one_of(rng, n, HOUR, DAY)),
        max_competitor_age_ms=_sometimes(rng, 0.2, _one_of(rng, n, HOUR, DAY, 20 * DAY)),
        ending=np.where(digits > 0, rng.integers(0, 10**digits), NONE),
        ending_modulus=10**digits,
        **_money(rng, floor),
        **_limits(rng, n),
        **_promotion(rng, anchor),
        **_competitors(rng, n),
        category=np.zeros(n, np.int64),
        expected_elasticity_bp=_one_of(rng, n, NONE, 5_000, 17_500, 80_000),
        expected_monthly_units=_one_of(rng, n, NONE, 1, 20, 100_000),
        season_ends_at=_one_of(rng, n, NONE, NONE, NOW - DAY, NOW + 1, NOW + 30 * DAY),
        salvage_value=anchor // rng.integers(1, 1000, n),
        **_family(rng, n),
    )


def _money(rng: Generator, floor: Int64) -> dict[str, Any]:
    n = len(floor)
    return {
        "unit_cost": _times(rng, floor, 0.0, 1.1),
        "tax_rate_bp": _one_of(rng, n, 0, 700, 1900, 2500, 10_000),
        "prices_include_tax": rng.random(n) < 0.8,
        "commission_bp": _one_of(rng, n, 0, 0, 800, 1500, 5000),
        "fixed_fee": _one_of(rng, n, 0, 0, 30),
        "min_margin_bp": _sometimes(rng, 0.4, rng.integers(0, 3000, n)),
    }


def _limits(rng: Generator, n: int) -> dict[str, Any]:
    return {
        "max_step_bp": _one_of(rng, n, 0, 100, 1000, 1000, 3000, 10_000),
        "max_daily_change_bp": _one_of(rng, n, 0, 500, 3000, 3000, 10_000),
        "min_change_bp": _one_of(rng, n, 0, 50, 300),
        "cooldown_ms": _one_of(rng, n, 0, HOUR, DAY),
        "reductions": _one_of(rng, n, 0, 0, 1, 2).astype(np.int8),
        "max_rung": _one_of(rng, n, 0, 1, 2, 2).astype(np.int8),
    }


def _promotion(rng: Generator, anchor: Int64) -> dict[str, Any]:
    n = len(anchor)
    planned = rng.random(n) < 0.2
    start = NOW + _one_of(rng, n, -DAY, -1, 0, 1, HOUR)
    end = np.maximum(start + 1, NOW + _one_of(rng, n, 0, 1, DAY))
    price = _times(rng, anchor, 0.2, 1.2)
    names = ("promotion_price", "promotion_from", "promotion_to")
    return {name: np.where(planned, column, NONE) for name, column in zip(names, (price, start, end), strict=True)}


def _competitors(rng: Generator, n: int) -> dict[str, Any]:
    named = rng.integers(0, 4, (n, MAX_NAMED))
    every = rng.random(n) < 0.7
    return {
        "competitor_rule": _one_of(rng, n, 0, 0, 1, 2, 3).astype(np.int8),
        "competitor_bp": _one_of(rng, n, 0, 100, 1000, 10_000),
        "heeds_all": every,
        "competitors": np.where(every[:, None], 0, named),
    }


def _family(rng: Generator, n: int) -> dict[str, Any]:
    members = rng.random(n) < 0.3
    spread = _one_of(rng, n, 0, 200, 500, 2000, 10_000)
    return {"family": members.astype(np.int64), "max_family_spread_bp": np.where(members, spread, NONE)}


def _siblings(rng: Generator, current: Int64) -> Siblings:
    """Few are not known, some have none, most of the others are near to one another."""
    n = len(current)
    count = _one_of(rng, n, NONE, 0, 1, *[2] * 12)
    lowest, apart = _times(rng, current, 0.8, 1.2), _times(rng, current, 0.0, 0.1)
    none = count <= 0
    highest = np.where(count == 1, lowest, lowest + apart)
    return Siblings(np.where(none, NONE, lowest), np.where(none, NONE, highest), count)


def _state(rng: Generator, anchor: Int64, policies: PolicyColumns) -> State:
    n = len(anchor)
    state = State(n)
    state.clear(np.arange(n))
    inside = rng.integers(policies.floor, policies.ceiling + 1)
    kind = rng.random(n)
    state.price[:] = np.select([kind < 0.8, kind < 0.95], [inside, _times(rng, anchor, 0.02, 30.0)], 0)
    current = np.where(state.price > 0, state.price, anchor)
    state.currency[:] = np.where(rng.random(n) < 0.98, EUR, USD)
    state.pending[:] = rng.random(n) < 0.03
    state.on_hand[:] = _one_of(rng, n, -1, 0, 5, 5, 5, 5, 5)
    for column in (state.stock_at, state.last_change_at):
        column[:] = _one_of(rng, n, 0, NOW, NOW - HOUR, NOW - 2 * DAY)
    _put_windows(rng, state, current)
    _put_rivals(rng, state, current)
    promoted = rng.random(n) < 0.1
    state.decided_code[promoted], state.decided_price[promoted] = CODE["promotion"], current[promoted]
    state.regular_price[promoted] = _times(rng, anchor, 0.5, 1.5)[promoted]
    _put_commands(rng, state, policies, anchor, current)
    return state


def _put_commands(rng: Generator, state: State, policies: PolicyColumns, anchor: Int64, current: Int64) -> None:
    """Pauses, proposals that wait or were rejected, answers to them and to others, rollbacks far and near."""
    n = len(anchor)
    codes = [CODE[name] for name in ("demand", "demand", "competitors", "bounds_repair", "promotion", "promotion_over")]
    state.operator_paused[:] = rng.random(n) < 0.03
    state.proposed_sequence[:] = _one_of(rng, n, 0, 1, 2)
    state.proposed_price[:] = _times(rng, current, 0.9, 1.1)
    state.proposed_code[:] = rng.choice(np.array(codes), n)
    state.proposed_until[:] = NOW + _one_of(rng, n, -NOW, 0, HOUR, HOUR)
    state.command[:] = _one_of(rng, n, *[0] * 16, APPROVE, APPROVE, APPROVE, REJECT, ROLL_BACK, ROLL_BACK)
    answered = (state.command == APPROVE) | (state.command == REJECT)
    state.command[answered & (policies.mode != ON_APPROVAL) & (rng.random(n) < 0.9)] = 0
    wanted = np.where(rng.random(n) < 0.5, _times(rng, current, 0.8, 1.2), _times(rng, anchor, 0.02, 30.0))
    state.command_value[:] = np.where(state.command == ROLL_BACK, wanted, np.maximum(state.proposed_sequence, 1))
    state.command_expires_at[:] = _one_of(rng, n, NOW, NOW + 1, NEVER, NEVER, NEVER)


def _put_windows(rng: Generator, state: State, current: Int64) -> None:
    n = len(current)
    state.bucket[:] = NOW // BUCKET_MS - _one_of(rng, n, 0, 0, 0, 1, 3, 6, 5 * LONGER, 20 * LONGER)
    lowest, highest = _times(rng, current, 0.75, 1.0, WINDOW), _times(rng, current, 1.0, 1.3, WINDOW)
    calm = rng.random((n, 1)) < 0.5
    state.lowest[:] = np.where(calm, current[:, None], lowest)
    state.highest[:] = np.where(calm, current[:, None], np.maximum(lowest, highest))
    state.month_lowest[:] = np.where(calm, current[:, None], _times(rng, current, 0.6, 1.4, MONTH))
    state.priced_since[:] = NOW - _one_of(rng, n, 0, 30 * DAY - 1, 30 * DAY, 90 * DAY)


def _put_rivals(rng: Generator, state: State, current: Int64) -> None:
    n = len(current)
    shape = (n, RIVALS)
    near, far = _times(rng, current, 0.7, 1.4, RIVALS), _times(rng, current, 0.0, 1000.0, RIVALS)
    ages: NDArray[np.int64] = rng.choice(np.array([0, HOUR, DAY, 13 * DAY, 14 * DAY, 20 * DAY, NOW]), shape)
    state.rival[:] = rng.integers(1, 5, shape)
    state.rival_price[:] = np.where(rng.random(shape) < 0.9, near, far)
    state.rival_seen_at[:] = NOW - ages
    state.rival_in_stock[:] = rng.random(shape) < 0.5
