"""The pictures of stage results: against peers as ratios, and what people would rather look at than read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from benchmarks.pages import policy_picture, style
from benchmarks.stages.peers import Comparison, comparisons
from benchmarks.stages.result import StageResult

Line = tuple[Sequence[float], Sequence[float]]

LEAST_BARS, MOST_BARS = 2, 16
COST_COLORS = {"mel": "#e9c46a", "encode": "#014f86", "generate": "#5b8fc7", "align": "#b3cde3"}


def draw(result: StageResult) -> dict[str, bytes]:
    """The pictures that a result can fill, by title; ratios where nothing else tells them."""
    made = {
        "Delay against agreement, by policy": _policies(result.figures),
        "Lag as translations grow longer": _lags(result.figures),
        "Cost of one update": _costs(result.figures),
        "More streams at once": _streams(result.figures),
    }
    pictures = {title: picture for title, picture in made.items() if picture}
    if not pictures and (bars := ratios(comparisons(result.stage, result.figures))):
        pictures["How many times better than its peers"] = bars
    return pictures


def ratios(found: Sequence[Comparison]) -> bytes | None:
    """A bar per comparison on a logarithmic axis, to the right of 1 we are better; none for a single one.

    One with zero on a side has no place there, and how many are left out is said.
    """
    shown = [one for one in found if math.isfinite(one.advantage) and one.advantage > 0][:MOST_BARS]
    left_out = len(found) - len(shown)
    if len(shown) < LEAST_BARS:
        return None
    with style.panels(height=0.9 + 0.34 * len(shown)) as (figure, axes):
        axis = axes[0][0]
        for place, one in enumerate(shown):
            better = one.advantage >= 1
            axis.barh(place, one.advantage - 1, left=1, color=style.OURS if better else style.WARM, height=0.6)
            axis.annotate(
                f"{one.advantage:.2f}",
                (one.advantage, place),
                xytext=(4 if better else -4, 0),
                textcoords="offset points",
                ha="left" if better else "right",
                va="center",
            )
        axis.set_yticks(range(len(shown)), [f"{one.what}\nagainst {one.peer}" for one in shown], fontsize=7)
        axis.invert_yaxis()
        low, high = min(1.0, *(one.advantage for one in shown)), max(1.0, *(one.advantage for one in shown))
        room = math.exp(0.35 + 0.15 * math.log(high / low))  # for the numbers at both ends
        more = f"; {left_out} more in the table only" if left_out else ""
        axis.set(xscale="log", xlim=(low / room, high * room), xlabel=f"times better (logarithmic){more}")
        axis.axvline(1, color=style.INK, linewidth=0.8)
        _plain_ticks(axis, low / room, high * room)
        axis.grid(visible=False, axis="y")
        return style.png(figure)


def _plain_ticks(axis: object, low: float, high: float) -> None:
    """Numbers such as 0.5 and 20, not powers of ten."""
    every = [0.01, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000]
    ticks = [tick for tick in every if low <= tick <= high]
    thin = [tick for tick in ticks if tick in {0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}]
    decades = [tick for tick in ticks if tick in {0.01, 0.1, 1, 10, 100, 1000}]
    chosen = ticks if high / low < 9 else thin if high / low < 3000 else decades
    axis.set_xticks(chosen, [f"{tick:g}" for tick in chosen])  # type: ignore[attr-defined]
    axis.minorticks_off()  # type: ignore[attr-defined]


def _policies(figures: Mapping[str, float]) -> bytes | None:
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for name, value in figures.items():
        if name.count("/") == 2:
            way, policy, figure = name.split("/")
            rows.setdefault((way, policy), {})[figure] = value
    return policy_picture.picture(rows) if rows else None


def _lags(figures: Mapping[str, float]) -> bytes | None:
    """p95 lag over the length of the translation, a panel for each pause, with and without control."""
    lines: dict[str, dict[bool, list[tuple[float, float]]]] = {}
    for name, value in figures.items():
        if match := re.fullmatch(r"lag_p95_s_x([0-9.]+)_pause([0-9.]+)(_uncontrolled)?", name):
            lines.setdefault(match[2], {}).setdefault(match[3] is None, []).append((float(match[1]), value))
    if not lines:
        return None
    with style.panels(1, len(lines), width=3.6 * len(lines) + 0.4, height=2.9) as (figure, axes):
        for axis, (pause, both) in zip(axes[0], lines.items(), strict=True):
            for controlled, points in both.items():
                color, label = (style.OURS, "with pace control") if controlled else (style.BEFORE, "without")
                axis.plot(*zip(*sorted(points), strict=True), color=color, marker="o", markersize=4, label=label)
            axis.axhline(8, color=style.WARM, linewidth=0.8, linestyle=(0, (4, 3)))
            axis.set(yscale="log", title=f"pauses of {pause} s", xlabel="length of the translation, in source lengths")
            axis.set_ylim(2, 600)
            axis.set_yticks([2, 4, 8, 30, 60, 240, 480], ["2 s", "4 s", "8 s", "30 s", "1 min", "4 min", "8 min"])
            axis.minorticks_off()
        axes[0][0].set_ylabel("lag, 95th percentile")
        axes[0][0].legend(loc="upper left")
        return style.png(figure)


def _costs(figures: Mapping[str, float]) -> bytes | None:
    """A stacked bar for each size of the model: mel, encode, generate, align, in seconds."""
    sizes = [match[1] for name in figures if (match := re.fullmatch("cost_(.+)_total_ms", name))]
    if not sizes:
        return None
    with style.panels(height=0.9 + 0.35 * len(sizes)) as (figure, axes):
        axis = axes[0][0]
        lefts = [0.0] * len(sizes)
        for part, color in COST_COLORS.items():
            widths = [figures[f"cost_{size}_{part}_ms"] / 1000 for size in sizes]
            axis.barh(range(len(sizes)), widths, left=lefts, color=color, height=0.6, label=part)
            lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
        for place, total_s in enumerate(lefts):
            axis.annotate(f"{total_s:.3g} s", (total_s, place), xytext=(4, 0), textcoords="offset points", va="center")
        axis.set_yticks(range(len(sizes)), sizes)
        axis.invert_yaxis()
        axis.margins(x=0.1)
        axis.set(xlabel="seconds an update")
        axis.grid(visible=False, axis="y")
        figure.legend(loc="outside upper center", ncols=4)
        return style.png(figure)


def _streams(figures: Mapping[str, float]) -> bytes | None:
    """First audio and milliseconds a frame over the number of streams, a line for each size; none for a single stream."""
    kinds = {"ttfa_p95_ms": "first audio, p95 (ms)", "ms_per_frame": "ms a frame of all streams"}
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for name, value in figures.items():
        if match := re.fullmatch(rf"({'|'.join(kinds)})_(.+)_s([0-9]+)", name):
            lines.setdefault((match[1], match[2]), []).append((int(match[3]), value))
    lines = {key: sorted(points) for key, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    with style.panels(1, 2, width=7.6, height=2.9) as (figure, axes):
        for axis, (kind, title) in zip(axes[0], kinds.items(), strict=True):
            chosen = [(size, points) for (of, size), points in lines.items() if of == kind]
            for index, (size, points) in enumerate(chosen):
                color = (style.OURS, style.GOOD, style.WARM)[index % 3]
                axis.plot(*zip(*points, strict=True), color=color, marker="o", markersize=4, label=size)
            counts = sorted({count for _, points in chosen for count, _ in points})
            axis.set(xscale="log", title=title, xlabel="streams at once", ylim=(0, None))
            axis.set_xticks(counts, [str(count) for count in counts])
            axis.minorticks_off()
        axes[0][0].legend()
        return style.png(figure)
