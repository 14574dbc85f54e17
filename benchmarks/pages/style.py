"""One look for every picture: few inks, thin axes, room for labels, and files that say what made them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.atomic import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
OURS, BEFORE, WARM, GOOD = "#0b6bcb", "#9aa5b1", "#d64545", "#2f9e6e"

SETTINGS = {
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "savefig.dpi": 144,
}


@contextmanager
def panels(rows: int = 1, columns: int = 1, width: float = 7.0, height: float = 3.2) -> Iterator[tuple[Figure, Any]]:
    """A figure and its axes [rows, columns] in this look, without a display; freed at the end."""
    import matplotlib  # noqa: PLC0415  (loads slowly)
    from matplotlib.figure import Figure  # noqa: PLC0415

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots(rows, columns, squeeze=False)


def png(figure: Figure) -> bytes:
    """The picture as PNG, the same bytes for the same picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, file: Path) -> Path:
    """Write the picture, whole or not at all."""
    write_bytes(file, png(figure))
    return file
