"""The largest number that goes well, by doubling and then halving the gap. Pure: it asks, and is told."""

from __future__ import annotations

from collections.abc import Generator

_GAP_SHARE = 16


def trials(least: int, most: int) -> Generator[int, bool, int]:
    """Yields how many to try, is sent whether that went well, and returns the largest that did; 0: none.

    Exact up to 31; above, within a sixteenth: a finer answer is noise, and every trial takes its time.
    """
    good, bad, count = 0, most + 1, least
    while bad > most and good < most:
        if (yield count):
            good, count = count, min(2 * count, most)
        else:
            bad = count
    while bad <= most and bad - good > max(1, good // _GAP_SHARE):
        middle = (good + bad) // 2
        if (yield middle):
            good = middle
        else:
            bad = middle
    return good
