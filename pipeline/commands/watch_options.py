"""Options about what is seen beside what is heard."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import BadInput

if TYPE_CHECKING:
    from pipeline.stages.see import Watching

FILM = "film"


def add_watch_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    seen = parser.add_argument_group("what is seen (pip install 'translate-live[vision]')")
    seen.add_argument(
        "--watch",
        metavar="WHAT",
        help="read names on slides, so that they are heard right: in the film (film), on the screen (screen), in a region "
        "of it as 100,50,1280x720 (left, top, size), or by a camera as /dev/video0; with --server, pictures go there",
    )
    seen.add_argument("--keep-seen", action="store_true", help="names that are seen stay as they are in the translation")


def watching_of(arguments: argparse.Namespace, files: Sequence[str]) -> Watching | None:
    """Open what is watched; raises `BadInput` for what cannot be, and `DeviceError` where the screen cannot be seen."""
    from pipeline.clock import LoopClock  # noqa: PLC0415
    from pipeline.sources.frames import FilmFrames, watched  # noqa: PLC0415 - not for help
    from pipeline.stages.see import Watching  # noqa: PLC0415

    what, keep = arguments.watch, arguments.keep_seen
    if what is None:
        if keep:
            raise BadInput("--keep-seen does nothing without --watch", hint="--watch film --keep-seen, or neither")
        return None
    if what != FILM:
        return Watching(live=watched(what, LoopClock()), keep=keep)
    if len(files) != 1 or files[0] == "-" or "://" in files[0]:
        raise BadInput("--watch film watches one film, which is a file", hint="one film, or --watch screen")
    return Watching(film=FilmFrames(files[0]), keep=keep)
