"""The summary of a session, computed from its event log alone: the same figures for people and benchmarks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

from pipeline.languages import same_language
from pipeline.sinks.event_json import Record
from pipeline.sinks.figures import SessionFigures, percentile, seconds

_PER_S = 1e9  # the log counts nanoseconds


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one session; NaN where nothing was heard or said.

    ``first_audio_s`` is from the first word's beginning to the first speech, an ear-voice span from the end of a unit's
    last source word to the beginning of its speech. ``rtf`` is wall time over audio time, and a stage's the time spent in
    its model. ``words_lost`` and ``words_doubled`` compare the words that were recognized with those that units cover;
    ``words_waiting`` are the last ones of a log that ends amid speech, which no unit covers yet, ``words_unspoken`` those
    of units that a session that speaks did not speak. Of several target languages, units are those of the one that is
    spoken (none: the first), lost and doubled words those of the worst. ``also_spoken`` are the figures of the other spoken
    targets.
    """

    audio_s: float = 0.0
    words: int = 0
    units: int = 0
    median_unit_words: float = math.nan
    words_lost: int = 0
    words_doubled: int = 0
    words_waiting: int = 0
    words_unspoken: int = 0
    units_spoken: int = 0
    units_skipped: int = 0
    first_audio_s: float = math.nan
    ear_voice_span_p50_s: float = math.nan
    ear_voice_span_p90_s: float = math.nan
    lag_p95_s: float = math.nan
    lag_end_s: float = math.nan
    highest_rate: float = math.nan
    rtf: float = math.nan
    stage_rtf: dict[str, float] = field(default_factory=dict)
    faults: int = 0
    also_spoken: dict[str, Summary] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        """Give all figures by name; those of a stage as ``rtf_recognize``, of another spoken target as ``fr_units``."""
        named = {name: value for name, value in asdict(self).items() if name not in {"stage_rtf", "also_spoken"}}
        for target, summary in self.also_spoken.items():
            named |= {f"{target}_{name}": value for name, value in summary.figures().items() if name in OF_TARGET}
        return named | {f"rtf_{stage}": value for stage, value in self.stage_rtf.items()}


OF_TARGET = {
    *("units", "median_unit_words", "words_unspoken", "units_spoken", "units_skipped", "first_audio_s"),
    *("ear_voice_span_p50_s", "ear_voice_span_p90_s", "lag_p95_s", "lag_end_s", "highest_rate"),
}
"""Figures that each spoken target has of its own."""

_READ: dict[str, tuple[str, ...]] = {
    "session": ("start_ns",),
    "Transcript": ("heard_ns", "committed"),
    "ReadingUnit": ("language", "source"),
    "Lag": ("unit", "start_ns", "ear_voice_ns", "rate"),
    "Skipped": ("first", "last"),
    "Busy": ("stage", "busy_ns"),
}
"""Fields that are read of each kind of event, besides ``at_ns``."""


def is_whole(record: Record) -> bool:
    """Tell if an event has all the fields that a summary reads."""
    words = [*record.get("committed", []), *record.get("source", [])]
    return all(key in record for key in ("at_ns", *_READ.get(record["event"], ()))) and all(
        isinstance(word, dict) and {"text", "start_ns"} <= word.keys() for word in words
    )


def summarize(records: Iterable[Record]) -> Summary:
    """Reckon the figures of a session from its log; one pass, in memory only what is needed."""
    kinds: dict[str, list[Record]] = {}
    for record in records:
        if record["event"] not in {"Draft", "SpeechChunk"}:
            kinds.setdefault(record["event"], []).append(record)
    by_target = _by_target(kinds)
    main, *others = [*_spoken(kinds, by_target), ""]
    also = {target: _summary(kinds, by_target, target) for target in others if target}
    return replace(_summary(kinds, by_target, main), also_spoken=also)


def _summary(kinds: dict[str, list[Record]], by_target: dict[str, list[Record]], target: str) -> Summary:
    """Reckon the figures with those units and that speech that are of a target."""
    kinds = kinds | {kind: _of(kinds.get(kind, []), target) for kind in ("Lag", "Skipped")}
    transcripts, lags = kinds.get("Transcript", []), kinds["Lag"]
    figures = _figures(kinds)
    words = [word for transcript in transcripts for word in transcript["committed"]]
    units = by_target.get(target, [])
    spans_s, audio_s = figures.spans_s, figures.audio_s
    waiting = _waiting(transcripts, by_target.values())
    lost, doubled = _coverage(words[: len(words) - waiting], by_target.values())
    return Summary(
        audio_s=audio_s,
        words=len(words),
        units=len(units),
        median_unit_words=percentile([len(unit["source"]) for unit in units], 50),
        words_lost=lost,
        words_doubled=doubled,
        words_waiting=waiting,
        words_unspoken=_unspoken(kinds, units) if lags else 0,
        units_spoken=len({lag["unit"] for lag in lags}),
        units_skipped=figures.skipped,
        first_audio_s=figures.first_audio_s,
        ear_voice_span_p50_s=percentile(spans_s, 50),
        ear_voice_span_p90_s=percentile(spans_s, 90),
        lag_p95_s=percentile(spans_s, 95),
        lag_end_s=spans_s[-1] if spans_s else math.nan,
        highest_rate=max((lag["rate"] for lag in lags), default=math.nan),
        rtf=_wall_s(kinds) / audio_s if audio_s else math.nan,
        stage_rtf=_stage_rtf(kinds.get("Busy", []), audio_s),
        faults=len(kinds.get("Fault", [])),
    )


def table(summary: Summary) -> str:
    """Format the figures for people, a line each."""
    first_s = summary.first_audio_s
    rows = [
        ("words heard", f"{summary.words} in {_length(summary)} of audio"),
        ("units", f"{summary.units}, median {summary.median_unit_words:g} words" if summary.units else "0"),
        ("spoken", f"{summary.units_spoken}, skipped {summary.units_skipped}"),
        ("first audio", "-" if math.isnan(first_s) else f"{first_s:.2f} s after the first word began"),
        ("ear-voice span", f"p50 {seconds(summary.ear_voice_span_p50_s)}, p90 {seconds(summary.ear_voice_span_p90_s)}"),
        ("lag", f"p95 {seconds(summary.lag_p95_s)}, at the end {seconds(summary.lag_end_s)}"),
        ("fastest speech", "-" if math.isnan(summary.highest_rate) else f"{summary.highest_rate:.2f} times its own rate"),
        *(row for target, also in summary.also_spoken.items() for row in _also(target, also)),
        *((f"real-time factor, {stage}", f"{value:.3f}") for stage, value in summary.stage_rtf.items()),
    ]
    problems = [
        (name, f"{count}")
        for name, count in (
            ("words lost", summary.words_lost),
            ("words doubled", summary.words_doubled),
            ("words not translated yet", summary.words_waiting),
            ("words not spoken", summary.words_unspoken),
            ("faults", summary.faults),
        )
        if count
    ]
    rows += problems
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _unspoken(kinds: dict[str, list[Record]], units: Sequence[Record]) -> int:
    """Count the source words of units that were skipped, or whose translation has no speech."""
    spoken = {lag["unit"] for lag in kinds.get("Lag", [])}
    skipped = {number for skip in kinds.get("Skipped", []) for number in range(skip["first"], skip["last"] + 1)}
    silent = [
        unit
        for unit in units
        if unit.get("unit") in skipped
        or (unit.get("text", "").strip() and unit.get("unit") not in spoken and not _is_own(unit))
    ]
    return sum(len(unit["source"]) for unit in silent)


def _is_own(unit: Record) -> bool:
    """Tell if a unit's words were said in its target language already, which is shown and need not be spoken."""
    return same_language(unit.get("source_language", ""), unit.get("target", ""))


def _length(summary: Summary) -> str:
    """Format the length of audio, which is not known without the log's first line."""
    return "an unknown length" if summary.words and not summary.audio_s else f"{summary.audio_s:.1f} s"


def _figures(kinds: dict[str, list[Record]]) -> SessionFigures:
    """Count again from the log what a session counted; without the log's first line no audio has a length."""
    figures = SessionFigures()
    begun = "session" in kinds
    start_ns = kinds["session"][0]["start_ns"] if begun else 0

    def moment(at_ns: int | None) -> float:
        return math.nan if at_ns is None else (at_ns - start_ns) / _PER_S

    for transcript in kinds.get("Transcript", []):
        heard_s = moment(transcript["heard_ns"]) if begun else math.nan
        figures.hear(heard_s, [moment(word["start_ns"]) for word in transcript["committed"]])
    for lag in kinds.get("Lag", []):
        figures.speak(moment(lag["start_ns"]), lag["ear_voice_ns"] / _PER_S)
    for skip in kinds.get("Skipped", []):
        figures.skip(skip["first"], skip["last"])
    return figures


def _wall_s(kinds: dict[str, list[Record]]) -> float:
    """Reckon the seconds from the first audio to the last event."""
    ends = [records[-1]["at_ns"] for records in kinds.values() if records]
    return float(max(ends) - kinds["session"][0]["at_ns"]) / _PER_S


def _stage_rtf(calls: Iterable[Record], audio_s: float) -> dict[str, float]:
    busy: Counter[str] = Counter()
    for call in calls:
        busy[call["stage"]] += call["busy_ns"]
    return {stage: busy_ns / _PER_S / audio_s for stage, busy_ns in busy.items()} if audio_s else {}


def _by_target(kinds: dict[str, list[Record]]) -> dict[str, list[Record]]:
    """Group units by target language, those without any included; older logs tell targets by the text's language."""
    sessions = kinds.get("session", [])
    units: dict[str, list[Record]] = {target: [] for session in sessions for target in session.get("to", [])}
    for unit in kinds.get("ReadingUnit", []):
        units.setdefault(unit["target"] if "target" in unit else unit["language"], []).append(unit)
    return units


def _spoken(kinds: dict[str, list[Record]], targets: Iterable[str]) -> list[str]:
    """List the targets that are spoken, or else the first."""
    known = list(targets)
    named = [one for log in kinds.get("session", []) for one in (log.get("spoken"), *log.get("also_spoken", []))]
    return [target for target in named if target in known] or known[:1]


def _of(records: Iterable[Record], target: str) -> list[Record]:
    """Choose the speech of a target; that of a session with one spoken target, in older logs, names none."""
    return [record for record in records if record.get("target", "") in {"", target}]


def _also(target: str, summary: Summary) -> list[tuple[str, str]]:
    span = f"p50 {seconds(summary.ear_voice_span_p50_s)}, p90 {seconds(summary.ear_voice_span_p90_s)}"
    return [
        (f"spoken, {target}", f"{summary.units_spoken}, skipped {summary.units_skipped}"),
        (f"ear-voice span, {target}", span),
    ]


def _waiting(transcripts: Sequence[Record], targets: Iterable[Sequence[Record]]) -> int:
    """Count the last words that no unit covers, of a log that a running session writes or a killed one left."""
    if not transcripts or transcripts[-1].get("ended", True):
        return 0
    covered = {_key(word) for units in targets for unit in units for word in unit["source"]}
    words = [_key(word) for transcript in transcripts for word in transcript["committed"]]
    return next((n for n, word in enumerate(reversed(words)) if word in covered), len(words))


def _coverage(words: Iterable[Record], targets: Iterable[Sequence[Record]]) -> tuple[int, int]:
    """Count recognized words that no unit of a target covers, and those covered twice; the worst target counts."""
    heard = Counter(_key(word) for word in words)
    counts = [Counter(_key(word) for unit in units for word in unit["source"]) for units in targets] or [Counter()]
    lost = max((heard - counted).total() for counted in counts)
    doubled = max((counted - heard).total() for counted in counts)
    return lost, doubled


def _key(word: Record) -> tuple[str, int]:
    return word["text"], word["start_ns"]
