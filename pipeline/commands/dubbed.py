"""Outputs that carry picture and translated speech: a film as a file, and a live broadcast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.commands.translate_plan import Plan
from pipeline.contracts import Sink
from pipeline.sinks.broadcast import Broadcast
from pipeline.sinks.film import Film
from pipeline.sinks.film_container import is_film
from pipeline.sources.packet_tap import PacketTap


def dubbed(plan: Plan, length_s: float | None, tap: PacketTap | None, tell: Callable[[str], None]) -> Iterator[Sink]:
    """Open the film or broadcast that a plan asks for, if any; the picture of a broadcast is what ``tap`` gets."""
    options, request = plan.options, plan.resolved.request
    pace = plan.profile.pace if plan.profile else None
    speaks_own = request.same_language == "speak"
    if options.out is not None and is_film(options.out):
        film = Film(
            Path(options.files[0]),
            options.out,
            targets=request.targets,
            spoken=request.spoken_targets,
            language=request.languages[0] if len(request.languages) == 1 else "",
            pace=pace,
            speaks_own=speaks_own,
            original=options.original,
            length_s=length_s,
            tell=tell,
        )
        yield options.sharing.redacting(film)
    if options.broadcast is not None:
        if isinstance(options.broadcast.place, str):
            tell("notice: an RTMP stream has no captions; --captions FILE writes them")
        broadcast = Broadcast(
            options.broadcast.destination,
            tap,
            targets=request.targets,
            spoken=request.spoken_targets,
            delay_s=options.broadcast.delay_s,
            pace=pace,
            speaks_own=speaks_own,
            original=options.original,
            tell=tell,
        )
        yield options.sharing.redacting(broadcast)
