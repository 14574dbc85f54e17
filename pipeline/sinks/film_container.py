"""Kinds of files that hold films, what each can hold, and the speech that is added to them (FFmpeg by PyAV)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import BadInput, nearest
from pipeline.events import Samples
from pipeline.languages import iso_639_2, language_name
from pipeline.sinks.writing import reason_of
from pipeline.sources.files import open_local
from pipeline.sources.packet_tap import is_kept

if TYPE_CHECKING:
    from av import AudioFrame
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream


SAMPLE_RATE = 48_000  # of speech that is added


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file, by FFmpeg's names: its format, and how speech and captions are encoded in it."""

    format: str
    sound: str
    captions: str


CONTAINERS = {
    ".mp4": Container("mp4", "aac", "mov_text"),
    ".mov": Container("mov", "aac", "mov_text"),
    ".mkv": Container("matroska", "libopus", "subrip"),
    ".webm": Container("webm", "libopus", "webvtt"),
}


def is_film(path: Path) -> bool:
    """Tell by its suffix if a file is a film's."""
    return path.suffix.lower() in CONTAINERS


def check_film(source: Path, path: Path) -> None:
    """Raise `BadInput` if the container of ``path`` cannot hold what the film holds; names those that can."""
    import av  # noqa: PLC0415

    if path.suffix.lower() not in CONTAINERS:
        raise BadInput(f"{path}: {nearest(path.suffix, CONTAINERS)}")
    try:
        with open_local(source) as container:
            codecs = {
                stream.codec.name: f"{stream.codec.canonical_name} {'picture' if stream.type == 'video' else 'sound'}"
                for stream in kept_streams(container)
                if stream.type != "subtitle"
            }
    except (av.error.FFmpegError, OSError) as error:
        raise BadInput(f"{source} cannot be read: {reason_of(error)}", hint="another file") from error
    if lacking := _lacking(codecs, path.suffix.lower()):
        able = [str(path.with_suffix(suffix)) for suffix in CONTAINERS if not _lacking(codecs, suffix)]
        message = f"{path}: a {path.suffix} file cannot hold the {' and '.join(lacking)} of {source}"
        raise BadInput(message, hint=" or ".join(able) or "another source", code="container")


def kept_streams(container: InputContainer) -> list[Stream]:
    """List the streams that are copied: pictures that move, sound and captions."""
    return [stream for stream in container.streams if stream.type in {"video", "audio", "subtitle"} and is_kept(stream)]


def ai_generated(language: str) -> str:
    """Give the name of a track in a language."""
    return f"{language_name(language)} (AI-generated)"


def add_speech(out: OutputContainer, codec: str, language: str) -> Any:  # noqa: ANN401 - PyAV's types tell streams by literals
    """Add a track of translated speech, mono at `SAMPLE_RATE`; gives its stream."""
    stream: Any = out.add_stream(codec, rate=SAMPLE_RATE)
    stream.layout, stream.bit_rate = "mono", 96_000
    stream.metadata.update(language=iso_639_2(language), title=ai_generated(language))
    return stream


def sound_frame(samples: Samples, start: int) -> AudioFrame:
    """Make a frame of samples [n] at `SAMPLE_RATE` that begin at sample ``start``."""
    import av  # noqa: PLC0415

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), "flt", "mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
    return frame


def _lacking(codecs: Mapping[str, str], suffix: str) -> list[str]:
    """Name the codecs of streams, by decoder, that a container cannot hold."""
    import av  # noqa: PLC0415

    with av.open(os.devnull, "w", format=CONTAINERS[suffix].format) as container:
        return [about for decoder, about in codecs.items() if decoder not in container.supported_codecs]
