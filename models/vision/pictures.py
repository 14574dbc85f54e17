"""Pictures as they come over a wire: decoded within bounds, and compared."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np

from pipeline.errors import BadInput
from pipeline.vision import Pixels

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 1920  # text that can be read from a seat is large enough then
GRID = (18, 32)
ANOTHER_LEVEL = 6.0  # of 255: noise of cameras and codecs moves the mean of a cell less


def decoded(data: bytes) -> Pixels:
    """Decode a picture, made smaller where it is large; raises `BadInput` for what is none, or too large to be one."""
    from PIL import Image, ImageOps  # noqa: PLC0415

    try:
        picture: Any = Image.open(BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > MOST_PIXELS:
            size = f"{picture.width} x {picture.height}"
            told = f"a picture of {size} is too large; valid: up to {MOST_PIXELS // 10**6} megapixels"
            raise BadInput(told, code="image")
        picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
        picture = ImageOps.exif_transpose(picture)
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"this is no whole picture; valid: {', '.join(FORMATS)}", code="image") from error


def looks(picture: Pixels) -> bytes:
    """Give what a picture is compared by: the mean brightness (green) of 18 x 32 cells."""
    rows, columns = (np.linspace(0, size, cells + 1).astype(int) for size, cells in zip(picture.shape, GRID, strict=False))
    if min(picture.shape[:2]) < max(GRID):
        return bytes(GRID[0] * GRID[1])
    green = np.add.reduceat(np.add.reduceat(picture[:, :, 1].astype(np.int64), rows[:-1], 0), columns[:-1], 1)
    cells = green / np.outer(np.diff(rows), np.diff(columns))
    return bytes(cells.round().astype(np.uint8))


def alike(one: bytes, other: bytes) -> bool:
    """Tell if two pictures look the same but for noise; nothing looks like nothing."""
    if len(one) != len(other):
        return False
    cells = [np.frombuffer(cells, np.uint8).astype(float) for cells in (one, other)]
    return bool((np.abs(cells[0] - cells[1]) <= ANOTHER_LEVEL).all())
