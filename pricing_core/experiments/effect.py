"""What the treatment earned more than the control, with an interval that means what it says.

The intervals are checked where it hurts: `calibration` plays thousands of experiments without any effect.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

SUSPICIOUS = 0.001
"""Of arms that are as uneven as these or more so, if the assignment worked: less than that is a fault."""
_CELLS = 2_000_000
"""Offers times permutations that are held at once."""


class Effect(NamedTuple):
    """A difference of means, treatment less control, in the unit of the outcome."""

    difference: float
    lower: float
    upper: float
    p_value: float
    """Two-sided: of a difference as large as this if there were no effect."""
    control_mean: float
    units: int
    """Offers, or pairs of blocks."""

    @property
    def share(self) -> float:
        """The difference as a share of what the control earned; nan if that is nothing."""
        return self.difference / self.control_mean if self.control_mean else float("nan")


def of_offers(
    outcome: Float64,
    before: Float64,
    treated: Bool,
    *,
    confidence: float = 0.95,
    permutations: int = 999,
    seed: int = 0,
) -> Effect:
    """Compare offers that were treated with those that were held out.

    What an offer earned before explains most of what it earns; the comparison is adjusted for it in each arm by itself
    (Lin 2013: never less precise than without, asymptotically), with HC3 variances (Long & Ervin 2000). How large a
    studentised difference is by chance is asked of the offers themselves, their arms drawn again (Fisher 1935; Chung &
    Romano 2013), and not of a t table: a few offers earn most of a shop's profit, and with a tenth of the offers held
    out the table claimed an effect in 8 of 100 experiments without any (`calibration`).

    Args:
        outcome: float64 [n], what each offer earned in the experiment.
        before: float64 [n], what each earned before it; all alike if nothing is known.
        treated: bool [n].
        confidence: Of the interval.
        permutations: How often arms are drawn again.
        seed: Of these draws.

    Raises:
        ValueError: An arm has fewer than three offers, or a number is not finite.
    """
    _require_finite(outcome, before)
    for name, size in (("treatment", treated.sum()), ("control", (~treated).sum())):
        if size < 3:
            raise ValueError(f"the {name} has {size} offers with a history: three or more are needed")
    found = _compare(outcome, before, treated[None, :])
    chance = np.abs(_by_chance(outcome, before, treated, np.random.default_rng(seed), permutations))
    size, error = float(found.difference[0]), float(found.error[0])
    reach = float(np.quantile(chance, confidence, method="higher")) * error
    at_least = chance >= abs(size) / error if error > 0.0 else np.ones(permutations)
    p_value = (1.0 + float(at_least.sum())) / (1.0 + permutations)
    return Effect(size, size - reach, size + reach, p_value, float(found.control_mean[0]), len(outcome))


def of_pairs(treated: Float64, control: Float64, *, confidence: float = 0.95) -> Effect:
    """Compare the blocks of a switchback within their pairs, which takes trend and season out.

    Args:
        treated: float64 [p], what the shop earned in the treated block of each pair.
        control: float64 [p], the same of the other one.
        confidence: Of the interval.

    Raises:
        ValueError: Fewer than two pairs, or a number is not finite.
    """
    _require_finite(treated, control)
    if len(treated) < 2:
        raise ValueError(f"{len(treated)} whole pair(s) of blocks say nothing about the spread: wait for two or more")
    differences = treated - control
    size, degrees = float(differences.mean()), len(differences) - 1
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5
    reach = float(stats.t.ppf((1.0 + confidence) / 2.0, degrees)) * error
    p_value = 2.0 * float(stats.t.sf(abs(size) / error, degrees)) if error > 0.0 else float(size == 0.0)
    return Effect(size, size - reach, size + reach, p_value, float(control.mean()), len(differences))


def smallest_detectable(standard_error: float, degrees: int, *, confidence: float = 0.95, power: float = 0.8) -> float:
    """Return the effect that an experiment would find with this power, in the unit of the standard error."""
    quantiles = stats.t.ppf([(1.0 + confidence) / 2.0, power], degrees)
    return float(quantiles.sum() * standard_error)


def detectable_by_offers(outcome: Float64, before: Float64, control_share: float, *, power: float = 0.8) -> float:
    """Return the smallest effect per offer that an experiment on such offers would find.

    Args:
        outcome: float64 [n], what each offer earned in a time as long as the experiment, without one.
        before: float64 [n], what each earned before that.
        control_share: Of the offers.
        power: Chance to find it.

    Raises:
        ValueError: Fewer than six offers, or a number is not finite.
    """
    _require_finite(outcome, before)
    n = len(outcome)
    if n < 6:
        raise ValueError(f"{n} offers are too few for two arms: give six or more")
    slope = _slope(outcome, before)
    spread = (outcome - slope * before).std(ddof=2)
    error = spread * np.sqrt(1.0 / (n * control_share) + 1.0 / (n * (1.0 - control_share)))
    return smallest_detectable(float(error), n - 4, power=power)


def detectable_by_pairs(earned: Float64, pairs: int, *, power: float = 0.8) -> float:
    """Return the smallest effect per block that a switchback of so many pairs would find.

    Args:
        earned: float64 [b], what the shop earned in blocks that followed one another, without an experiment; b of 4
            or more.
        pairs: Of the experiment.
        power: Chance to find it.
    """
    whole = earned[: len(earned) // 2 * 2].reshape(-1, 2)
    # Which block of a pair is treated is a coin, so the spread is about 0 and not about the mean difference.
    spread = np.sqrt(np.mean((whole[:, 0] - whole[:, 1]) ** 2))
    return smallest_detectable(float(spread / np.sqrt(pairs)), pairs - 1, power=power)


def arms_are_uneven(controls: int, offers: int, control_share: float) -> float:
    """Return how likely such a split or a more uneven one is: a sample ratio mismatch below `SUSPICIOUS`.

    Then something other than chance put offers into arms, or took them out, and no estimate can be trusted
    (Fabijan et al. 2019).
    """
    return float(stats.binomtest(controls, offers, control_share).pvalue)


class _Compared(NamedTuple):
    """Of B ways to split offers into arms, [B] each."""

    difference: Float64
    error: Float64
    """Standard error of the difference."""
    control_mean: Float64


def _by_chance(outcome: Float64, before: Float64, treated: Bool, rng: np.random.Generator, times: int) -> Float64:
    """Studentised differences with arms of the same sizes drawn again, [times]."""
    drawn = []
    at_once = max(1, _CELLS // len(outcome))
    for start in range(0, times, at_once):
        arms = np.broadcast_to(treated, (min(at_once, times - start), len(treated)))
        found = _compare(outcome, before, rng.permuted(arms, axis=1))
        drawn.append(np.divide(found.difference, found.error, out=np.zeros_like(found.error), where=found.error > 0.0))
    return np.concatenate(drawn)


def _compare(outcome: Float64, before: Float64, treated: Bool) -> _Compared:
    """Compare arms: ``treated`` is bool [B, n]."""
    center = before.mean()
    mean, variance = _adjusted(outcome, before - center, treated)
    control_mean, control_variance = _adjusted(outcome, before - center, ~treated)
    return _Compared(mean - control_mean, np.sqrt(variance + control_variance), control_mean)


def _adjusted(outcome: Float64, before: Float64, arm: Bool) -> tuple[Float64, Float64]:
    """Mean outcome of arms bool [B, n], were their offers as those of all arms before, and its variance (HC3), [B]."""
    count = arm.sum(axis=1)
    start, mean = (arm @ before / count)[:, None], (arm @ outcome / count)[:, None]
    deviation = (before - start) * arm
    squares = (deviation**2).sum(axis=1, keepdims=True)
    scale = np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0.0)
    slope = (deviation @ outcome)[:, None] * scale
    residual = (outcome - mean - slope * deviation) * arm
    leverage = 1.0 / count[:, None] + deviation**2 * scale
    influence = 1.0 / count[:, None] - start * deviation * scale
    # An offer that the line must go through has no residual, whatever it earns: it tells nothing about the spread.
    kept = np.maximum(1.0 - leverage, 1e-6)
    return (mean - slope * start)[:, 0], ((influence * residual / kept) ** 2).sum(axis=1)


def _slope(outcome: Float64, before: Float64) -> float:
    deviation = before - before.mean()
    squares = float(deviation @ deviation)
    return 0.0 if squares == 0.0 else float(deviation @ outcome) / squares


def _require_finite(*columns: Float64) -> None:
    if not all(np.isfinite(column).all() for column in columns):
        raise ValueError("an outcome is not finite")
