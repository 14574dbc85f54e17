"""Speakers of committed words: each waits until it is decided who said it, but not long, and is never revised (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pipeline.diarizing import SpeakerMemory, SpeakerSpan, SpeakerTurns
from pipeline.events import SpeakerFound, Transcript, Word

WAIT_S = 1.0
SPANS = 256  # that are kept, far more than the words that wait need
UNKNOWN = "Speaker ?"  # from when on speakers are not told apart any more; none would be taken for the one before
SAID_S = 0.3  # before a word's end: recognizers begin a word early rather than late, in the pause before it


@dataclass(frozen=True, slots=True)
class _Held:
    """A committed word that waits, and what its transcript said of it; ``last`` ends an utterance."""

    word: Word
    language: str
    committed_s: float
    last: bool


def speaker_name(speaker: str, names: Mapping[str, str]) -> str:
    """Name a speaker as people read it: by ``names`` of numbers, as an enrolled voice, or "Speaker 1"."""
    return names.get(speaker) or (f"Speaker {speaker}" if speaker.isdigit() else speaker)


class SpeakerLabels:
    """Speakers of one session's words, by the spans of a diarizer.

    A word has the speaker of the span in which it was said. Words whose speaker is not decided are shown as tentative;
    after ``wait_s`` of audio they are committed with the speaker who seems to be theirs, or who is nearest. Who is in the
    ``memory`` was found before.
    """

    def __init__(
        self, names: Mapping[str, str] | None = None, wait_s: float = WAIT_S, memory: SpeakerMemory | None = None
    ) -> None:
        self._names = dict(names or {})
        self._wait_s = wait_s
        self._spans: deque[SpeakerSpan] = deque(maxlen=SPANS)
        self._decided_s = 0.0
        self._guess = ""
        self._held: deque[_Held] = deque()
        self._memory = memory or SpeakerMemory()
        self._last = ""
        self._ends = False  # an utterance is over whose last words wait no more
        self.lost = False

    def know(self, turns: SpeakerTurns) -> None:
        """Take in what became known."""
        self._spans += turns.spans
        self._decided_s = max(self._decided_s, turns.decided_s)
        self._guess = turns.guess

    def lose(self) -> None:
        """Give up telling speakers apart: from now on words are of nobody that is known, and do not wait."""
        self.lost = True

    def label(self, transcript: Transcript, final: bool = False) -> list[Transcript]:
        """Give the transcript with those committed words whose time has come; several where utterances ended meanwhile."""
        for index, word in enumerate(transcript.committed):
            last = transcript.ended and index == len(transcript.committed) - 1
            self._held.append(_Held(word, transcript.language, transcript.heard_s, last))
        if transcript.ended and not transcript.committed and self._held:
            self._held[-1] = replace(self._held[-1], last=True)
        elif transcript.ended and not transcript.committed:
            self._ends = True
        groups = list(self._groups(transcript, final))
        waiting = (*(held.word for held in self._held), *transcript.tentative)
        given = [replace(one, tentative=waiting, notices=()) for one in groups]
        given[0] = replace(given[0], notices=(*transcript.notices, *given[0].notices))
        found = [self._finding(one) for one in given]
        return [replace(one, notices=(*one.notices, *new)) for one, new in zip(given, found, strict=True)]

    def _groups(self, transcript: Transcript, final: bool) -> Iterator[Transcript]:
        """Yield the words that wait no more, those of another language or utterance each by themselves; at least one."""
        words: list[Word] = []
        given = False
        language = self._held[0].language if self._held else transcript.language
        while self._held and (speaker := self._speaker(self._held[0], transcript.heard_s, final)) is not None:
            if words and self._held[0].language != language:
                yield replace(transcript, committed=tuple(words), language=language, ended=False)
                words = []
            held = self._held.popleft()
            language, self._last = held.language, speaker
            words.append(held.word if held.word.speaker else replace(held.word, speaker=speaker))
            if held.last:
                yield replace(transcript, committed=tuple(words), language=language, ended=True)
                words, given = [], True
        ended, self._ends = self._ends, False
        if given and not words and not ended:
            return
        if not words:
            language = transcript.language
        yield replace(transcript, committed=tuple(words), language=language, ended=ended)

    def _speaker(self, held: _Held, heard_s: float, final: bool) -> str | None:
        """Find who said a word; `None` while it may wait."""
        if self.lost:
            return UNKNOWN if self._last else ""
        moment = max((held.word.start + held.word.end) / 2, held.word.end - SAID_S)
        if moment > self._decided_s and heard_s - held.committed_s < self._wait_s and not final:
            return None
        if moment > self._decided_s and self._guess:
            return speaker_name(self._guess, self._names)
        near = min(self._spans, key=lambda span: max(span.start - moment, moment - span.end, 0.0), default=None)
        if near is None:
            return self._last
        return speaker_name(near.speaker, self._names)

    def _finding(self, transcript: Transcript) -> list[SpeakerFound]:
        told = [word for word in transcript.committed if word.speaker not in {"", UNKNOWN}]
        return [SpeakerFound(word.speaker, word.start) for word in told if self._memory.find(word.speaker)]
