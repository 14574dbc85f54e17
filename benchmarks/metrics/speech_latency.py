"""Latency of spoken translation, from its definitions: ear-voice span and its parts, first audio, end lag, drift.

EVS(u) = start of u's playback - end of u's last source word = policy + compute + wait, where policy is the audio heard
beyond that word when u was cut, compute the time from then to u's first audible sample, and wait the time that sample
waited for speech before it. The three add up by construction; `parts` is tested for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.metrics.statistics import mean, percentile, slope_per_minute
from benchmarks.runs.row import Row, UnitRow

TOKEN_S = 0.3  # of Average Token Delay


@dataclass(frozen=True, slots=True)
class Parts:
    """An ear-voice span and what it consists of, in seconds."""

    ear_voice_s: float
    policy_s: float
    compute_s: float
    wait_s: float


def parts(unit: UnitRow) -> Parts:
    """The span of a unit that was spoken."""
    assert unit.start_s is not None
    assert unit.ready_s is not None
    return Parts(
        ear_voice_s=unit.start_s - unit.source_end_s,
        policy_s=unit.heard_s - unit.source_end_s,
        compute_s=unit.ready_s - unit.heard_s,
        wait_s=unit.start_s - unit.ready_s,
    )


def spoken(rows: Iterable[Row]) -> list[UnitRow]:
    """All units that were spoken."""
    return [unit for row in rows for unit in row.units if unit.spoken]


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """All speech latencies of a set of rows, pooled over units; of what is per recording the median, or the worst as named.

    A percentile is nearest-rank: a span that occurred. NaN where nothing was spoken. Units of foreign systems, which do not
    say what they cover, have no ear-voice span.
    """
    units = spoken(rows)
    spans = [parts(unit) for unit in units if unit.source]
    lags = [span.ear_voice_s for span in spans]
    everything = [unit for row in rows for unit in row.units]
    to_speak = [unit for unit in everything if unit.text.strip()]  # others' words were said before, or not translated
    talks = [row for row in rows if any(unit.spoken for unit in row.units)]
    return {
        "ear_voice_span_p50_s": percentile(lags, 50),
        "ear_voice_span_p90_s": percentile(lags, 90),
        "ear_voice_span_p95_s": percentile(lags, 95),
        "ear_voice_span_p99_s": percentile(lags, 99),
        "ear_voice_span_max_s": max(lags, default=math.nan),
        "policy_p50_s": percentile([span.policy_s for span in spans], 50),
        "compute_p50_s": percentile([span.compute_s for span in spans], 50),
        "compute_p95_s": percentile([span.compute_s for span in spans], 95),
        "wait_p50_s": percentile([span.wait_s for span in spans], 50),
        "wait_p95_s": percentile([span.wait_s for span in spans], 95),
        "first_audio_s": percentile([first_audio_s(row) for row in talks], 50),
        "first_audio_worst_s": max((first_audio_s(row) for row in talks), default=math.nan),
        "end_lag_s": percentile([end_lag_s(row) for row in talks], 50),
        "end_lag_worst_s": max((end_lag_s(row) for row in talks), default=math.nan),
        "drift_s_per_minute": mean([drift for row in talks if not math.isnan(drift := drift_s_per_minute(row))]),
        "units": float(len(everything)),
        "units_skipped_share": 1 - len(units) / len(to_speak) if to_speak else math.nan,
        "units_merged_share": mean([float(unit.breath != unit.number) for unit in units]),
        "units_hurried_share": mean([float(unit.rate > 1.1) for unit in units]),
        "median_unit_words": percentile([len(unit.source) for unit in everything], 50),
        "stalls": float(sum(unit.stalls for unit in units)),
        "stalled_s": math.fsum(unit.stalled_s for unit in units),
        "silence_ratio": mean([row.silence_ratio for row in rows if row.silence_ratio is not None]),
    }


def first_audio_s(row: Row) -> float:
    """First audible speech minus the onset of the source's speech."""
    return min(unit.audible_s for unit in row.units if unit.audible_s is not None) - row.onset_s


def end_lag_s(row: Row) -> float:
    """End of playback minus the end of the source's speech."""
    return max(unit.end_s for unit in row.units if unit.end_s is not None) - row.speech_end_s


def drift_s_per_minute(row: Row, least_s: float = 60.0) -> float:
    """Growth of the ear-voice span over a talk; NaN for talks shorter than ``least_s``, in which it would be noise."""
    units = [unit for unit in row.units if unit.spoken and unit.source]
    if row.source_s < least_s:
        return math.nan
    return slope_per_minute([unit.source_end_s for unit in units], [parts(unit).ear_voice_s for unit in units])


def busy_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Per stage: seconds of its model per second of source audio (compute_rtf), and their sum."""
    audio_s = math.fsum(row.source_s for row in rows)
    stages = sorted({stage for row in rows for stage in row.busy_s})
    busy = {stage: math.fsum(row.busy_s.get(stage, 0.0) for row in rows) for stage in stages}
    if not audio_s:
        return {}
    return {f"compute_rtf_{stage}": seconds / audio_s for stage, seconds in busy.items()} | {
        "compute_rtf": math.fsum(busy.values()) / audio_s
    }


@dataclass(frozen=True, slots=True)
class Chunk:
    """A step: ``read_s`` of source audio had been read when ``duration_s`` of speech began to be played at ``start_s``."""

    read_s: float
    start_s: float
    duration_s: float


def average_token_delay(chunks: Sequence[Chunk]) -> float:
    """Average Token Delay in seconds (Kano et al., Interspeech 2023): how late each 300 ms of translation is.

    NaN for no speech. Source and target speech are split into tokens of 300 ms. Target token t belongs to source token t,
    minus what the target is ahead of the source when its chunk begins, and never to one that had not been read; its delay
    is the end of the target token minus the end of that source token.
    """
    delays: list[float] = []
    source_before = target_before = 0
    for chunk in chunks:
        source_read = math.ceil(chunk.read_s / TOKEN_S - 1e-9)
        ahead = max(0, target_before - source_before)
        ends = _token_ends(chunk)
        for index, end_s in enumerate(ends, target_before + 1):
            matched = min(index - ahead, source_read)
            delays.append(end_s - min(max(matched, 0) * TOKEN_S, chunk.read_s))
        source_before, target_before = source_read, target_before + len(ends)
    return math.fsum(delays) / len(delays) if delays else math.nan


def _token_ends(chunk: Chunk) -> list[float]:
    count = math.ceil(chunk.duration_s / TOKEN_S - 1e-9)
    return [chunk.start_s + min((index + 1) * TOKEN_S, chunk.duration_s) for index in range(count)]
