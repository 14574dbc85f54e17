"""The picture of the policies: how long a word waits, against how much of the offline translation is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.atomic import write_bytes
from benchmarks.pages import style

LABELS = {"": (True, False), "wait-": (False, True), "other": (True, True)}
"""Where a family's labels stand, so that they do not meet: left of the point, below it."""


Rows = Mapping[tuple[str, str], Mapping[str, float]]
"""Figures by direction and policy."""


def draw(file: Path, rows: Rows) -> Path:
    """Write the picture."""
    write_bytes(file, picture(rows))
    return file


def picture(rows: Rows) -> bytes:
    """One panel per direction, one point per policy: mean delay of a word against agreement; words a unit in brackets."""
    directions = list(dict.fromkeys(direction for direction, _ in rows))
    with style.panels(1, len(directions), width=5 * len(directions)) as (figure, axes):
        for axis, direction in zip(axes[0], directions, strict=True):
            points = {
                name: (figures["word_delay_s"], figures["agreement"])
                for (where, name), figures in rows.items()
                if where == direction
            }
            for family, color in (("", style.OURS), ("wait-", style.BEFORE)):
                chosen = [point for name, point in points.items() if _family(name) == family]
                axis.plot(*zip(*chosen, strict=True), color=color, marker="o", markersize=4, linewidth=1)
            others = [point for name, point in points.items() if _family(name) == "other"]
            axis.plot(*zip(*others, strict=True), color=style.WARM, marker="o", markersize=4, linewidth=0)
            for name, point in points.items():
                label = f"{name} ({rows[direction, name]['unit_words']:.1f})"
                left, below = LABELS[_family(name)] if name != "sentence-wise" else LABELS[""]
                axis.annotate(
                    label,
                    point,
                    xytext=(-6 if left else 6, -10 if below else 3),
                    textcoords="offset points",
                    ha="right" if left else "left",
                    rotation=0 if _family(name) == "other" else -25,
                    rotation_mode="anchor",
                    color=style.INK,
                    fontsize=7,
                )
            axis.set(title=direction, xlabel="mean delay of a word after its commit (s)")
            axis.margins(x=0.15, y=0.15)
            axis.set_xlim(left=-0.7)
            axis.set_xticks(range(4))
        axes[0][0].set_ylabel("agreement with whole sentences")
        return style.png(figure)


def _family(name: str) -> str:
    if name in {"low", "balanced", "quality"}:
        return ""
    return "wait-" if name.startswith("wait-") else "other"
