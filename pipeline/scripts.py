"""Writing that a program must know of to find words: scripts and languages without spaces, suffixes, ends of sentences."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

IDEOGRAPHS = (
    "\u2e80-\u2fdf"  # radicals of Chinese characters
    "\u3005-\u3007\u3021-\u302f\u3031-\u3035\u3038-\u303c"  # their marks and numerals, without punctuation
    "\u3040-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3100-\u312f\u31a0-\u31bf"  # bopomofo
    "\u31c0-\u31ef\u3200-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
"""Scripts of which a character is a word or nearly one, as the inside of a regular expression's character class."""

RUNNING_ON = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"
"""Scripts whose words only a dictionary tells apart: Thai, Lao, Tibetan, Burmese, Khmer; for a character class."""

SPACELESS = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my", "bo"})
"""Languages that write no space between words."""

SUFFIXING = frozenset({"ko", "tr", "fi", "hu", "et", "kk", "uz", "az", "ky", "mn", "ug", "tk", "tt", "eu", "ka"})
"""Languages whose suffixes attach to any word, names included."""

SENTENCE_END = ".?!…。？！؟।॥۔"  # noqa: RUF001
"""Punctuation that ends a sentence."""

_UNSPACED = re.compile(f"[{IDEOGRAPHS}{RUNNING_ON}]")


def speakable(text: str) -> bool:
    """Tell if there is anything to pronounce: a letter or a digit."""
    return any(character.isalnum() for character in text)


def is_unspaced(character: str) -> bool:
    """Return whether a character is of a script without spaces between words."""
    return _UNSPACED.match(character) is not None


@lru_cache(maxsize=1 << 14)
def is_letter(character: str) -> bool:
    """Return whether a character belongs to a word of a script that writes spaces: letter, mark, digit or underscore.

    A term of a script that writes spaces must not touch other letters (`Transformers` does not say `Transformer`); in the
    others every place is a boundary.
    """
    if not character or is_unspaced(character):
        return False
    return character == "_" or unicodedata.category(character)[0] in "LMN"
