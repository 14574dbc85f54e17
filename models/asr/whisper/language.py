"""Which language is spoken: evidence over several updates, decided slowly, changed only where an utterance begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log

LEAST_SPEECH_S = 1.0  # below this, detection is guessing
PATIENCE_S = 3.0
SURE = 0.8
SURE_OF_CHANGE = 0.9
NEEDED = 2
"""Updates that must say the same."""
FLOOR = 1e-6


class LanguageTracker:
    """Decides among ``allowed`` languages (one: nothing to decide).

    Until it is `settled` nothing should be committed: the words may be in the wrong language.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._fixed = len(allowed) == 1
        self.language: str | None = allowed[0] if self._fixed else None
        self._evidence: dict[str, float] = {}
        self._count = 0
        self.begin_utterance()

    def begin_utterance(self) -> None:
        """A pause has ended: the language may be another from here on."""
        self.settled = self._fixed
        self._agreeing, self._challenger = 0, ""

    def asks(self, speech_s: float) -> bool:
        """Whether the next update should detect the language."""
        return not self.settled and (speech_s >= LEAST_SPEECH_S or self.language is None)

    def observe(self, probabilities: Mapping[str, float], speech_s: float, last: bool) -> bool:
        """Weigh one update; ``last``: the utterance is over, decide now. Gives whether the language changed."""
        if self.settled or not probabilities:
            self.settled = self.settled or (last and self.language is not None)
            return False
        if self.language is None:
            return self._choose(probabilities, speech_s, last)
        return self._challenge(probabilities, speech_s, last)

    @property
    def guess(self) -> str | None:
        """The language, or the likeliest so far."""
        if self.language is not None or not self._evidence:
            return self.language
        return max(self._evidence, key=lambda code: self._evidence[code])

    def _choose(self, probabilities: Mapping[str, float], speech_s: float, last: bool) -> bool:
        """The first decision, on the accumulated log-probabilities."""
        self._count += 1
        for code, probability in probabilities.items():
            self._evidence[code] = self._evidence.get(code, 0.0) + log(max(probability, FLOOR))
        best = max(self._evidence, key=lambda code: self._evidence[code])
        share = _share(self._evidence, best, self._count)
        heard = speech_s >= LEAST_SPEECH_S
        self._agreeing = self._agreeing + 1 if heard and share >= SURE else 0
        if not (last or speech_s >= PATIENCE_S or self._agreeing >= NEEDED):
            return False
        self.language, self.settled, self._agreeing = best, True, 0
        return True

    def _challenge(self, probabilities: Mapping[str, float], speech_s: float, last: bool) -> bool:
        """Whether this utterance is in another language than the last."""
        best = max(probabilities, key=lambda code: probabilities[code])
        if best == self.language or probabilities[best] < SURE_OF_CHANGE:
            self.settled = last or speech_s >= LEAST_SPEECH_S
            self._agreeing = 0
            return False
        self._agreeing = self._agreeing + 1 if best == self._challenger else 1
        self._challenger = best
        if self._agreeing < NEEDED:
            self.settled = last
            return False
        self.language, self.settled, self._agreeing = best, True, 0
        return True


def _share(evidence: Mapping[str, float], code: str, count: int) -> float:
    """The share of one language in the geometric means of the observed probabilities."""
    means = {name: exp(value / count) for name, value in evidence.items()}
    return means[code] / sum(means.values())
