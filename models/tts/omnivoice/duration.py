"""Length of a unit's speech, reckoned from its characters and from speech of known length (as upstream does).

A character has a weight by its script: how long it takes to say beside a Latin letter. Short speech is slower than the
ratio says, so short estimates are raised.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from functools import lru_cache

_WEIGHTS = (
    (0x058F, 1.0), (0x08FF, 1.5), (0x0DFF, 1.8), (0x0EFF, 1.5), (0x109F, 1.8), (0x10FF, 1.0), (0x11FF, 2.5),
    (0x139F, 3.0), (0x177F, 1.0), (0x17FF, 1.8), (0x18FF, 1.0), (0x1C7F, 1.8), (0x1CBF, 1.0), (0x1CFF, 1.8),
    (0x1EFF, 1.0), (0x30FF, 2.2), (0x312F, 3.0), (0x318F, 2.5), (0xA4CF, 3.0), (0xA7FF, 1.0), (0xA82F, 1.8),
    (0xA87F, 1.0), (0xA95F, 1.8), (0xA97F, 2.5), (0xAAFF, 1.8), (0xAB2F, 3.0), (0xABBF, 1.0), (0xABFF, 1.8),
    (0xD7AF, 2.5), (0xFAFF, 3.0), (0xFDFF, 1.5), (0xFE6F, 1.0), (0xFEFF, 1.5), (0xFFEF, 1.0),
)  # fmt: skip
"""Last code point of a range and the weight of its letters; ranges of one weight side by side are one."""

_ENDS = [end for end, _ in _WEIGHTS]
_IDEOGRAPHS_BEYOND = 0x20000
_BY_CATEGORY = {"M": 0.0, "P": 0.5, "S": 0.5, "Z": 0.2, "N": 3.5}
_TATWEEL = "\u0640"  # lengthens a written word, not the spoken one
_SHORT_FRAMES = 50.0
_USUAL = ("Nice to meet you.", 25)
"""Text and frames of speech at the pace that is assumed where there is no reference."""


def estimated_frames(text: str, reference: tuple[str, int] | None = None) -> int:
    """Estimate the frames of ``text``, at least 1, at the pace of the ``reference`` (text, frames)."""
    known, frames = reference if reference is not None and reference[1] and _weight(reference[0]) else _USUAL
    estimate = _weight(text) / (_weight(known) / frames)
    if estimate < _SHORT_FRAMES:
        estimate = _SHORT_FRAMES * (estimate / _SHORT_FRAMES) ** (1 / 3)
    return max(1, int(estimate))


def _weight(text: str) -> float:
    return sum(_of_character(character) for character in text)


@lru_cache(maxsize=4096)
def _of_character(character: str) -> float:
    if character == _TATWEEL:
        return 0.0
    of_category = _BY_CATEGORY.get(unicodedata.category(character)[0])
    if of_category is not None:
        return of_category
    place = bisect_left(_ENDS, ord(character))
    if place < len(_WEIGHTS):
        return _WEIGHTS[place][1]
    return 3.0 if ord(character) > _IDEOGRAPHS_BEYOND else 1.0
