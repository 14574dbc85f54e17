"""The pictures of a run: where the time goes, how the lag moves, what was said when, and quality against latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.metrics.speech_latency import parts
from benchmarks.metrics.statistics import percentile
from benchmarks.pages import style
from benchmarks.runs.row import Row, UnitRow
from benchmarks.runs.scoring import Scores

WATERFALL = {
    "context": ("waiting for context", "#b3cde3"),
    "text": ("recognize and translate", "#2a6f97"),
    "speech": ("synthesize", "#014f86"),
    "wait": ("speech before it", "#e9c46a"),
}


def waterfall_parts(units: Sequence[UnitRow]) -> dict[str, list[float]]:
    """Per unit, what its ear-voice span consists of: context, text, speech and wait, in seconds."""
    found: dict[str, list[float]] = {name: [] for name in WATERFALL}
    for unit in units:
        span = parts(unit)
        text_s = unit.committed_s - unit.heard_s
        for name, value in (
            ("context", span.policy_s),
            ("text", text_s),
            ("speech", span.compute_s - text_s),
            ("wait", span.wait_s),
        ):
            found[name].append(value)
    return found


def waterfall(rows: Sequence[Row]) -> bytes | None:
    """Stacked bars of the mean parts over all units, and over the slowest tenth; None without spoken units."""
    units = [unit for row in rows for unit in row.units if unit.spoken and unit.source]
    if not units:
        return None
    slow_s = percentile([parts(unit).ear_voice_s for unit in units], 90)
    groups = {"all units": units, "slowest tenth": [unit for unit in units if parts(unit).ear_voice_s >= slow_s]}
    with style.panels(height=2.0) as (figure, axes):
        axis = axes[0][0]
        for place, (_, members) in enumerate(groups.items()):
            left = 0.0
            for name, values in waterfall_parts(members).items():
                width = sum(values) / len(values)
                axis.barh(
                    place, width, left=left, color=WATERFALL[name][1], label=WATERFALL[name][0] if not place else None
                )
                if width > 0.15:
                    dark = name in {"text", "speech"}
                    axis.text(left + width / 2, place, f"{width:.1f}", ha="center", va="center", color="w" if dark else "k")
                left += width
        axis.set_yticks(range(len(groups)), list(groups))
        axis.invert_yaxis()
        axis.margins(x=0.05)
        axis.set(xlabel="seconds from the end of the source words to their speech (mean)")
        figure.legend(loc="outside upper center", ncols=4)
        return style.png(figure)


def lag_over_time(row: Row) -> bytes | None:
    """Ear-voice span of each unit over the recording; units that were not spoken as marks on the axis."""
    units = [unit for unit in row.units if unit.spoken and unit.source]
    if len(units) < 2:
        return None
    with style.panels(height=2.6) as (figure, axes):
        axis = axes[0][0]
        scale, name = (1, "seconds") if row.source_s < 120 else (60, "minutes")
        times = [unit.source_end_s / scale for unit in units]
        axis.plot(times, [parts(unit).ear_voice_s for unit in units], color=style.OURS, marker=".", linewidth=0.8)
        skipped = [unit.source_end_s / scale for unit in row.units if not unit.spoken]
        axis.plot(skipped, [0] * len(skipped), "x", color=style.WARM, clip_on=False)
        if skipped:
            axis.annotate("not spoken", (skipped[0], 0), textcoords="offset points", xytext=(4, 6), color=style.WARM)
        axis.set(xlabel=f"{name} into the recording", ylabel="lag, seconds", title=row.utterance, ylim=(0, None))
        return style.png(figure)


def timeline(row: Row, longest_s: float = 45.0) -> bytes | None:
    """What was said when: each unit's source words above, its speech below, joined by a line."""
    units = [unit for unit in row.units if unit.spoken and unit.source and unit.source_end_s <= longest_s]
    if not units:
        return None
    with style.panels(height=2.2) as (figure, axes):
        axis = axes[0][0]
        for index, unit in enumerate(units):
            color = (style.OURS, style.GOOD)[index % 2]
            begin_s = min(word.start_s for word in unit.source)
            start_s, end_s = unit.start_s or 0.0, unit.end_s or 0.0
            axis.barh(1, unit.source_end_s - begin_s, left=begin_s, height=0.35, color=color, alpha=0.35)
            axis.barh(0, end_s - start_s, left=start_s, height=0.35, color=color)
            axis.plot([unit.source_end_s, start_s], [0.82, 0.18], color=color, linewidth=1)
        axis.set_yticks([0, 1], ["translation", "source"])
        axis.set(xlabel="seconds", title=row.utterance, ylim=(-0.4, 1.4))
        axis.grid(visible=False, axis="y")
        return style.png(figure)


def quality_against_latency(runs: Mapping[str, Scores], quality: str = "chrf") -> bytes | None:
    """One point per run: median ear-voice span against quality, with the span's 90th percentile as a line to the right."""
    points = {
        name: (scores.value("ear_voice_span_p50_s"), scores.value("ear_voice_span_p90_s"), scores.value(quality))
        for name, scores in runs.items()
    }
    points = {name: point for name, point in points.items() if all(value == value for value in point)}  # noqa: PLR0124
    if not points:
        return None
    with style.panels(height=2.8) as (figure, axes):
        axis = axes[0][0]
        for name, (median_s, late_s, score) in points.items():
            axis.plot([median_s, late_s], [score, score], color=style.OURS, linewidth=1, alpha=0.5)
            axis.plot(median_s, score, "o", color=style.OURS)
            axis.annotate(name, (median_s, score), textcoords="offset points", xytext=(0, 7), ha="center")
        axis.set(xlabel="ear-voice span, seconds: median, and line to the 90th percentile", ylabel=quality, xlim=(0, None))
        axis.margins(y=0.3)
        return style.png(figure)
