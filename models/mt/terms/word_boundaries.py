"""Where a word may begin and end, by script rather than by language.

A term of a script that writes spaces must not be glued to other letters (`Transformers` does not say `Transformer`); Han,
kana, Thai, Lao, Khmer and Burmese are written without spaces, so there every place is a boundary.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x30FF),  # CJK radicals, kana
    (0x3100, 0x312F),  # bopomofo
    (0x31A0, 0x9FFF),  # bopomofo extended, kana extensions, Han
    (0xF900, 0xFAFF),  # Han compatibility
    (0xFF66, 0xFF9F),  # half-width kana
    (0x20000, 0x323AF),  # Han extensions
)
SUFFIXING = frozenset({"ko", "tr", "fi", "hu", "et", "kk", "uz", "az", "ky", "mn", "ug", "tk", "tt", "eu", "ka"})
"""Languages whose suffixes attach to a term: there only its beginning is a boundary."""

UNSPACED_LANGUAGES = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my", "bo"})
"""Languages written without spaces; elsewhere a term of any script must stand apart from letters."""

SENTENCE_ENDS = frozenset(".!?…。！？؟।॥۔")


@lru_cache(maxsize=1 << 14)
def is_letter(character: str) -> bool:
    """Whether a character belongs to a word of a script that writes spaces: letter, mark, digit or underscore."""
    if not character:
        return False
    place = ord(character)
    if any(first <= place <= last for first, last in UNSPACED):
        return False
    return character == "_" or unicodedata.category(character)[0] in "LMN"
