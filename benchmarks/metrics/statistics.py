"""Percentiles, slopes and bootstrap intervals: how many numbers become one, always in the same way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.sinks.figures import percentile

__all__ = ["Interval", "bootstrap", "mean", "paired_bootstrap", "percentile", "slope_per_minute"]

Statistic = Callable[[Sequence[float]], float]


def mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def slope_per_minute(times_s: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares growth of ``values`` per minute of time: the drift of a lag; NaN where time stands still."""
    if len(times_s) < 2 or max(times_s) - min(times_s) < 1e-9:
        return math.nan
    times = np.asarray(times_s, np.float64) / 60
    centered = times - times.mean()
    return float(centered @ np.asarray(values, np.float64) / (centered @ centered))


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def bootstrap(groups: Sequence[Sequence[float]], statistic: Statistic, samples: int = 1000, seed: int = 12345) -> Interval:
    """Resample whole groups (documents: what is said in one talk is correlated) and take the statistic of each resample."""
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(samples):
        chosen = generator.integers(0, len(groups), len(groups))
        drawn.append(statistic([value for index in chosen for value in groups[index]]))
    return _interval(statistic([value for group in groups for value in group]), drawn)


def paired_bootstrap(
    before: Sequence[Sequence[float]],
    after: Sequence[Sequence[float]],
    statistic: Statistic,
    samples: int = 1000,
    seed: int = 12345,
) -> Interval:
    """The interval of statistic(after) - statistic(before), both over the same resampled documents (Koehn 2004)."""
    generator = np.random.default_rng(seed)

    def difference(chosen: Sequence[int]) -> float:
        old = statistic([value for index in chosen for value in before[index]])
        return statistic([value for index in chosen for value in after[index]]) - old

    everything = list(range(len(before)))
    drawn = [difference(generator.integers(0, len(before), len(before)).tolist()) for _ in range(samples)]
    return _interval(difference(everything), drawn)


def _interval(value: float, drawn: Sequence[float]) -> Interval:
    known = [number for number in drawn if not math.isnan(number)]
    return Interval(value, percentile(known, 2.5), percentile(known, 97.5))
