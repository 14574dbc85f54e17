"""Commit policies: how many words of a hypothesis can no longer change. Pure: evidence in, a count out.

* ``align``: a word is settled when its alignment ends well before the audio does (AlignAtt, Papi et al. 2023, applied after
  decoding as in StreamAtt, Papi et al. 2024). CTranslate2 aligns by dynamic time warping, whose last word ends anywhere and
  whose invented words have no length: the last word is held, and words need probability and duration.
* ``local_agreement``: a word is settled when two hypotheses agree on it (LocalAgreement-2, Liu et al. 2020).
* ``hybrid``: either of them.
* ``hold``: all but the last words (wait-k family), the baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from models.asr.whisper.hypothesis import HeardWord
from pipeline.errors import check_range

PolicyName = Literal["hybrid", "local_agreement", "align", "hold"]


@dataclass(frozen=True, slots=True)
class CommitOptions:
    """When a word is settled; seconds and probabilities.

    Alignment gate: it ends ``gate_s`` before the audio's end, has ``gate_probability`` and lasts ``gate_duration_s``.
    Agreement: it ends ``agreement_s`` before the end (an unsure word: ``weak_s``), in two hypotheses whose audio ends
    ``agreement_apart_s`` apart (nearer ones agree on the same truncated word). ``hold_words``: how many the ``hold``
    policy keeps back. After a pause everything up to the last word with ``flush_probability`` is settled.
    """

    gate_s: float = 0.4
    gate_probability: float = 0.6
    gate_duration_s: float = 0.04
    agreement_s: float = 0.12
    agreement_apart_s: float = 0.3
    weak_s: float = 0.4
    hold_words: int = 2
    flush_probability: float = 0.3

    def __post_init__(self) -> None:
        for name in ("gate_probability", "flush_probability"):
            check_range(name, getattr(self, name), 0, 1)
        for name in ("gate_s", "gate_duration_s", "agreement_s", "agreement_apart_s", "weak_s", "hold_words"):
            check_range(name, getattr(self, name), 0)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The tail of a hypothesis, heard up to ``audio_end``, and what one said that ended ``agreement_apart_s`` earlier."""

    words: Sequence[HeardWord]
    audio_end: float
    previous: Sequence[str]


Policy = Callable[[Evidence, CommitOptions], int]


def hybrid(evidence: Evidence, options: CommitOptions) -> int:
    """Alignment or agreement, word by word; the first unsettled word stops."""
    return _leading(
        evidence,
        lambda index: _passes_gate(evidence, index, options) or _is_agreed(evidence, index, options),
    )


def align(evidence: Evidence, options: CommitOptions) -> int:
    """The alignment gate alone."""
    return _leading(evidence, lambda index: _passes_gate(evidence, index, options))


def local_agreement(evidence: Evidence, options: CommitOptions) -> int:
    """Agreement of two hypotheses alone."""
    return _leading(evidence, lambda index: _is_agreed(evidence, index, options))


def hold(evidence: Evidence, options: CommitOptions) -> int:
    """All but the last ``hold_words``."""
    return max(0, len(evidence.words) - options.hold_words)


def flush(words: Sequence[HeardWord], options: CommitOptions) -> int:
    """After a pause: everything up to the last word that is not mere noise."""
    sure = [index for index, word in enumerate(words) if word.probability >= options.flush_probability]
    return sure[-1] + 1 if sure else 0


POLICIES: Mapping[PolicyName, Policy] = {
    "hybrid": hybrid,
    "local_agreement": local_agreement,
    "align": align,
    "hold": hold,
}


def _leading(evidence: Evidence, settled: Callable[[int], bool]) -> int:
    return next((index for index in range(len(evidence.words)) if not settled(index)), len(evidence.words))


def _passes_gate(evidence: Evidence, index: int, options: CommitOptions) -> bool:
    word = evidence.words[index]
    return (
        index < len(evidence.words) - 1
        and word.end <= evidence.audio_end - options.gate_s
        and word.probability >= options.gate_probability
        and word.end - word.start >= options.gate_duration_s
    )


def _is_agreed(evidence: Evidence, index: int, options: CommitOptions) -> bool:
    word = evidence.words[index]
    distance_s = options.agreement_s if word.probability >= options.gate_probability else options.weak_s
    return (
        index < len(evidence.previous)
        and evidence.previous[index] == word.text
        and word.end <= evidence.audio_end - distance_s
    )
