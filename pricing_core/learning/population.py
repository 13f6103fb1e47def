"""Fit the demand of all offers together to what they have sold: see `demand.population`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array

from pricing_core.demand.counts import log_negative_binomial
from pricing_core.demand.population import (
    EFFECTS,
    ELASTICITY_EFFECT,
    HEADS,
    LEVEL_EFFECT,
    Known,
    Params,
    PopulationDemand,
    curves,
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fit."""

    updates: int = 3_000
    batch: int = 1_024
    learning_rate: float = 3e-3
    """At the start; falls to 0 as a cosine."""


class Observed(NamedTuple):
    """R periods of offers, each at one price. [R]."""

    known: Known
    x: Array
    """float32, ln(price / reference price)."""
    exposure: Array
    """float32 > 0."""
    units: Array
    """float32."""
    instrument: Array
    """float32 [R, Z], what moved prices and not demand: log cost against its usual. [R, 0] if nothing did."""


def fit(seen: Observed, recipe: Recipe, seed: int) -> Params:
    """Fit; the same seed gives the same bits on one backend.

    Raises:
        ValueError: An offer's place among the effects is out of range, or a number is not finite.
    """
    _require_sound(seen)
    k_params, k_weights, k_run = jax.random.split(jax.random.key(seed), 3)
    residual = first_stage(seen)
    # Each head sees each observation as often as a bootstrap sample of its own holds it: Poisson(1) times.
    weights = jax.random.poisson(k_weights, 1.0, (len(seen.x), HEADS)).astype(jnp.float32)
    params = dict(PopulationDemand().init(k_params, jax.tree.map(lambda part: part[:1], seen.known))["params"])
    rate = jnp.log((seen.units.sum() + 1.0) / (seen.exposure.sum() + 1.0))
    bias = params["heads"]["bias"].at[:HEADS].set(rate).at[HEADS:].set(jnp.log(jnp.expm1(2.0)))
    params["heads"] = {**params["heads"], "bias": bias}
    params |= {"rho": jnp.zeros(HEADS), "log_size": jnp.zeros(HEADS)}
    return cast(Params, _descend(params, (seen, residual, weights), recipe, k_run))


def first_stage(seen: Observed) -> Array:
    """What moved prices beside the instrument and what is known of the offer: residuals of least squares, [R].

    Zero where there is no instrument: nothing could be told apart then.
    """
    z = seen.instrument
    if z.shape[1] == 0:
        return jnp.zeros_like(seen.x)
    regressors = jnp.concatenate([jnp.ones_like(z[:, :1]), z, seen.known.content], axis=1)
    found, *_ = jnp.linalg.lstsq(regressors, seen.x)  # of least norm: what is known may hold the constant already
    return seen.x - regressors @ found


def _descend(params: Any, data: tuple[Observed, Array, Array], recipe: Recipe, key: Array) -> Any:
    """Adam on random batches of observations with their residuals [R] and weights [R, HEADS]."""
    schedule = optax.schedules.cosine_decay_schedule(recipe.learning_rate, recipe.updates)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    rows = len(data[1])

    def update(carried: tuple[Any, Any], k: Array) -> tuple[tuple[Any, Any], None]:
        params, state = carried
        at = jax.random.randint(k, (recipe.batch,), 0, rows)
        drawn = jax.tree.map(lambda part: part[at], data)
        gradient = jax.grad(lambda p: _loss(p, *drawn) + _penalty(p) / rows)(params)
        change, state = optimiser.update(gradient, state, params)
        return (optax.apply_updates(params, change), state), None

    @jax.jit
    def run(params: Any) -> Any:
        keys = jax.random.split(key, recipe.updates)
        (params, _), _ = jax.lax.scan(update, (params, optimiser.init(params)), keys)
        return params

    return run(params)


def _loss(params: Params, seen: Observed, residual: Array, weights: Array) -> Array:
    """Minus the mean log likelihood of the observations, each head's by its own weights."""
    log_level, elasticity = curves(params, seen.known)
    log_mean = log_level - elasticity * seen.x[:, None] + params["rho"] * residual[:, None]
    mean = seen.exposure[:, None] * jnp.exp(jnp.clip(log_mean, -20.0, 20.0))
    variance = mean + mean**2 * jnp.exp(-params["log_size"])
    log_likelihood = log_negative_binomial(seen.units[:, None], mean, variance)
    return -(weights * log_likelihood).mean()


def _penalty(params: Params) -> Array:
    """Minus the log density of the random effects, but for a constant."""
    effects: Array = params["effects"] / jnp.array([LEVEL_EFFECT, ELASTICITY_EFFECT])
    return 0.5 * (effects**2).sum()


def _require_sound(seen: Observed) -> None:
    effect = seen.known.effect
    if bool((effect < -1).any() | (effect >= EFFECTS).any()):
        raise ValueError(f"effect: expected -1 to {EFFECTS - 1}")
    for name, part in (("content", seen.known.content), *zip(Observed._fields[1:], seen[1:], strict=True)):
        if not bool(jnp.isfinite(part).all()):
            raise ValueError(f"{name}: expected finite numbers")
