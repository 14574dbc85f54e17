"""From a hypothesis to the words that are settled: guards first, then the commit policy, then the way out of a stall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from models.asr.whisper.hypothesis import HeardWord, Hypothesis
from models.asr.whisper.policy import POLICIES, CommitOptions, Evidence, PolicyName, flush
from models.asr.whisper.sanity import is_echo, is_invented, is_real, is_said_already, loop_begin
from models.asr.whisper.vocabulary import Vocabulary
from models.asr.whisper.window import Window
from models.asr.whisper.words import UNSPACED, whole_words

STALLED_AFTER_S = 1.5  # words that ended so long ago are taken when nothing else is settled


@dataclass(frozen=True, slots=True)
class Settler:
    """Decides with one policy and one vocabulary; keeps no state."""

    policy: PolicyName
    options: CommitOptions
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    def believed(self, hypothesis: Hypothesis, window: Window, bare: bool) -> list[HeardWord] | None:
        """The words after the committed ones, less what was invented.

        None: it looks like a loop and should be decoded again without prefix and context (``bare``) before it is believed.
        """
        heard = hypothesis.words
        # Before any filter: copies that lie in silence would be dropped, and the first of them believed.
        kept = loop_begin([] if bare else window.words, heard)
        if kept is not None and not bare:
            return None
        if kept is not None and not is_real(heard[kept:]):
            heard = heard[:kept]
        words = [_trimmed(word, window) for word in heard if window.is_voiced(word.start, word.end)]
        if hypothesis.language not in UNSPACED:
            words = whole_words(words)
        if bare:
            words = [word for word in words if (word.start + word.end) / 2 > window.frontier]
        while words and is_said_already(words[0], window.words):
            words.pop(0)
        if is_invented(words, hypothesis.no_speech) or is_echo(words, self.vocabulary.text):
            return []
        return words

    def settled(self, words: Sequence[HeardWord], window: Window) -> int:
        """How many words the policy settles; never the last one, which may be the beginning of a longer word."""
        previous = window.older_tail(self.options.agreement_apart_s)
        return min(POLICIES[self.policy](Evidence(words, window.end, previous), self.options), max(0, len(words) - 1))

    def settled_by_pause(self, words: Sequence[HeardWord]) -> int:
        """How many words are settled when speech has stopped."""
        return flush(words, self.options)

    def settled_by_age(self, words: Sequence[HeardWord], window: Window) -> int:
        """How many words are old enough to be taken when the policy has settled none for too long."""
        old = [word.end <= window.end - STALLED_AFTER_S for word in words]
        return old.index(False) if False in old else len(old)


def _trimmed(word: HeardWord, window: Window) -> HeardWord:
    start, end = window.voiced_part(word.start, word.end)
    return replace(word, start=start, end=end)
