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
LARGEST_JPEG = 500_000  # bytes that a client may send to a server
GRID = (18, 32)
ANOTHER_LEVEL = 6.0  # of 255: noise of cameras and codecs moves the mean of a cell less


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


@runtime_checkable
class LoadedLate(Protocol):
    """A reader that is loaded when it is first needed."""

    async def ready(self) -> None:
        """Load it, unless it is; raises what loading raises."""


class TextReaderBackend(Backend[TextReader], Protocol):
    """A backend that reads text in pictures, beside the stages."""


def rgb(picture: Pixels) -> Pixels:
    """Give a picture that may be gray, or have alpha, as `Pixels`."""
    channels = np.atleast_3d(picture)
    return channels[:, :, :3] if channels.shape[2] >= 3 else np.repeat(channels[:, :, :1], 3, 2)  # noqa: PLR2004


def looks(picture: Pixels) -> bytes:
    """Give what a picture is compared by: the mean brightness (green) of 18 x 32 cells, or of pixels that are larger."""
    rows, columns = (np.linspace(0, size, cells + 1).astype(int) for size, cells in zip(picture.shape, GRID, strict=False))
    green = np.add.reduceat(np.add.reduceat(picture[:, :, 1].astype(np.int64), rows[:-1], 0), columns[:-1], 1)
    cells = green / np.outer(*(np.maximum(1, np.diff(places)) for places in (rows, columns)))
    return bytes(cells.round().astype(np.uint8))


def alike(one: bytes, other: bytes) -> bool:
    """Tell if two pictures look the same but for noise; nothing looks like nothing."""
    if len(one) != len(other):
        return False
    cells = [np.frombuffer(cells, np.uint8).astype(float) for cells in (one, other)]
    return bool((np.abs(cells[0] - cells[1]) <= ANOTHER_LEVEL).all())
