"""What the model says about the candidates: one call of one compiled function for a batch of offers.

The function takes what the open periods have brought into the tallies, plans under the belief that follows, and asks
the network. Offers with a stock to sell by a day are asked apart: to plan for them costs many times the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from pricing_core import periods, rivals
from pricing_core.arena import Arena, bucket
from pricing_core.choose import choose
from pricing_core.demand import belief
from pricing_core.demand.belief import Period
from pricing_core.demand.packing import pack, unpack
from pricing_core.features import FEATURES, MOVES_BP, FeatureInputs, Seen, featurize
from pricing_core.ladder import Ladder
from pricing_core.model_file import Model
from pricing_core.offers import Offers
from pricing_core.outlook import prior_of
from pricing_core.q_function import Params, q_values
from pricing_core.rolling_sums import DAY_MS, RollingSums, decay
from schemas.columns import NONE, Int64

BUCKETS = (32, 128, 512)
"""Sizes to which batches are padded. Larger ones are cut: what more offers need in between falls out of the caches."""
SEASONAL_BUCKETS = (64,)
"""The same for offers whose season ends: of one size, for it takes long to compile."""

Float32 = NDArray[np.float32]

# Columns of the array in which all numbers of an offer travel to the device: what the features take as they are,
# what the period that ends has brought, and what is used before either.
_OF_FEATURES = (
    "log_price",
    "profit_slope",
    "profit_offset",
    "rival_log_gap",
    "rival_known",
    "rival_age_days",
    "on_hand",
    "days_since_change",
    "days_known",
    "counts_shoppers",
    "salvage_offset",
    "days_left",
)
_NUMBERS = (*_OF_FEATURES, *Period._fields, "is_fresh", "elapsed_days", "uniform")


@dataclass(frozen=True, slots=True)
class Valuation:
    """The model's opinion on n offers."""

    q: Float32
    """[n, A]."""
    chosen: Int64
    """[n] candidate; `choose.NO_CHOICE` where the value of a legal one is not finite."""
    propensity: Float32
    """[n]."""
    features: Float32
    """[n, F] as the network saw them."""
    batch: Int64
    """[n] rows of the compiled call, one of `BUCKETS`: the last bits of a value depend on it."""


class Memory(NamedTuple):
    """What is remembered of all offers on the device."""

    sums: RollingSums
    tallies: Arena
    """Float32 [capacity, `packing.WIDTH`]."""


class _Batch(NamedTuple):
    """What travels to the device for n offers: NumPy arrays here, JAX arrays there."""

    slots: Any
    """int [n]."""
    numbers: Any
    """float32 [n, len(_NUMBERS)]."""
    log_ratio: Any
    """float32 [n, A]."""
    legal: Any
    """bool [n, A]."""


@partial(jax.jit, static_argnames="seasonal", donate_argnames="tallies")
def _value(
    params: Params, epsilon: Array, sums: Array, tallies: Array, batch: _Batch, *, seasonal: bool
) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    """Look, value, choose: compiled once for each bucket. The tallies come back first."""
    rows, shown = _shown(sums, tallies, batch, seasonal=seasonal)
    tallies = tallies.at[batch.slots].set(rows, mode="drop", unique_indices=True)
    # Fused into the network, the features would compile twice as long.
    seen = jax.lax.optimization_barrier(shown)  # type: ignore[no-untyped-call]  # JAX gives no types
    q = q_values(params, *seen)
    chosen, propensity = choose(q, batch.legal, batch.numbers[:, _NUMBERS.index("uniform")], epsilon)
    return tallies, (q, chosen, propensity, seen.state)


def _shown(sums: Array, tallies: Array, batch: _Batch, *, seasonal: bool) -> tuple[Array, Seen]:
    """Gather, learn, decay, featurize: the tallies of the batch as they are then, and what the network is shown."""
    column = dict(zip(_NUMBERS, batch.numbers.T, strict=True))
    before = tallies.at[batch.slots].get(mode="fill", fill_value=0.0)
    # Most decisions come within a period: none of the batch may have anything to learn from.
    rows = jax.lax.cond((column["exposure"] > 0).any(), _learned, lambda kept, _: kept, before, column)
    decayed = decay(sums.at[batch.slots].get(mode="fill", fill_value=0.0), column["elapsed_days"])
    of_features = {name: column[name] for name in _OF_FEATURES}
    inputs = FeatureInputs(decayed, log_ratio=batch.log_ratio, legal=batch.legal, tally=unpack(rows), **of_features)
    return rows, featurize(inputs, seasonal=seasonal)


@partial(jax.jit, static_argnames="seasonal")
def _look(sums: Array, tallies: Array, batch: _Batch, *, seasonal: bool) -> Seen:
    return _shown(sums, tallies, batch, seasonal=seasonal)[1]


def _learned(rows: Array, column: dict[str, Array]) -> Array:
    """Take in what the periods that end have brought; rows whose period goes on stay as they are, to the last bit."""
    kept = unpack(jnp.where(column["is_fresh"][:, None] > 0, 0.0, rows))
    period = Period(**{name: column[name] for name in Period._fields})
    period = period._replace(censored=period.censored > 0)
    return pack(belief.observe(kept, prior_of(column["counts_shoppers"], column["rival_known"]), period))


COMPILED = (_value,)


def value(
    model: Model, memory: Memory, offers: Offers, ladder: Ladder, uniform: Float32, *, at_least: int = 0
) -> Valuation:
    """Ask the model about n distinct offers with their candidates, and let the tallies learn from what they sold.

    Args:
        model: With its weights on the device.
        memory: The tallies of the given offers change.
        offers: n.
        ladder: Their candidates.
        uniform: [n] in [0, 1): what chance says.
        at_least: Rows of a call are no fewer: as many as when it was asked before, to get the same bits.
    """
    whole, found = _batch(offers, ladder, uniform), _nothing_yet(len(offers))
    for rows, size, is_seasonal in _calls(whole, at_least):
        answer = _ask(model, memory, _Batch(*(column[rows] for column in whole)), size, seasonal=is_seasonal)
        found.q[rows], found.chosen[rows], found.propensity[rows], found.features[rows] = answer
        found.batch[rows] = size
    return found


def see(memory: Memory, offers: Offers, ladder: Ladder) -> tuple[Float32, ...]:
    """What the network would be shown of n offers and their candidates: the arguments of `q_values`, [n, ...] each.

    The tallies stay what they are.
    """
    whole = _batch(offers, ladder, np.zeros(len(offers), np.float32))
    order, parts = [], []
    for rows, size, is_seasonal in _calls(whole, 0):
        padded = _padded(memory, _Batch(*(column[rows] for column in whole)), size)
        shown = _look(memory.sums.device, memory.tallies.device, padded, seasonal=is_seasonal)
        order.append(rows)
        parts.append([np.asarray(column)[: len(rows)] for column in shown])
    back = np.argsort(np.concatenate(order))
    return tuple(np.concatenate(columns)[back] for columns in zip(*parts, strict=True))


def _batch(offers: Offers, ladder: Ladder, uniform: Float32) -> _Batch:
    log_ratio = np.log(np.maximum(ladder.prices, 1) / offers.current[:, None]).astype(np.float32)
    return _Batch(offers.slots, _numbers(offers, uniform), log_ratio, ladder.legal)


def _calls(whole: _Batch, at_least: int) -> Iterator[tuple[Int64, int, bool]]:
    """Split offers into calls: which of them, rows of the call, and whether their season ends."""
    seasonal = np.isfinite(whole.numbers[:, _NUMBERS.index("days_left")])
    learns = whole.numbers[:, _NUMBERS.index("exposure")] > 0
    for is_seasonal, sizes in ((False, BUCKETS), (True, SEASONAL_BUCKETS)):
        rows = np.flatnonzero(seasonal == is_seasonal)
        rows = rows[np.argsort(~learns[rows], kind="stable")]  # together: the batches without them are quicker
        for start in range(0, len(rows), sizes[-1]):
            part = rows[start : start + sizes[-1]]
            yield part, bucket(min(max(len(part), at_least), sizes[-1]), sizes), is_seasonal


def _nothing_yet(n: int) -> Valuation:
    q, features = np.empty((n, len(MOVES_BP)), np.float32), np.empty((n, len(FEATURES)), np.float32)
    return Valuation(q, np.empty(n, np.int64), np.empty(n, np.float32), features, np.empty(n, np.int64))


def warm_up(model: Model, memory: Memory) -> None:
    """Compile every bucket."""
    for is_seasonal, sizes in ((False, BUCKETS), (True, SEASONAL_BUCKETS)):
        for size in sizes:
            ratios = np.zeros((size, len(MOVES_BP)), np.float32)
            numbers = np.ones((size, len(_NUMBERS)), np.float32)
            batch = _Batch(memory.tallies.nowhere(size), numbers, ratios, ratios == 0)
            _ask(model, memory, batch, size, seasonal=is_seasonal)


def _ask(model: Model, memory: Memory, batch: _Batch, size: int, *, seasonal: bool) -> tuple[NDArray[Any], ...]:
    """Pad to a size, compute, cut back."""
    padded, n, arenas = _padded(memory, batch, size), len(batch.slots), (memory.sums.device, memory.tallies.device)
    memory.tallies.device, results = _value(model.params, np.float32(model.epsilon), *arenas, padded, seasonal=seasonal)
    return tuple(np.asarray(result)[:n] for result in results)


def _padded(memory: Memory, batch: _Batch, size: int) -> _Batch:
    """Fill a batch up to a size; what is filled up points behind the arena, each row at another place."""
    slots = memory.tallies.nowhere(size)
    slots[: len(batch.slots)] = batch.slots
    return _Batch(slots, *(_filled(column, size) for column in batch[1:]))


def _filled(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Fill up the first axis with the last row: numbers that make sense, or a loop on the device might not end soon."""
    return np.concatenate((values, np.repeat(values[-1:], size - len(values), axis=0)))


def _numbers(offers: Offers, uniform: Float32) -> Float32:
    """[n, len(_NUMBERS)], see `features.FeatureInputs`."""
    state, policy, current = offers.state, offers.policy, offers.current
    rival_log_gap, rival_known, rival_age_days = _rivals(offers)
    first_seen = np.minimum(state["first_seen"], offers.now)
    since = np.where(state["last_change_at"] > 0, state["last_change_at"], first_seen)
    reference = np.where(state["ref_price"] > 0, state["ref_price"], current)
    closed = periods.close(offers)
    columns = {
        **{name: getattr(closed, name) for name in (*Period._fields, "counts_shoppers", "is_fresh")},
        "log_price": np.log(current / reference),
        "profit_slope": policy["profit_slope"],
        "profit_offset": policy["profit_offset"] / current,
        "rival_log_gap": rival_log_gap,
        "rival_known": rival_known,
        "rival_age_days": rival_age_days,
        "on_hand": state["on_hand"],
        "days_since_change": np.maximum(offers.now - since, 0) / DAY_MS,
        "days_known": (offers.now - first_seen) / DAY_MS,
        "salvage_offset": policy["salvage_offset"] / current,
        "days_left": _days_left(offers),
        "elapsed_days": np.maximum(offers.now - state["landmark"], 0) / DAY_MS,
        "uniform": uniform,
    }
    return np.stack([columns[name] for name in _NUMBERS], axis=1).astype(np.float32)


def _days_left(offers: Offers) -> NDArray[np.float64]:
    """Until a season ends by which a known stock is to be sold, at least 0; inf if there is none, [n]."""
    ends_at = offers.policy["season_ends_at"]
    left = np.maximum(ends_at - offers.now, 0) / DAY_MS
    return np.where((ends_at != NONE) & (offers.state["on_hand"] >= 0), left, np.inf)


def _rivals(offers: Offers) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """ln(cheapest rival in stock / current), whether there is one, and the age of that observation in days, [n]."""
    price, known, age_ms, _ = rivals.cheapest(offers)
    gap = np.log(np.where(known, price, offers.current) / offers.current)
    return gap, known.astype(np.float64), np.where(known, age_ms / DAY_MS, 0.0)
