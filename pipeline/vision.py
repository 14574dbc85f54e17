"""The ports of what is seen beside what is heard: frames with stream time, and readers of the text in them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import Backend

Pixels = NDArray[np.uint8]
"""A picture as red, green and blue [height, width, 3]."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture that was to be seen at ``at`` seconds of stream time (none: now): pixels, or a JPEG, PNG or WebP file."""

    picture: Pixels | bytes
    at: float | None = None


class FrameSource(Protocol):
    """Pictures that come in, in order."""

    def __aiter__(self) -> AsyncGenerator[Frame, None]: ...


@runtime_checkable
class Seeing(Protocol):
    """A recognizer's stream (`Listening`) that sees who speaks, too, such as an audio-visual one."""

    def see(self, frame: Frame) -> None:
        """Take a picture, before the sound that follows it; there may be none, or late ones. Returns at once."""


@dataclass(frozen=True, slots=True)
class Page:
    """The outcome of reading a picture: its lines, top to bottom, and the names and terms in them, in that order.

    Both are None if the picture looks as the one before; ``looks`` is what the next is compared with.
    """

    lines: tuple[str, ...] | None
    names: tuple[str, ...] | None
    looks: bytes


class TextReader(Protocol):
    """A loaded reader, shared by all sessions; it works beside them and holds none of them up."""

    async def read(self, picture: Pixels | bytes, looked: bytes, languages: Sequence[str]) -> Page:
        """Read a picture, unless it looks as the one before did.

        Words that are ordinary in any of the languages are no names. Raises `BadInput` for what is no picture or too
        large, `ModelError` where reading fails or hangs.
        """


class TextReaderBackend(Backend[TextReader], Protocol):
    """A backend that reads text in pictures, beside the stages."""
