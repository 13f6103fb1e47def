"""What the model says about the candidates: one call of one compiled function for a batch of offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from pricing_core import rivals
from pricing_core.choose import choose
from pricing_core.features import MOVES_BP, FeatureInputs, featurize
from pricing_core.ladder import Ladder
from pricing_core.model_file import Model
from pricing_core.offers import Offers
from pricing_core.q_function import Params, q_values
from pricing_core.rolling_sums import DAY_MS, RollingSums, bucket, decay, pad
from schemas.columns import Int64

BUCKETS = (32, 128, 256, 512, 1024)
"""Sizes to which batches are padded. Larger ones are cut."""

Float32 = NDArray[np.float32]

# Columns of the array in which all numbers of an offer travel to the device.
_NUMBERS = (
    "log_price",
    "profit_slope",
    "profit_offset",
    "rival_log_gap",
    "rival_known",
    "rival_age_days",
    "on_hand",
    "days_since_change",
    "days_known",
    "elapsed_days",
    "uniform",
)


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


@jax.jit
def _value(params: Params, epsilon: Array, sums: Array, batch: _Batch) -> tuple[Array, Array, Array, Array]:
    """Gather, decay, featurize, value, choose: compiled once for each bucket."""
    uniform = batch.numbers[:, _NUMBERS.index("uniform")]
    features = _features(sums, batch)
    # Fused into the network, the features would compile twice as long.
    state, candidates = jax.lax.optimization_barrier(features)  # type: ignore[no-untyped-call]  # JAX gives no types
    q = q_values(params, state, candidates)
    chosen, propensity = choose(q, batch.legal, uniform, epsilon)
    return q, chosen, propensity, state


def _features(sums: Array, batch: _Batch) -> tuple[Array, Array]:
    column = dict(zip(_NUMBERS, batch.numbers.T, strict=True))
    elapsed, _ = column.pop("elapsed_days"), column.pop("uniform")
    decayed = decay(sums.at[batch.slots].get(mode="fill", fill_value=0.0), elapsed)
    return featurize(FeatureInputs(decayed, log_ratio=batch.log_ratio, legal=batch.legal, **column))


_see = jax.jit(_features)

COMPILED = (_value,)


def value(
    model: Model, sums: RollingSums, offers: Offers, ladder: Ladder, uniform: Float32, *, at_least: int = 0
) -> Valuation:
    """Ask the model about n offers with their candidates.

    Args:
        model: With its weights on the device.
        sums: Of all offers.
        offers: n of them.
        ladder: Their candidates.
        uniform: [n] in [0, 1): what chance says.
        at_least: Rows of a call are no fewer: as many as when it was asked before, to get the same bits.
    """
    whole = _batch(offers, ladder, uniform)
    starts = range(0, len(offers), BUCKETS[-1])
    parts = [_ask(model, sums, _Batch(*(column[i : i + BUCKETS[-1]] for column in whole)), at_least) for i in starts]
    q, chosen, propensity, features, batch = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Valuation(q, chosen.astype(np.int64), propensity, features, batch)


def see(sums: RollingSums, offers: Offers, ladder: Ladder) -> tuple[Float32, ...]:
    """What the network would be shown of n offers and their candidates: the arguments of `q_values`, [n, ...] each."""
    uniform = np.zeros(len(offers), np.float32)
    whole = _batch(offers, ladder, uniform)
    starts = range(0, len(offers), BUCKETS[-1])
    parts = [_shown(sums, _Batch(*(column[i : i + BUCKETS[-1]] for column in whole))) for i in starts]
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def warm_up(model: Model, sums: RollingSums) -> None:
    """Compile every bucket."""
    for size in BUCKETS:
        ratios = np.zeros((size, len(MOVES_BP)), np.float32)
        numbers = np.zeros((size, len(_NUMBERS)), np.float32)
        _ask(model, sums, _Batch(np.full(size, sums.capacity), numbers, ratios, ratios == 0), 0)


def _batch(offers: Offers, ladder: Ladder, uniform: Float32) -> _Batch:
    log_ratio = np.log(np.maximum(ladder.prices, 1) / offers.current[:, None]).astype(np.float32)
    return _Batch(offers.slots, _numbers(offers, uniform), log_ratio, ladder.legal)


def _shown(sums: RollingSums, batch: _Batch) -> tuple[Float32, ...]:
    padded, n = _padded(sums, batch, 0), len(batch.slots)
    return tuple(np.asarray(part)[:n] for part in _see(sums.device, padded))


def _ask(model: Model, sums: RollingSums, batch: _Batch, at_least: int) -> tuple[NDArray[Any], ...]:
    """Pad to a bucket, compute, cut back. Padding points behind the arena."""
    n, padded = len(batch.slots), _padded(sums, batch, at_least)
    results = _value(model.params, np.float32(model.epsilon), sums.device, padded)
    return *(np.asarray(result)[:n] for result in results), np.full(n, len(padded.slots))


def _padded(sums: RollingSums, batch: _Batch, at_least: int) -> _Batch:
    n = len(batch.slots)
    size = bucket(max(n, at_least), BUCKETS)
    slots = np.full(size, sums.capacity, np.int32)
    slots[:n] = batch.slots
    return _Batch(slots, pad(batch.numbers, size), pad(batch.log_ratio, size), pad(batch.legal, size))


def _numbers(offers: Offers, uniform: Float32) -> Float32:
    """[n, len(_NUMBERS)], see `features.FeatureInputs`."""
    state, policy, current = offers.state, offers.policy, offers.current
    rival_log_gap, rival_known, rival_age_days = _rivals(offers)
    first_seen = np.minimum(state["first_seen"], offers.now)
    since = np.where(state["last_change_at"] > 0, state["last_change_at"], first_seen)
    reference = np.where(state["ref_price"] > 0, state["ref_price"], current)
    columns = {
        "log_price": np.log(current / reference),
        "profit_slope": policy["profit_slope"],
        "profit_offset": policy["profit_offset"] / current,
        "rival_log_gap": rival_log_gap,
        "rival_known": rival_known,
        "rival_age_days": rival_age_days,
        "on_hand": state["on_hand"],
        "days_since_change": np.maximum(offers.now - since, 0) / DAY_MS,
        "days_known": (offers.now - first_seen) / DAY_MS,
        "elapsed_days": np.maximum(offers.now - state["landmark"], 0) / DAY_MS,
        "uniform": uniform,
    }
    return np.stack([columns[name] for name in _NUMBERS], axis=1).astype(np.float32)


def _rivals(offers: Offers) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """ln(cheapest rival in stock / current), whether there is one, and the age of that observation in days, [n]."""
    price, known, age_ms, _ = rivals.cheapest(offers)
    gap = np.log(np.where(known, price, offers.current) / offers.current)
    return gap, known.astype(np.float64), np.where(known, age_ms / DAY_MS, 0.0)
