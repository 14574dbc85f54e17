"""The text of captions as players show it: what was said and nothing else, in its direction, without stray capitals."""

from __future__ import annotations

import re
from calendar import day_name, month_name
from html import escape
from unicodedata import bidirectional

from pipeline.events import ReadingUnit, text_of
from pipeline.languages import language_names, primary
from pipeline.scripts import SENTENCE_END
from pipeline.sinks.plain_text import legible

_EMBED, _POP = "\u202b", "\u202c"  # right-to-left embedding: older players know no isolates
_JOINER = "\u2060"  # no width: parts what a player would take for markup
_MARKUP = re.compile(r"<(?=\s*/?\s*[A-Za-z])|\{(?=\\)")
_CLOSING = "\"'”’»)]"  # noqa: RUF001
_NOUNS = {"de", "lb"}  # languages that capitalize every noun
_NAMES = {*day_name, *month_name, "I", *(name for named in language_names().values() for name in named.split())}
"""Words that English, unlike most languages, begins with a capital."""


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
