"""The option of where speech goes: a sound file, a dubbed film, a broadcast."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.commands.network_options import file_or_address, is_address
from pipeline.errors import BadInput
from pipeline.policies.pace import DELAY_S

if TYPE_CHECKING:
    from pipeline.sinks.live_writer import Destination

PLAYLIST = ".m3u8"
WINDOW_S = 60.0
DELAYS_S, LEAST_WINDOW_S = (1.0, 120.0), 20.0


@dataclass(frozen=True, slots=True)
class BroadcastAsked:
    """A broadcast to a server's address or the playlist of a folder, ``delay_s`` after what is heard."""

    place: str | Path
    delay_s: float
    window_s: float | None  # none: all of it is kept

    @property
    def destination(self) -> Destination:
        """Return the server or folder where it can be watched."""
        from pipeline.sinks.live_writer import HlsFolder, RtmpServer  # noqa: PLC0415 - help needs none of this

        return RtmpServer(self.place) if isinstance(self.place, str) else HlsFolder(self.place, self.window_s)


def add_out_arguments(speech: argparse._ArgumentGroup) -> None:
    """Declare the options."""
    speech.add_argument(
        "--out",
        type=file_or_address,
        metavar="FILE|URL",
        help="write it to a .wav or .flac file, of several languages one each; dub the film that is heard into a .mp4, "
        ".mov, .mkv or .webm file; or broadcast that film live, to rtmp://… with --allow-network or as HLS into a folder, "
        "show/live.m3u8",
    )
    speech.add_argument(
        "--delay",
        type=float,
        metavar="S",
        help=f"how long after what is heard a broadcast shows it, so that speech lies beside its picture ({DELAY_S:g})",
    )
    speech.add_argument(
        "--dvr-window",
        type=float,
        metavar="S",
        help=f"how far back an HLS broadcast can be watched; older segments are deleted ({WINDOW_S:g}; 0: none is)",
    )


def split_out(arguments: argparse.Namespace, files: Sequence[str], spoken: Sequence[str]) -> BroadcastAsked | None:
    """Give the broadcast that is asked for, if one is, and leave in ``arguments.out`` what is a file; raises `BadInput`."""
    out: Path | str | None = arguments.out
    is_broadcast = isinstance(out, str) or (out is not None and out.suffix.lower() == PLAYLIST)
    if not is_broadcast:
        for option, given in (("--delay", arguments.delay), ("--dvr-window", arguments.dvr_window)):
            if given is not None:
                hint = f"--out rtmp://… or --out live.m3u8 with {option}, or without it"
                raise BadInput(f"{option} does nothing without a broadcast", hint=hint)
        return None
    assert out is not None
    _check_broadcast(arguments, out, files, spoken)
    arguments.out = None
    delay_s = DELAY_S if arguments.delay is None else arguments.delay
    window_s = WINDOW_S if arguments.dvr_window is None else arguments.dvr_window
    return BroadcastAsked(out, delay_s, window_s or None)


def _check_broadcast(arguments: argparse.Namespace, out: Path | str, files: Sequence[str], spoken: Sequence[str]) -> None:
    from pipeline.sinks.live_stream import check_source  # noqa: PLC0415
    from pipeline.sinks.rtmp import SCHEMES, named  # noqa: PLC0415

    name = named(out) if isinstance(out, str) else str(out)
    if isinstance(out, str):
        scheme = urlsplit(out).scheme.lower()
        if scheme not in SCHEMES:
            valid = f"valid: {', '.join(SCHEMES)}, or a file"
            raise BadInput(f"--out: nothing can be sent to {scheme} addresses; {valid}")
        if not arguments.allow_network:
            hint = "--allow-network, or --out FOLDER/live.m3u8"
            raise BadInput(f"{name} is an address, and nothing is sent to a network unless you allow it", hint=hint)
        if len(spoken) > 1:
            hint = f"--speak {spoken[0]}, or --out FOLDER/live.m3u8"
            raise BadInput(f"an RTMP stream has one track of speech, not {len(spoken)}", hint=hint)
        if arguments.dvr_window is not None:
            raise BadInput("--dvr-window is for HLS: an RTMP server keeps what it likes", hint="without --dvr-window")
    if len(files) > 1 or "-" in files:
        raise BadInput(f"{name} is sent one film, address or microphone", hint="one of them to hear")
    if arguments.fast:
        raise BadInput("--fast is faster than a broadcast can be", hint="without --fast, or --out FILE.mp4")
    if arguments.captions_time == "speech":
        raise BadInput("--captions-time speech: a broadcast is spoken at the time of its source", hint="without it")
    if arguments.delay is not None and not DELAYS_S[0] <= arguments.delay <= DELAYS_S[1]:
        raise BadInput(f"--delay {arguments.delay:g}; valid: {DELAYS_S[0]:g} to {DELAYS_S[1]:g} seconds")
    if arguments.dvr_window and not LEAST_WINDOW_S <= arguments.dvr_window <= 10e6:  # noqa: PLR2004
        raise BadInput(f"--dvr-window {arguments.dvr_window:g}; valid: {LEAST_WINDOW_S:g} seconds or more, or 0")
    if files and not is_address(files[0]):
        check_source(Path(files[0]), "flv" if isinstance(out, str) else "hls")


def check_out(arguments: argparse.Namespace, files: Sequence[str]) -> None:
    """Check that speech is a sound file, or a track of the one film that is heard."""
    from pipeline.sinks.audio_writer import FORMATS  # noqa: PLC0415
    from pipeline.sinks.film_container import CONTAINERS, is_film  # noqa: PLC0415

    if not is_film(arguments.out):
        if arguments.out.suffix.lower() not in FORMATS:
            films = f"{', '.join(CONTAINERS)} (a dubbed film) or {PLAYLIST} (a live broadcast)"
            kinds = f"{', '.join(FORMATS)} (speech alone), {films}"
            raise BadInput(f"--out {arguments.out}: {arguments.out.suffix or 'no suffix'}; valid: {kinds}")
        return
    if arguments.mic or len(files) != 1 or files[0] == "-" or is_address(files[0]):
        raise BadInput(f"--out {arguments.out} dubs one film, which is a file", hint="--out FILE.wav, or one film to hear")
    if arguments.captions_time == "speech":
        raise BadInput(
            "--captions-time speech: a film is spoken at the time of its source", hint="without it, or --out FILE.wav"
        )
