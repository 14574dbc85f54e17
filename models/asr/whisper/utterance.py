"""One utterance: its window, what of it is committed, and how it stays short without losing a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import dropwhile

from models.asr.whisper.audio_buffer import AudioPiece
from models.asr.whisper.commit import Committer, likelier
from models.asr.whisper.hallucination_filter import is_said_already
from models.asr.whisper.hypothesis import HeardWord, Hypothesis, Tokens
from models.asr.whisper.window import DEAF_S, KEPT_WORDS, VOICED, Window
from pipeline.events import Gap, Notice, Word

CONTEXT_TOKENS = 64
PAUSE_S = 0.2
REST_WORDS = 3  # heard again after a short pause: one alone, cut off from those before it, is misheard
FRUITLESS_UPDATES = 2
"""Stalled updates after which the window is decoded without prefix; after twice as many it is cut."""
HEARD_AFTER_PAUSE_S = 0.4  # voice after a short pause in which a word should have been heard
SHORT_WORD_S = 0.1  # voice between two pauses that may be a word
UNHEARD_S = 0.6  # voice without a word that is worth another decode
MOST_TOKENS = 150  # of the 224 that prefix and new words share
LOST_S = 2.0  # voice without a word at the end of speech that is announced as a gap


@dataclass(slots=True)
class StreamOutput:
    """Output of a stream: new committed words, whose end is ``frontier``, the tentative tail, and notices."""

    committed: list[Word] = field(default_factory=list)
    tentative: tuple[Word, ...] = ()
    notices: list[Notice] = field(default_factory=list)
    frontier: float = 0.0

    def commit(self, words: Sequence[HeardWord], audio_end: float) -> None:
        """Add words; their times never go back, nor beyond the audio."""
        placed = _placed(words, self.frontier, audio_end)
        self.committed.extend(placed)
        self.frontier = placed[-1].end if placed else self.frontier

    def show(self, words: Sequence[HeardWord], audio_end: float) -> None:
        """Replace the tentative tail."""
        self.tentative = tuple(_placed(words, self.frontier, audio_end))


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """Limits of a window: longest length, rest after a trim, standstill that counts as a stall; seconds."""

    window_s: float
    step_s: float
    keep_s: float
    stall_s: float


class Utterance:
    """Speech from an onset until a long pause."""

    def __init__(self, window: Window, committer: Committer, limits: WindowLimits, output: StreamOutput) -> None:
        self.window = window
        self.began = window.start
        self.again = False  # the newest hypothesis is not believed: decode the same audio once more
        self.bare_next = False  # the next decode is without prefix and context
        self.history: Tokens = ()  # of committed words that left the window, the newest
        self._committer = committer
        self._limits = limits
        self._output = output
        self._tail: list[HeardWord] = []
        self._moved = window.start  # when something was committed last, or nothing was there to be committed
        self._stalled = 0
        self._unheard_voice = False
        self._resumed: float | None = None  # where speech went on after a short pause, until words of it were heard

    @property
    def speech_s(self) -> float:
        """Length so far."""
        return self.window.end - self.began

    @property
    def worth_decoding(self) -> bool:
        """True if there was voice since the last update, or words wait to be committed."""
        return bool(self._tail) or self._unheard_voice

    @property
    def _unheard_s(self) -> float:
        """Voice after the committed words."""
        return self.window.voiced_s(self.window.frontier)

    @property
    def silence_s(self) -> float:
        """Audio after the last voice."""
        return self.window.silence_s

    def rest(self) -> bool:
        """Keep the last ``keep_s`` of an utterance that has ended; False if no committed word is in them."""
        gap = self.window.widest_gap(REST_WORDS, keep_s=self._limits.keep_s / 2)
        if gap is not None and self.window.end - self.window.start > self._limits.keep_s:
            self._cut(gap.middle)
        too_long = self.window.end - self.window.start > 2 * self._limits.keep_s
        return bool(self.window.words) and not too_long

    def resume(self, at: float) -> None:
        """Take in that speech goes on at ``at`` after a short pause."""
        self.began = self._resumed = at
        self.again = self.bare_next = False
        self._moved, self._stalled = self.window.end, 0

    def push(self, piece: AudioPiece) -> None:
        """Add the next audio."""
        self.window.push(piece.samples, piece.voice)
        self._unheard_voice = self._unheard_voice or piece.voice >= VOICED

    def settle(self, hypothesis: Hypothesis, last: bool, bare: bool, may_commit: bool) -> None:
        """Commit what is settled and show the rest, or ask to decode `again`. ``last``: speech has stopped."""
        window = self.window
        heard = self._committer.plausible(hypothesis, window, bare, self._tail)
        words = None if heard is None else _unsaid(window.read(hypothesis.forced, heard, bare), window.words)
        self.again = self.bare_next = False
        if (may_commit and words is not None and self._deaf(words, bare)) or (not words and self._deaf_after_pause(last)):
            return
        if words is None or (last and not bare and not words and self._unheard_s >= UNHEARD_S):
            self.again = self.bare_next = True
            return
        words = likelier(words, self._tail)
        self._unheard_voice = False
        self._resumed = None if words else self._resumed
        count = self._count(words, last) if may_commit else 0
        self._commit(words[:count])
        self._tail = [word for word in words[count:] if word.end > window.start]
        if not words and self._unheard_s < UNHEARD_S:
            self._moved, self._stalled = window.end, 0
        if last and not words and self._unheard_s >= LOST_S:
            self._lose(window.end)
        self._output.show(self._tail, window.end)
        window.remember(self._tail)

    def close(self) -> None:
        """Take in that speech has ended: what was too unsure when it stopped is as sure as it will be."""
        self._commit(self._tail[: self._committer.count_at_end(self._tail)])
        self._tail = []

    def _deaf(self, words: Sequence[HeardWord], bare: bool) -> bool:
        """Decode `again` if the hypothesis ends long before the voice: without prefix, then after its words."""
        at = max(self.window.read_until, self.window.frontier)
        if at <= self.window.start or self.window.voiced_s(at) < DEAF_S:
            return False
        self.again, self.bare_next = True, not bare
        if bare:
            self._commit(words[: self._committer.count_at_end(words)])
            self._cut(at)
            self._tail = []
        return True

    def _deaf_after_pause(self, last: bool) -> bool:
        """Forget the speech before a short pause if no word is heard after it, and decode `again`."""
        voiced_s = SHORT_WORD_S if last else HEARD_AFTER_PAUSE_S
        if self._resumed is None or self.window.voiced_s(self._resumed) < voiced_s:
            return False
        self._cut(self._resumed)
        self._resumed, self.again = None, True
        return True

    def _count(self, words: Sequence[HeardWord], last: bool) -> int:
        """Count the words to commit."""
        if last:
            return self._committer.count_at_pause(words, self.window)
        return self._committer.committed_count(words, self.window) or self._break_stall(words)

    def trim(self, window_s: float) -> None:
        """Keep the window below ``window_s``.

        From half of it on at a pause; near its limit in the widest gap between committed words; beyond it wherever it must.
        """
        window, keep_s, length_s = self.window, self._limits.keep_s, self.window.end - self.window.start
        if length_s > window_s / 2:
            pause = window.widest_gap(keep_words=1, keep_s=keep_s / 2)
            if pause is not None and pause.width_s >= PAUSE_S:
                self._cut(pause.middle)
                return
        if window.read_tokens > MOST_TOKENS or length_s > window_s - self._limits.step_s:
            gap = window.widest_gap(KEPT_WORDS, keep_s)
            if gap is not None:
                self._cut(gap.middle)
            elif length_s > window_s:
                self._cut_anyway()

    def forget_language(self) -> None:
        """Take in another language: what was committed in the one before no longer leads the decoder."""
        if self.window.words:
            self._cut(self.window.frontier)
        self.window.forget_words()
        self.history = ()

    def _commit(self, words: Sequence[HeardWord]) -> None:
        if not words:
            return
        self._output.commit(words, self.window.end)
        self.window.commit(words)
        self._moved, self._stalled = self.window.end, 0

    def _break_stall(self, words: Sequence[HeardWord]) -> int:
        """Count the words to take as they are when nothing was committed for too long, words or only voice being heard."""
        if self.window.end - self._moved <= self._limits.stall_s:
            return 0
        if not words and self._unheard_s < UNHEARD_S:
            return 0
        count = self._committer.count_by_age(words, self.window)
        self._stalled += not count
        if self._stalled > 2 * FRUITLESS_UPDATES:
            self._lose(self.window.end - self._limits.keep_s)
        self.bare_next = self._stalled >= FRUITLESS_UPDATES
        return count

    def _cut_anyway(self) -> None:
        """Cut where no gap is safe: in the loosest, at the frontier, or amid what nobody could recognize."""
        window = self.window
        gap = window.widest_gap(keep_words=1, keep_s=0.0)
        if gap is not None:
            self._cut(gap.middle)
        elif window.frontier > window.start:
            self._cut(window.frontier)
        elif self._tail or self._unheard_s >= UNHEARD_S:
            self._lose(window.end - self._limits.keep_s)
        else:
            self._cut(window.end - self._limits.keep_s)

    def _lose(self, until: float) -> None:
        """Give up audio whose words could not be settled, and say so."""
        begin = max(self.window.start, self._output.frontier)
        if until <= begin:
            return
        self._output.notices.append(Gap(begin, until, "unrecognized"))
        self._cut(until)
        self._moved, self._stalled = self.window.end, 0

    def _cut(self, at: float) -> None:
        gone = self.window.cut(at)
        self.history = (self.history + tuple(token for word in gone for token in word.tokens))[-CONTEXT_TOKENS:]


def _unsaid(words: Sequence[HeardWord], committed: Sequence[HeardWord]) -> list[HeardWord]:
    """Drop the words at the begin that a decoder which lost its place says again."""
    return list(dropwhile(lambda word: is_said_already(word, committed), words))


def _placed(words: Sequence[HeardWord], frontier: float, audio_end: float) -> list[Word]:
    placed = []
    for word in words:
        start = min(max(word.start, frontier), audio_end)
        frontier = min(max(word.end, start), audio_end)
        placed.append(Word(word.text, start, frontier, word.probability))
    return placed
