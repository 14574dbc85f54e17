"""Kinds of files that hold films, and what each can hold (FFmpeg by PyAV)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import BadInput, nearest
from pipeline.sinks.writing import reason_of
from pipeline.sources.files import open_local

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream


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
    from av.stream import Disposition  # noqa: PLC0415

    return [
        stream
        for stream in container.streams
        if stream.type in {"video", "audio", "subtitle"}
        and stream.codec_context is not None
        and not stream.disposition & Disposition.attached_pic
    ]


def _lacking(codecs: Mapping[str, str], suffix: str) -> list[str]:
    """Name the codecs of streams, by decoder, that a container cannot hold."""
    import av  # noqa: PLC0415

    with av.open(os.devnull, "w", format=CONTAINERS[suffix].format) as container:
        return [about for decoder, about in codecs.items() if decoder not in container.supported_codecs]
