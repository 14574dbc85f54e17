"""Model output made safe to show: a terminal or a caption file would obey control characters."""

from __future__ import annotations

from unicodedata import category


def legible(text: str) -> str:
    """The text in one line, without control characters and half characters (lone surrogates)."""
    if not text.isprintable():
        text = "".join(" " if category(character) in {"Cc", "Cs"} else character for character in text)
    return " ".join(text.split())
