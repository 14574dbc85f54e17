"""The picture of pace control: lag over a talk, with and without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.pages import style

Line = tuple[Sequence[float], Sequence[float]]
"""Minutes into the talk, and the lag then in seconds."""


def draw(file: Path, talks: Mapping[str, tuple[Line, Line]], limit_s: float) -> Path:
    """One panel per talk, (without, with) control each, on one logarithmic axis: minutes late against seconds late."""
    with style.panels(1, len(talks), width=3.6 * len(talks) + 0.6) as (figure, axes):
        for axis, (name, (without, controlled)) in zip(axes[0], talks.items(), strict=True):
            axis.plot(*without, color=style.BEFORE, linewidth=1)
            axis.plot(*controlled, color=style.OURS, linewidth=0.8)
            axis.axhline(limit_s, color=style.WARM, linewidth=0.8, linestyle=(0, (4, 3)))
            axis.set(yscale="log", title=name, xlabel="minutes into the talk", ylim=(1, 800))
            ticks = {1: "1 s", 2: "2 s", 4: "4 s", 8: "8 s", 30: "30 s", 60: "1 min", 240: "4 min", 480: "8 min"}
            axis.set_yticks(list(ticks), list(ticks.values()), minor=False)
            axis.minorticks_off()
            axis.text(without[0][-1], without[1][-1] * 1.15, "without", color=style.MUTED, ha="right")
            axis.text(without[0][-1], limit_s * 1.15, "with pace control", color=style.OURS, ha="right")
        axes[0][0].set_ylabel("lag behind the speaker")
        return style.save(figure, file)
