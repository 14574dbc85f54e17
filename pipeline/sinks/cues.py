"""Caption cues from reading units (pure), so that no reader has to wait, hurry or guess, and their text as players show it.

A cue shows at most two lines of 42 columns in each language for 1 to 6 s, at the time its source was said, and never
together with another. The figures are those of subtitling practice (BBC subtitle guidelines; Netflix timed text style
guide: 42 characters a line, 17 characters a second, at most two lines).
"""

from __future__ import annotations

import math
import re
from calendar import day_name, month_name
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count, pairwise
from unicodedata import bidirectional, combining, east_asian_width

from pipeline.events import ReadingUnit, text_of
from pipeline.languages import language_names, primary
from pipeline.scripts import SENTENCE_END
from pipeline.sinks.plain_text import by_speaker, legible

LINE_COLUMNS = 42
SHORTEST_S = 1.0
LONGEST_S = 6.0
COLUMNS_PER_S = 17.0
_EMBED, _POP = "\u202b", "\u202c"  # right-to-left embedding: older players know no isolates
_JOINER = "\u2060"  # no width: parts what a player would take for markup
_MARKUP = re.compile(r"<(?=\s*/?\s*[A-Za-z])|\{(?=\\)")
_CLOSING = "\"'”’»)]"  # noqa: RUF001
_NOUNS = {"de", "lb"}  # languages that capitalize every noun
_NAMES = {*day_name, *month_name, "I", *(name for named in language_names().values() for name in named.split())}
"""Words that English, unlike most languages, begins with a capital."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Captions at one time."""

    start: float
    end: float
    source: str  # one or two lines, or empty
    target: str  # likewise
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text to show near its time: tokens (a word with the space before it) in each language."""

    start: float
    end: float
    source: tuple[str, ...]
    target: tuple[str, ...]
    speaker: str = ""

    def fits(self) -> bool:
        return _lines(self.source) is not None and _lines(self.target) is not None

    def joined(self, other: _Piece) -> _Piece:
        return _Piece(
            self.start, max(self.end, other.end), self.source + other.source, self.target + other.target, self.speaker
        )


class CueLayout:
    """Turns units, as they come, into cues that are final and of one speaker each.

    One piece of text is held back until the next begins or so much audio was heard that it does not matter: a cue's end,
    and whether it is so short that it must share a cue with the next, are known only then. With ``prefix`` a text whose
    speaker is not that of the text before begins with the name. A capital that only the cut of a unit made becomes small.
    """

    def __init__(self, prefix: bool = False) -> None:
        self._prefix = prefix
        self._named = {"source": "", "target": ""}  # the speaker of the last text
        self._before = ""  # the text of the last unit that has one
        self._held: _Piece | None = None
        self._free_from = 0.0

    def add(self, unit: ReadingUnit) -> list[Cue]:
        """Take the next unit; gives the cues that became final."""
        text = uncapitalized(unit, self._before)
        self._before = unit.text if unit.text.strip() else self._before
        source, target = self._prefixed("source", unit, text_of(unit.source)), self._prefixed("target", unit, text)
        return [cue for piece in _pieces(unit, source, target) for cue in self._add(piece)]

    def _prefixed(self, which: str, unit: ReadingUnit, text: str) -> str:
        if not text.strip() or not self._prefix or self._named[which] == unit.speaker:
            return text
        self._named[which] = unit.speaker
        return by_speaker(unit.speaker, text.lstrip())

    def heard(self, heard_s: float) -> list[Cue]:
        """Give the held cue if it could stay no longer, since audio was heard up to ``heard_s``."""
        if self._held is None or heard_s < self._end(self._held, math.inf):
            return []
        return self.finish()

    def finish(self) -> list[Cue]:
        """Give the held cue, if any."""
        cues = [self._place(self._held, math.inf)] if self._held else []
        self._held = None
        return cues

    def _add(self, piece: _Piece) -> list[Cue]:
        held, self._held = self._held, piece
        if held is None:
            return []
        short = piece.start - self._start(held) < SHORTEST_S
        if short and piece.speaker == held.speaker and (both := held.joined(piece)).fits():
            self._held = both
            return []
        return [self._place(held, piece.start)]

    def _start(self, piece: _Piece) -> float:
        return max(piece.start, self._free_from)

    def _end(self, piece: _Piece, before: float) -> float:
        start = self._start(piece)
        longer = max(columns("".join(text).strip()) for text in (piece.source, piece.target))
        wanted = max(piece.end, start + longer / COLUMNS_PER_S)
        return min(max(min(wanted, before), start + SHORTEST_S), start + LONGEST_S)

    def _place(self, piece: _Piece, before: float) -> Cue:
        """Make the cue of a piece, gone ``before`` the next begins if that leaves it the shortest time."""
        start, end = self._start(piece), self._end(piece, before)
        self._free_from = end
        return Cue(start, end, _lines(piece.source) or "", _lines(piece.target) or "", piece.speaker)


def _pieces(unit: ReadingUnit, source_text: str, target_text: str) -> Iterator[_Piece]:
    """Split a unit into as few equal pieces as fit a cue each; its time is divided evenly."""
    source, target = _tokens(source_text), _tokens(target_text)
    if not source and not target:
        return
    for number in count(1):
        step = (unit.end - unit.start) / number
        pieces = [
            _Piece(unit.start + step * index, unit.start + step * (index + 1), source_part, target_part, unit.speaker)
            for index, (source_part, target_part) in enumerate(
                zip(_parts(source, number), _parts(target, number), strict=True)
            )
        ]
        if all(piece.fits() for piece in pieces):
            yield from pieces
            return


def _parts(tokens: Sequence[str], number: int) -> list[tuple[str, ...]]:
    """Split tokens into ``number`` runs of about the same length."""
    cuts = [round(len(tokens) * index / number) for index in range(number + 1)]
    return [tuple(tokens[start:end]) for start, end in pairwise(cuts)]


def _tokens(text: str) -> list[str]:
    """Split a text into words with the space before them, and those wider than a line (or unspaced script) further."""
    tokens = []
    for word in legible(text).split():
        token = " "
        for character in word:
            if columns(token.strip() + character) > LINE_COLUMNS and not combining(character):
                tokens.append(token)
                token = ""
            token += character
        tokens.append(token)
    return tokens


def _lines(tokens: Sequence[str]) -> str | None:
    """Join tokens in one line, or in two of the most equal width; `None` if they do not fit."""
    whole = "".join(tokens).strip()
    if columns(whole) <= LINE_COLUMNS:
        return whole
    if columns(whole) > 2 * LINE_COLUMNS + 1:
        return None
    breaks = [("".join(tokens[:cut]).strip(), "".join(tokens[cut:]).strip()) for cut in range(1, len(tokens))]
    fitting = [lines for lines in breaks if max(map(columns, lines)) <= LINE_COLUMNS]
    return "\n".join(min(fitting, key=lambda lines: max(map(columns, lines)))) if fitting else None


def columns(text: str) -> int:
    """Measure a text in terminal columns: wide East Asian characters take two, combining marks none."""
    return sum(0 if combining(character) else 1 + (east_asian_width(character) in "WF") for character in text)


def shown(text: str, suffix: str) -> str:
    """Format lines for a file: markup in SRT or VTT is text, and lines of right-to-left scripts keep their direction."""
    if suffix == "vtt":
        text = escape(text, quote=False)
    else:
        text = _MARKUP.sub(lambda found: found[0] + _JOINER, text.replace("-->", "→"))
    if not is_right_to_left(text):
        return text
    return "\n".join(f"{_EMBED}{line}{_POP}" for line in text.split("\n"))


def timestamp(seconds: float, suffix: str) -> str:
    """Format a time of a cue in SRT or VTT; hours may have any number of digits."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{',' if suffix == 'srt' else '.'}{milliseconds:03d}"


def voice_tag(speaker: str) -> str:
    """Format WebVTT's tag for who speaks, which holds to the end of the cue (https://www.w3.org/TR/webvtt1/)."""
    return f"<v {escape(legible(speaker), quote=False)}>"


def is_right_to_left(text: str) -> bool:
    """Return whether a text begins with a right-to-left script, or has more letters of them than of others."""
    rightward = [direction == "L" for direction in map(bidirectional, text) if direction in {"L", "R", "AL"}]
    return bool(rightward) and (not rightward[0] or sum(rightward) < len(rightward) / 2)


def uncapitalized(unit: ReadingUnit, before: str) -> str:
    """Give a unit's text, its first letter small where only the cut made it a capital, in the middle of a sentence.

    ``before`` is the text so far. A capital stays where any of the words that were heard has one, since it may be a name.
    """
    text = unit.text
    ended = not before.strip() or before.rstrip().rstrip(_CLOSING)[-1:] in {*SENTENCE_END, ":"}
    source = text_of(unit.source)
    if ended or primary(unit.language) in _NOUNS or not source or source != source.lower() or source == source.upper():
        return text
    first, *_ = re.split(r"[^\w]", text.lstrip(), maxsplit=1)
    if not first or first[1:] != first[1:].lower() or first in _NAMES or not first[0].isupper():
        return text
    at = text.index(first)
    return text[:at] + first[0].lower() + text[at + 1 :]
