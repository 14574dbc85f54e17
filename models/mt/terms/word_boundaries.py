"""Letters between which no word ends, by script rather than by language.

A term of a script that writes spaces must not touch other letters (`Transformers` does not say `Transformer`); Han, kana,
Thai, Lao, Khmer and Burmese are written without spaces, so there every place is a boundary.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from pipeline.scripts import is_unspaced


@lru_cache(maxsize=1 << 14)
def is_letter(character: str) -> bool:
    """Return whether a character belongs to a word of a script that writes spaces: letter, mark, digit or underscore."""
    if not character or is_unspaced(character):
        return False
    return character == "_" or unicodedata.category(character)[0] in "LMN"
