"""The pictures of a run: where the time goes, how the lag moves, what was said when, and quality against latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.metrics.speech_latency import parts
from benchmarks.metrics.statistics import mean, percentile
from benchmarks.pages import style
from benchmarks.runs.row import Row
from benchmarks.runs.scoring import Scores

WATERFALL = {
    "context": ("waiting for context", "#b3cde3"),
    "text": ("recognize and translate", "#2a6f97"),
    "earlier": ("speech before it", "#e9c46a"),
    "speech": ("synthesize", "#014f86"),
}
MANY_UNITS = 80
LABELS = {"chrf": "chrF", "bleu": "BLEU"}


def waterfall_parts(row: Row) -> list[dict[str, float]]:
    """For each spoken unit what its ear-voice span consists of, in seconds: context, text, earlier speech, and the rest.

    Speech is made shortly before it can be played, so all the time from a unit's text to the end of the speech before it
    counts as that speech's; what is left is what synthesis kept a listener waiting.
    """
    found = []
    played_until_s = 0.0
    for unit in (unit for unit in row.units if unit.spoken):
        start_s, end_s = unit.start_s or 0.0, unit.end_s or 0.0
        free_s = played_until_s if unit.breath == unit.number else start_s
        earlier_s = max(0.0, min(start_s, free_s) - unit.committed_s)
        if unit.source:
            found.append(
                {
                    "context": parts(unit).policy_s,
                    "text": unit.committed_s - unit.heard_s,
                    "earlier": earlier_s,
                    "speech": start_s - unit.committed_s - earlier_s,
                }
            )
        played_until_s = max(played_until_s, end_s)
    return found


def waterfall(rows: Sequence[Row]) -> bytes | None:
    """Stacked bars of the mean parts over all units, and over the slowest tenth; None without spoken units."""
    units = [unit for row in rows for unit in waterfall_parts(row)]
    if not units:
        return None
    spans_s = [sum(unit.values()) for unit in units]
    slow_s = percentile(spans_s, 90)
    groups = {
        "all units": units,
        "slowest tenth": [one for one, span_s in zip(units, spans_s, strict=True) if span_s >= slow_s],
    }
    with style.panels(height=2.0) as (figure, axes):
        axis = axes[0][0]
        for place, (_, members) in enumerate(groups.items()):
            left = 0.0
            for name, (label, color) in WATERFALL.items():
                width = mean([unit[name] for unit in members])
                axis.barh(place, width, left=left, color=color, label=None if place else label)
                if width > 0.15:
                    dark = name in {"text", "speech"}
                    axis.text(left + width / 2, place, f"{width:.1f}", ha="center", va="center", color="w" if dark else "k")
                left += width
        axis.set_yticks(range(len(groups)), list(groups))
        axis.invert_yaxis()
        axis.set_xlim(0, 1.05 * max(mean([sum(unit.values()) for unit in members]) for members in groups.values()))
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
        lags_s = [parts(unit).ear_voice_s for unit in units]
        many = len(units) > MANY_UNITS and name == "minutes"
        axis.plot(times, lags_s, color=style.OURS, marker=".", linewidth=0 if many else 0.8, alpha=0.4 if many else 1)
        if many:
            axis.plot(*_medians(times, lags_s), color=style.OURS, linewidth=1.5, label="median of a minute")
            figure.legend(loc="outside upper right")
        skipped = [unit.source_end_s / scale for unit in row.units if not unit.spoken]
        axis.plot(skipped, [0] * len(skipped), "x", color=style.WARM, clip_on=False)
        if skipped:
            axis.annotate("not spoken", (skipped[0], 0), textcoords="offset points", xytext=(4, 6), color=style.WARM)
        axis.set(xlabel=f"{name} into the recording", ylabel="lag, seconds", title=row.utterance, ylim=(0, None))
        return style.png(figure)


def _medians(minutes: Sequence[float], lags_s: Sequence[float]) -> tuple[list[float], list[float]]:
    """The middle of each minute, and the median lag in it."""
    groups: dict[int, list[float]] = {}
    for minute, lag_s in zip(minutes, lags_s, strict=True):
        groups.setdefault(int(minute), []).append(lag_s)
    return [minute + 0.5 for minute in groups], [percentile(group, 50) for group in groups.values()]


def timeline(row: Row, longest_s: float = 45.0) -> bytes | None:
    """Draw what was said when: each unit's source words above, its speech below, joined by a line."""
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
        axis.set(
            xlabel="ear-voice span, seconds: median, and line to the 90th percentile", ylabel=LABELS.get(quality, quality)
        )
        axis.set_xlim(0, None)
        axis.margins(y=0.3)
        return style.png(figure)
