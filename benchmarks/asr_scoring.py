"""Word errors and commit latency of one recognized stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.metrics.statistics import mean, percentile


@dataclass(frozen=True, slots=True)
class Truth:
    """A word that was said, and when it ended in stream seconds."""

    text: str
    end: float


@dataclass(frozen=True, slots=True)
class Commit:
    """A word that was committed when the stream had been heard up to ``at``."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Score:
    """Errors among ``words`` reference words, and for each word recognized rightly the time from its end to its commit."""

    substituted: int
    deleted: int
    inserted: int
    words: int
    latencies_s: tuple[float, ...]

    @property
    def errors(self) -> int:
        """All of them."""
        return self.substituted + self.deleted + self.inserted


@dataclass(frozen=True, slots=True)
class Summary:
    """Several scores as one: word error rate as a fraction, latency of commits."""

    wer: float
    mean_s: float
    p95_s: float


def score(said: Sequence[Truth], heard: Sequence[Commit]) -> Score:
    """Compare by Levenshtein alignment; latency counts where the words are equal (as ufal/asr_latency does)."""
    pairs = align([word.text for word in said], [word.text for word in heard])
    matched = [(i, j) for i, j in pairs if i is not None and j is not None]
    right = [(i, j) for i, j in matched if said[i].text == heard[j].text]
    return Score(
        substituted=len(matched) - len(right),
        deleted=sum(j is None for _, j in pairs),
        inserted=sum(i is None for i, _ in pairs),
        words=len(said),
        latencies_s=tuple(heard[j].at - said[i].end for i, j in right),
    )


def summarize(scores: Iterable[Score]) -> Summary:
    """Errors over all words, latency over all matched words."""
    listed = list(scores)
    latencies = [value for one in listed for value in one.latencies_s]
    words = sum(one.words for one in listed)
    return Summary(
        sum(one.errors for one in listed) / words if words else float("nan"), mean(latencies), percentile(latencies, 95)
    )


def align(said: Sequence[str], heard: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Pairs of positions of a cheapest alignment; None where a word was left out or added."""
    costs = np.zeros((len(said) + 1, len(heard) + 1), np.int32)
    costs[:, 0], costs[0] = np.arange(len(said) + 1), np.arange(len(heard) + 1)
    for i, word in enumerate(said, 1):
        for j, other in enumerate(heard, 1):
            costs[i, j] = min(costs[i - 1, j] + 1, costs[i, j - 1] + 1, costs[i - 1, j - 1] + (word != other))
    pairs: list[tuple[int | None, int | None]] = []
    i, j = len(said), len(heard)
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (said[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]
