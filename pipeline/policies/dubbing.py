"""Placing of units in a film: their speech may lie at the time of its source (pure).

A live listener hears a translation after its source; in a film it can lie beside it. Each unit begins where its source
words begin, or where the speech before it ends; it is hurried, up to the pace's maximal rate, as far as the next one needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pipeline.policies.pace import AT_ONCE_S, PaceOptions

DELAY_S = 8.0
"""The default delay of a broadcast: a unit's length and the ear-voice span of nearly all units (docs/film.md)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Decision for a unit: begin its speech at ``start`` (seconds of the source) and play it at ``rate``."""

    start: float
    rate: float


def unhurried(options: PaceOptions) -> PaceOptions:
    """Give the pace of a session whose speech is placed afterwards: as it is said, nothing merged or skipped."""
    still = replace(options, follow_speaker=False, max_pause_s=0.0)
    return replace(still, max_rate=1.0, full_backlog_s=1e9, max_lag_s=1e9)


def at_once(options: PaceOptions, delay_s: float) -> PaceOptions:
    """Give the pace of a live session whose speech is placed ``delay_s`` later: each unit is spoken when it comes.

    Those that would come too late even so are skipped before they are spoken.
    """
    return replace(unhurried(options), lead_s=AT_ONCE_S, max_lag_s=options.max_lag_s + delay_s)


def place(wanted: float, free: float, natural_s: float, following: float, options: PaceOptions) -> Place | None:
    """Place speech of ``natural_s`` seconds whose source begins at ``wanted``, not before the track is ``free``.

    ``following`` is where the source of the next unit begins (infinity: there is none). None: the unit would come more
    than the pace allows behind its source, and make the next one as late.
    """
    start = max(wanted, free)
    end = start + natural_s / options.max_rate
    if start - wanted > options.max_lag_s and math.isfinite(following) and end - following > options.max_lag_s:
        return None
    room_s = following - start
    rate = options.max_rate if room_s <= 0 else min(max(1.0, natural_s / room_s), options.max_rate)
    return Place(start, rate)
