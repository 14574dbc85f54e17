"""Commit policies: how many words of a hypothesis can no longer change. Pure: the tail in, a count out.

* ``align``: a word is settled when its alignment ends well before the audio does (AlignAtt, Papi et al. 2023, applied after
  decoding as in StreamAtt, Papi et al. 2024). CTranslate2 aligns by dynamic time warping, whose last word ends anywhere and
  whose invented words have no length: the last word is held, and words need probability and duration.
* ``local_agreement``: a word is settled when two hypotheses agree on it (LocalAgreement-2, Liu et al. 2020).
* ``hybrid``: either of them.
* ``hold``: all but the last words (wait-k family), the baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from itertools import dropwhile
from math import log
from statistics import fmean
from typing import Literal

from models.asr.whisper.hallucination_filter import (
    is_echo,
    is_invented,
    is_real,
    is_said_already,
    loop_begin,
    squeezed_begin,
    stutter_begin,
)
from models.asr.whisper.hypothesis import HeardWord, Hypothesis, spoken
from models.asr.whisper.prompt_terms import PromptTerms
from models.asr.whisper.window import DEAF_S, Window
from models.asr.whisper.words import UNSPACED, whole_words
from pipeline.errors import check_range

SAME_PLACE_S = 0.1  # by which words of two hypotheses may be apart
STALLED_AFTER_S = 1.5  # words that ended so long ago are taken when nothing else is committed
SAME_SPAN_S = 0.4  # by which two readings of the same speech may begin and end apart
USUAL_PROBABILITY, USUAL_WORDS = 0.9, 8  # what is believed of speech of which little was heard
BEGIN_WEAK_S, BEGIN_SURE = 3.0, 0.7  # more for the first words, the less sure the likelier of a word and its next one is
HARD_BELOW = 0.05  # below ``easy_probability``: speech that could not be harder, with these thresholds:
HARD_WEAK_S, HARD_SURE, HARD_PAUSE = 2.8, 0.95, 0.9  # added to ``weak_s``; ``sure_probability``; ``pause_probability``

PolicyName = Literal["hybrid", "local_agreement", "align", "hold"]


@dataclass(frozen=True, slots=True)
class CommitOptions:
    """Thresholds of a commit; seconds and probabilities.

    Alignment gate: it ends ``gate_s`` before the audio's end, has ``gate_probability``, lasts ``gate_duration_s``, and the
    hypothesis before does not say another word. Agreement: two hypotheses whose audio ends ``agreement_apart_s`` apart
    (nearer ones agree on the same truncated word) say it, and it ends ``agreement_s`` before the end, ``weak_s`` more at
    probability 0, none more at ``sure_probability``. ``hold_words``: how many the ``hold`` policy keeps back. When speech
    stops, all before the first word below ``pause_probability`` is settled; after a pause all up to the last word with
    ``flush_probability``. Speech whose words have a mean probability below ``easy_probability`` is hard: its unsure words
    wait longer, the more so the harder it is.
    """

    gate_s: float = 0.4
    gate_probability: float = 0.9
    gate_duration_s: float = 0.04
    agreement_s: float = 0.12
    agreement_apart_s: float = 0.3
    sure_probability: float = 0.8
    weak_s: float = 2.2
    hold_words: int = 2
    pause_probability: float = 0.4
    flush_probability: float = 0.2
    easy_probability: float = 0.87

    def __post_init__(self) -> None:
        for name in ("gate_probability", "sure_probability", "pause_probability", "flush_probability", "easy_probability"):
            check_range(name, getattr(self, name), 0, 1)
        for name in ("gate_s", "gate_duration_s", "agreement_s", "agreement_apart_s", "weak_s", "hold_words"):
            check_range(name, getattr(self, name), 0)

    def on(self, words: Sequence[HeardWord]) -> CommitOptions:
        """Give the thresholds for speech in which these words were heard."""
        believed = sum(word.probability for word in words) + USUAL_PROBABILITY * USUAL_WORDS
        below = self.easy_probability - believed / (len(words) + USUAL_WORDS)
        if below <= 0:
            return self
        hard = min(1.0, below / HARD_BELOW)
        return replace(
            self,
            weak_s=self.weak_s + hard * HARD_WEAK_S,
            sure_probability=self.sure_probability + hard * max(0.0, HARD_SURE - self.sure_probability),
            pause_probability=self.pause_probability + hard * max(0.0, HARD_PAUSE - self.pause_probability),
        )


@dataclass(frozen=True, slots=True)
class HypothesisTail:
    """The tail of a hypothesis, heard up to ``audio_end``, and that of one which heard ``agreement_apart_s`` less.

    ``begins``: nothing before it is committed, so it may be misheard as a whole.
    """

    words: Sequence[HeardWord]
    audio_end: float
    previous: Sequence[str]
    begins: bool = False


Policy = Callable[[HypothesisTail, CommitOptions], int]


def hybrid(tail: HypothesisTail, options: CommitOptions) -> int:
    """Count by alignment or agreement, word by word; the first unsettled word stops."""
    return _leading(
        tail,
        lambda index: _passes_gate(tail, index, options) or _is_agreed(tail, index, options),
    )


def align(tail: HypothesisTail, options: CommitOptions) -> int:
    """Count by the alignment gate alone."""
    return _leading(tail, lambda index: _passes_gate(tail, index, options))


def local_agreement(tail: HypothesisTail, options: CommitOptions) -> int:
    """Count by the agreement of two hypotheses alone."""
    return _leading(tail, lambda index: _is_agreed(tail, index, options))


def hold(tail: HypothesisTail, options: CommitOptions) -> int:
    """Count all but the last ``hold_words``."""
    return max(0, len(tail.words) - options.hold_words)


def flush(words: Sequence[HeardWord], options: CommitOptions) -> int:
    """Count everything up to the last word that is not mere noise, for after a pause."""
    sure = [index for index, word in enumerate(words) if word.probability >= options.flush_probability]
    return sure[-1] + 1 if sure else 0


POLICIES: Mapping[PolicyName, Policy] = {
    "hybrid": hybrid,
    "local_agreement": local_agreement,
    "align": align,
    "hold": hold,
}


def _leading(tail: HypothesisTail, settled: Callable[[int], bool]) -> int:
    return next((index for index in range(len(tail.words)) if not settled(index)), len(tail.words))


def _passes_gate(tail: HypothesisTail, index: int, options: CommitOptions) -> bool:
    word = tail.words[index]
    return (
        index < len(tail.words) - 1
        and (index >= len(tail.previous) or _says(tail.previous, index, word.text))
        and word.end <= tail.audio_end - options.gate_s
        and word.probability >= options.gate_probability
        and word.end - word.start >= options.gate_duration_s
    )


def _is_agreed(tail: HypothesisTail, index: int, options: CommitOptions) -> bool:
    word = tail.words[index]
    unsure = max(0.0, 1 - word.probability / options.sure_probability) if options.sure_probability else 0.0
    distance_s = options.agreement_s + options.weak_s * unsure
    if tail.begins:
        surest = max(one.probability for one in tail.words[index : index + 2])
        distance_s += BEGIN_WEAK_S * max(0.0, 1 - surest / BEGIN_SURE)
    return _says(tail.previous, index, word.text) and word.end <= tail.audio_end - distance_s


def _says(tail: Sequence[str], index: int, text: str) -> bool:
    return index < len(tail) and spoken(tail[index]) == spoken(text)


@dataclass(frozen=True, slots=True)
class Committer:
    """Decides with one policy and one vocabulary; keeps no state."""

    policy: PolicyName
    options: CommitOptions
    vocabulary: PromptTerms = field(default_factory=PromptTerms)

    def plausible(
        self, hypothesis: Hypothesis, window: Window, bare: bool, before: Sequence[HeardWord] = ()
    ) -> list[HeardWord] | None:
        """Return the words that were said after those that led the decoder, less what was invented.

        None: it looks like a loop and should be decoded again without prefix and context (``bare``) before it is believed.
        What a loop, words without length or a word that is itself a loop stand for is taken from the tentative words
        ``before``.
        """
        heard = hypothesis.words
        # Before any filter: copies that lie in silence would be dropped, and the first of them believed.
        kept = loop_begin([] if bare else window.lead, heard)
        stuttered = stutter_begin(heard)
        if (kept is not None or stuttered is not None) and not bare:
            return None
        if stuttered is not None:
            said_s = heard[stuttered].start
            heard = (*heard[:stuttered], *(word for word in before if word.start >= said_s - SAME_PLACE_S))
            kept = None
        if kept is not None and not is_real(heard[kept:]):
            heard = _completed(heard, kept, window, before, {word.text for word in heard[kept:]})
        if (squeezed := squeezed_begin(heard)) < len(heard):
            heard = _completed(heard, squeezed, window, before)
        words = [_trimmed(word, window, word is heard[-1]) for word in heard if window.is_voiced(word.start, word.end)]
        if hypothesis.language not in UNSPACED:
            words = whole_words(words)
        if is_invented(words, hypothesis.no_speech) or is_echo(words, self.vocabulary.text):
            return []
        return words

    def committed_count(self, words: Sequence[HeardWord], window: Window) -> int:
        """Count the words that the policy commits; never the last one, which may be the beginning of a longer word."""
        previous = window.older_tail(self.options.agreement_apart_s)
        tail = HypothesisTail(words, window.end, previous, begins=not window.words)
        options = self.options.on([*window.words, *words[:-1]])  # one that is cut off is unsure in easy speech, too
        return min(POLICIES[self.policy](tail, options), max(0, len(words) - 1))

    def count_at_pause(self, words: Sequence[HeardWord], window: Window) -> int:
        """Count the words to commit when speech has stopped and may go on: an unsure one may be heard better then."""
        options = self.options.on([*window.words, *words])
        weak = (index for index, word in enumerate(words) if word.probability < options.pause_probability)
        return next(weak, len(words))

    def count_at_end(self, words: Sequence[HeardWord]) -> int:
        """Count the words to commit after a pause."""
        return flush(words, self.options)

    def count_by_age(self, words: Sequence[HeardWord], window: Window) -> int:
        """Count the words that are old enough to be taken when the policy has committed none for too long."""
        old = [word.end <= window.end - STALLED_AFTER_S for word in words]
        return old.index(False) if False in old else len(old)


def likelier(words: Sequence[HeardWord], before: Sequence[HeardWord]) -> list[HeardWord]:
    """Put the reading of a hypothesis ``before`` in the place of one in ``words`` of which the model is less sure.

    The same word follows both. A model that is unsure hears the same speech otherwise each time.
    """
    said, heard = ([spoken(word.text) for word in one] for one in (before, words))
    chosen: list[HeardWord] = []
    for kind, i, i_end, j, j_end in SequenceMatcher(None, said, heard, autojunk=False).get_opcodes():
        old, new = before[i:i_end], words[j:j_end]
        other = kind == "replace" and i_end < len(before) and _are_of_one_span(old, new)
        chosen += _before(words[j_end].start, old) if other and _surety(old) > _surety(new) else new
    return chosen


def _before(moment: float, words: Sequence[HeardWord]) -> list[HeardWord]:
    """Have words end where the next one begins, which would else be taken for a part of them."""
    return [replace(word, start=min(word.start, moment), end=min(word.end, moment)) for word in words]


def _are_of_one_span(old: Sequence[HeardWord], new: Sequence[HeardWord]) -> bool:
    return max(abs(old[0].start - new[0].start), abs(old[-1].end - new[-1].end)) < SAME_SPAN_S


def _surety(words: Sequence[HeardWord]) -> float:
    return fmean(log(max(word.probability, 1e-9)) for word in words)


def _completed(
    heard: Sequence[HeardWord], count: int, window: Window, before: Sequence[HeardWord], looped: Collection[str] = ()
) -> tuple[HeardWord, ...]:
    """Keep ``count`` words, and go on with those of ``before`` that lie where the rest was heard.

    None is said twice, nor are words that are all ``looped``: then the loop had begun in the hypothesis before. Where none
    follows, the last word lasts as long as all that was heard, whose alignment was squeezed by the rest, unless so much
    voice comes after it that other words lie there.
    """
    kept, said_s = tuple(heard[:count]), heard[count].start
    late = (word for word in before if (word.start + word.end) / 2 >= said_s)
    rest = tuple(dropwhile(lambda word: is_said_already(word, kept), late))
    if any(word.text not in looped for word in rest):
        return (*kept, *rest)
    if not kept or window.voiced_s(kept[-1].end) >= DEAF_S:
        return kept
    return (*kept[:-1], replace(kept[-1], end=heard[-1].end))


def _trimmed(word: HeardWord, window: Window, last: bool) -> HeardWord:
    start, end = window.voiced_part(word.start, word.end, last)
    return replace(word, start=start, end=end)
