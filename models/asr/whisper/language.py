"""Languages that Whisper knows, and detection of the spoken one.

Evidence is gathered over several updates, decided slowly, and asked for again in long utterances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log

_CODES = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it "
    "ja jv ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn "
    "so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh"
)
LANGUAGES = frozenset(_CODES.split())
SINCE_LARGE_V3 = frozenset({"yue"})

_OWN_CODES = {"jv": "jw"}

LEAST_SPEECH_S = 1.0  # below this, detection is guessing
PATIENCE_S = 3.0
SURE = 0.8
SURE_OF_CHANGE = 0.9
NEEDED = 2
"""Updates that must say the same."""
ASKED_AGAIN_S = 4.0  # after a decision, in an utterance that goes on
FLOOR = 1e-6


def whisper_code(language: str) -> str:
    """Return Whisper's own code for an ISO code."""
    return _OWN_CODES.get(language, language)


def iso_code(code: str) -> str:
    """Return the ISO code for one of Whisper's."""
    return next((iso for iso, own in _OWN_CODES.items() if own == code), code)


class LanguageTracker:
    """Decision among ``allowed`` languages (one: nothing to decide).

    Until it is `settled` nothing should be committed: the words may be in the wrong language.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self._fixed = len(allowed) == 1
        self.language: str | None = allowed[0] if self._fixed else None
        self.begin_utterance()

    def begin_utterance(self) -> None:
        """Take in that a pause has ended: the language may be another from here on."""
        self.settled = self._fixed
        self._ask_from_s = 0.0 if self.language is None else LEAST_SPEECH_S
        self._doubt(0.0)

    def asks(self, speech_s: float) -> bool:
        """Tell if the next update should detect the language."""
        return not self._fixed and speech_s >= self._ask_from_s

    def observe(self, probabilities: Mapping[str, float], speech_s: float, last: bool) -> bool:
        """Weigh one update and return True if the language changed; ``last``: the utterance is over, decide now."""
        if self._fixed or not probabilities:
            self.settled = self.settled or (last and self.language is not None)
            return False
        best = max(probabilities, key=lambda code: probabilities[code])
        if self.settled:
            if best == self.language or probabilities[best] < SURE_OF_CHANGE:
                self._ask_from_s = speech_s + ASKED_AGAIN_S
                return False
            self._doubt(speech_s - LEAST_SPEECH_S)
            self.settled = False
        return self._weigh(probabilities, best, speech_s, last)

    @property
    def guess(self) -> str | None:
        """The language, or the likeliest so far."""
        return self.language or self._likeliest

    @property
    def _likeliest(self) -> str | None:
        return max(self._evidence, key=lambda code: self._evidence[code]) if self._evidence else None

    def _doubt(self, since_s: float) -> None:
        """Forget the evidence of the last decision; patience lasts from ``since_s`` of the speech on."""
        self._evidence: dict[str, float] = {}
        self._count = self._agreeing = 0
        self._challenger = ""
        self._since_s = since_s

    def _weigh(self, probabilities: Mapping[str, float], best: str, speech_s: float, last: bool) -> bool:
        """Decide if ``NEEDED`` updates agree, on the accumulated log-probabilities when patience ends."""
        self._count += 1
        for code, probability in probabilities.items():
            self._evidence[code] = self._evidence.get(code, 0.0) + log(max(probability, FLOOR))
        first = self.language is None
        if first:
            best = self._likeliest or best
        share = self._share(best) if first else probabilities[best]
        if best == self.language and share >= SURE:
            return self._settle(best, speech_s)
        sure = speech_s >= LEAST_SPEECH_S and share >= (SURE if first else SURE_OF_CHANGE)
        self._agreeing = (self._agreeing + 1 if best == self._challenger or first else 1) if sure else 0
        self._challenger = best
        if self._agreeing >= NEEDED:
            return self._settle(best, speech_s)
        if last or speech_s - self._since_s >= PATIENCE_S:
            likeliest = self._likeliest or best
            return self._settle(likeliest if first or self._share(likeliest) >= SURE else self.language, speech_s)
        return False

    def _settle(self, language: str | None, speech_s: float) -> bool:
        """Decide, and return True if the language is another than before."""
        changed = language != self.language
        self.language, self.settled, self._ask_from_s = language, True, speech_s + ASKED_AGAIN_S
        return changed

    def _share(self, code: str) -> float:
        """Compute the share of one language in the geometric means of the observed probabilities."""
        means = {name: exp(value / self._count) for name, value in self._evidence.items()}
        return means[code] / sum(means.values())
