"""What the model says about the candidates: one call of one compiled function for a batch of offers.

The function takes what the open periods have brought into the tallies, plans under the belief that follows, asks the
network, and chooses as the rung of each offer does (`rungs`). Offers with a stock to sell by a day are asked apart: to
plan for them costs many times the rest.
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

from pricing_core import rungs
from pricing_core.arena import Arena, bucket
from pricing_core.demand.belief import Period
from pricing_core.demand.packing import pack, unpack
from pricing_core.features import FEATURES, MOVES_BP, FeatureInputs, Seen, featurize, outlook, seen_of
from pricing_core.ladder import Ladder
from pricing_core.model_file import Model
from pricing_core.offer_numbers import NUMBERS, OF_FEATURES, numbers
from pricing_core.offers import Offers
from pricing_core.outlook import Kind, prior_of
from pricing_core.q_function import Params, q_values
from pricing_core.rolling_sums import RollingSums, decay
from schemas.columns import Bool, Int64

BUCKETS = (32, 128, 512)
"""Sizes to which batches are padded. Larger ones are cut: what more offers need in between falls out of the caches."""
SEASONAL_BUCKETS = (64,)
"""The same for offers whose season ends: of one size, for it takes long to compile."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Valuation:
    """The model's opinion on n offers."""

    q: Float32
    """[n, A]."""
    chosen: Int64
    """[n] candidate; `choose.NO_CHOICE` where the value of a legal one is not finite."""
    probabilities: Float32
    """[n, A] with which each is chosen; 0 where there is no choice."""
    rung: Int64
    """[n] on which it was chosen: numbers of `rungs.RUNGS`."""
    changed: Bool
    """[n] demand is found to have changed, by the period that ends."""
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
    """float32 [n, len(NUMBERS)]."""
    log_ratio: Any
    """float32 [n, A]."""
    legal: Any
    """bool [n, A]."""


@partial(jax.jit, static_argnames="seasonal", donate_argnames="tallies")
def _value(
    params: Params, epsilon: Array, sums: Array, tallies: Array, batch: _Batch, *, seasonal: bool
) -> tuple[Array, tuple[Array, ...]]:
    """Look, value, choose: compiled once for each bucket. The tallies come back first."""
    column = dict(zip(NUMBERS, batch.numbers.T, strict=True))
    known = _known(sums, tallies, batch, column)
    tallies = tallies.at[batch.slots].set(known.rows, mode="drop", unique_indices=True)
    expected = outlook(known.inputs, seasonal=seasonal)
    # Fused into the network, the features would compile twice as long.
    seen = jax.lax.optimization_barrier(seen_of(known.inputs, expected))  # type: ignore[no-untyped-call]  # JAX gives no types
    since = jnp.where(known.changed, 0.0, column["days_since_change_of_demand"])
    sales = rungs.effective_sales(known.inputs.tally, known.inputs.sums)
    rung = jnp.minimum(rungs.climbed(column["rung"], sales, since), column["highest_rung"])
    q, chance = q_values(params, *seen), rungs.Chance(column["uniform"], epsilon)
    return tallies, (*rungs.decide(rung, q, expected, known.inputs, chance), rung, known.changed, seen.state)


class _Known(NamedTuple):
    """What is known of a batch, after its periods that end."""

    rows: Array
    """float32 [n, `packing.WIDTH`]."""
    changed: Array
    """bool [n]."""
    inputs: FeatureInputs


def _known(sums: Array, tallies: Array, batch: _Batch, column: dict[str, Array]) -> _Known:
    """Gather, learn, decay."""
    before = tallies.at[batch.slots].get(mode="fill", fill_value=0.0)
    # Most decisions come within a period: none of the batch may have anything to learn from.
    rows, changed = jax.lax.cond((column["exposure"] > 0).any(), _learned, _as_before, before, column)
    decayed = decay(sums.at[batch.slots].get(mode="fill", fill_value=0.0), column["elapsed_days"])
    of_features = {name: column[name] for name in OF_FEATURES}
    tally, _ = unpack(rows)
    inputs = FeatureInputs(decayed, log_ratio=batch.log_ratio, legal=batch.legal, tally=tally, **of_features)
    return _Known(rows, changed, inputs)


@partial(jax.jit, static_argnames="seasonal")
def _look(sums: Array, tallies: Array, batch: _Batch, *, seasonal: bool) -> Seen:
    column = dict(zip(NUMBERS, batch.numbers.T, strict=True))
    return featurize(_known(sums, tallies, batch, column).inputs, seasonal=seasonal)


def _as_before(rows: Array, column: dict[str, Array]) -> tuple[Array, Array]:
    return rows, column["exposure"] > 0


def _learned(rows: Array, column: dict[str, Array]) -> tuple[Array, Array]:
    """Take in what the periods that end have brought; rows whose period goes on stay as they are, to the last bit."""
    tally, drift = unpack(jnp.where(column["is_fresh"][:, None] > 0, 0.0, rows))
    period = Period(**{name: column[name] for name in Period._fields})
    period = period._replace(censored=period.censored > 0)
    learned = rungs.learn(tally, drift, prior_of(Kind(*(column[name] for name in Kind._fields))), period)
    return pack(learned.tally, learned.drift), learned.changed


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
        parts: tuple[NDArray[Any], ...] = (
            found.q,
            found.chosen,
            found.probabilities,
            found.rung,
            found.changed,
            found.features,
        )
        for part, of_call in zip(parts, answer, strict=True):
            part[rows] = of_call
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
    return _Batch(offers.slots, numbers(offers, uniform), log_ratio, ladder.legal)


def _calls(whole: _Batch, at_least: int) -> Iterator[tuple[Int64, int, bool]]:
    """Split offers into calls: which of them, rows of the call, and whether their season ends."""
    seasonal = np.isfinite(whole.numbers[:, NUMBERS.index("days_left")])
    learns = whole.numbers[:, NUMBERS.index("exposure")] > 0
    for is_seasonal, sizes in ((False, BUCKETS), (True, SEASONAL_BUCKETS)):
        rows = np.flatnonzero(seasonal == is_seasonal)
        rows = rows[np.argsort(~learns[rows], kind="stable")]  # together: the batches without them are quicker
        for start in range(0, len(rows), sizes[-1]):
            part = rows[start : start + sizes[-1]]
            yield part, bucket(min(max(len(part), at_least), sizes[-1]), sizes), is_seasonal


def _nothing_yet(n: int) -> Valuation:
    q, probabilities = (np.empty((n, len(MOVES_BP)), np.float32) for _ in range(2))
    chosen, rung, batch = (np.empty(n, np.int64) for _ in range(3))
    features = np.empty((n, len(FEATURES)), np.float32)
    return Valuation(q, chosen, probabilities, rung, np.empty(n, np.bool_), features, batch)


def warm_up(model: Model, memory: Memory) -> None:
    """Compile every bucket."""
    for is_seasonal, sizes in ((False, BUCKETS), (True, SEASONAL_BUCKETS)):
        for size in sizes:
            ratios = np.zeros((size, len(MOVES_BP)), np.float32)
            numbers = np.ones((size, len(NUMBERS)), np.float32)
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
