"""The sentence being read: its words, the units that cover them, what was said for them, and where it ends."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.events import Transcript, Word, text_of
from pipeline.glossary.glossary import Glossary
from pipeline.policies.boundaries import (
    attached,
    ends_sentence,
    gap_before,
    joins,
    may_go_on,
    without_late_words,
    word_lists,
)
from pipeline.policies.options import AgreementOptions
from pipeline.policies.stability import stability_units
from pipeline.scripts import speakable


@dataclass(frozen=True, slots=True)
class Heard:
    """A committed word: its language, the stream time of its commit, its speaker, if it is the ``last`` of a sentence."""

    word: Word
    language: str
    committed_s: float
    last: bool = False
    speaker: str = ""


@dataclass(slots=True)
class Sentence:
    """Words and translation of a sentence.

    ``heard`` holds the sentence's words, and those after it; units cover the first ``covered`` and say ``said``.

    The first ``closed`` are said in full; of the translation of those between, a part is held back. ``context`` holds the
    last finished pairs of source and translation.
    """

    context: deque[tuple[str, str]]
    heard: list[Heard] = field(default_factory=list)
    closed: int = 0
    covered: int = 0
    said: str = ""

    @property
    def words(self) -> list[Word]:
        """All words of the sentence and after it."""
        return [heard.word for heard in self.heard]

    @property
    def open(self) -> bool:
        """True if there are words that no unit covers."""
        return self.covered < len(self.heard)

    def end(self) -> int | None:
        """Find the index at which the sentence ends; words without anything to say that end it are left out."""
        if self.covered and self.heard[self.covered - 1].last:
            self.finish(self.covered)
        for index in range(self.covered, len(self.heard)):
            if not self.heard[index].last:
                continue
            if speakable(text_of(self.words[self.covered : index + 1])):
                return index + 1
            self.finish(index + 1)
            return self.end()
        return None

    def end_at(self, index: int) -> None:
        """Mark that a sentence ends after the word before ``index``."""
        if index:
            self.heard[index - 1] = replace(self.heard[index - 1], last=True)

    def cover(self, count: int, text: str) -> tuple[Word, ...]:
        """Let ``text`` say the next ``count`` words, and give them."""
        taken = tuple(self.words[self.covered : self.covered + count])
        self.covered += count
        self.said += text
        return taken

    def says(self, translation: str) -> bool:
        """Tell if every word of a translation of it was said, in whatever order."""
        return not _counted(translation) - _counted(self.said)

    def finish(self, end: int) -> None:
        """Begin the next sentence after ``end`` words; this one becomes context if it was said."""
        if self.said:
            self.context.append((text_of(self.words[:end]), self.said))
        del self.heard[:end]
        self.closed = self.covered = 0
        self.said = ""

    def recent(self, words: int) -> tuple[tuple[str, str], ...]:
        """Give the context, without its oldest pairs if their sources have more than ``words`` words in all."""
        pairs = list(self.context)
        while pairs and sum(len(stability_units(source)) for source, _ in pairs) > words:
            del pairs[0]
        return tuple(pairs)


def _counted(text: str) -> Counter[str]:
    return Counter(unit.key.casefold() for unit in stability_units(text))


@dataclass(slots=True)
class SentenceEnds:
    """Detector of sentence ends: punctuation, pauses and silence, the end of an utterance, another language or speaker.

    A conjunction before a pause belongs to what follows, if that is known.
    """

    options: AgreementOptions
    glossary: Glossary
    target_language: str
    speaker: str = ""

    def hear(self, sentence: Sentence, transcript: Transcript, language: str, final: bool) -> None:
        """Add the committed words, spoken in ``language``."""
        heard = sentence.heard
        first = max(1, len(heard))
        for word in transcript.committed if heard else without_late_words(transcript.committed):
            self.speaker = transcript.speaker_of(word) or self.speaker
            heard.append(Heard(word, language, transcript.heard_s, speaker=self.speaker))
        known = [*sentence.words, *transcript.tentative]
        for index in range(first, len(heard) + 1):
            if self._ends(heard, known, index):
                sentence.end_at(index)
        silent_s = self.options.stuck_tail_s if transcript.tentative else self.options.sentence_pause_s
        if final or transcript.ended or transcript.silence_s >= silent_s:
            sentence.end_at(len(heard))

    def _ends(self, heard: Sequence[Heard], known: Sequence[Word], index: int) -> bool:
        language, speaker = heard[index - 1].language, heard[index - 1].speaker
        if index < len(heard) and (heard[index].language != language or speaker not in {"", heard[index].speaker}):
            return True
        if attached(known, index) or (index == len(known) and may_go_on(known)):
            return False
        if gap_before(known, index) >= self.options.sentence_pause_s:
            if joins(known[:index], word_lists(language)):
                return False
            return not self.glossary.pending_at_end(known[:index], language, self.target_language, known[index:])
        return ends_sentence(known, index, word_lists(language))
