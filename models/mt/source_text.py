"""Source text as a model may be given it."""

from __future__ import annotations

import re
import unicodedata

_SPECIAL = re.compile(r"<\|[^<>|]{1,60}\|>|<｜[^<>｜]{1,60}｜>|</?s>|<pad>|<unk>|<2\w{2,8}>")
_JOINERS = "\u200c\u200d"  # they spell words in Persian and the Indic scripts, and join emoji


def clean(text: str) -> str:
    """The text in one line, without control characters and anything a model would take for its own marks."""
    kept = (letter if _readable(letter) else " " for letter in _SPECIAL.sub(" ", text))
    return " ".join("".join(kept).split())


def _readable(letter: str) -> bool:
    return letter in _JOINERS or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
