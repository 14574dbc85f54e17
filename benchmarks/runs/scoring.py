"""From rows to figures: a pure function of a run's files, so it can be done again, elsewhere, with the same result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from benchmarks.corpora.utterance import Utterance
from benchmarks.metrics import speech_latency
from benchmarks.metrics.definitions import definition_of
from benchmarks.metrics.emission import Emission, Segment, split_units, spread
from benchmarks.metrics.quality import character_error_rate, term_accuracy, text_score, word_error_rate
from benchmarks.metrics.speech_latency import Chunk, average_token_delay
from benchmarks.metrics.statistics import bootstrap, mean, percentile
from benchmarks.metrics.text_latency import long_form, resegment, short_form
from benchmarks.runs.folder import RunFolder
from benchmarks.runs.row import Row, physics
from pipeline.errors import BadInput
from pipeline.scripts import SPACELESS

FEEDER_LIMIT_MS = 10.0
LEAST_DOCUMENTS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, what it means, on which clock, and of how many utterances."""

    value: float | None
    definition: str
    n: int


@dataclass(frozen=True, slots=True)
class Scores:
    """All figures of a run, signatures of its quality scores, what is wrong with it, and 95 % intervals by documents."""

    figures: dict[str, Figure]
    signatures: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    skipped_scorers: dict[str, str] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    v: int = 1

    def value(self, name: str) -> float:
        """A figure's number; NaN where it has none."""
        figure = self.figures.get(name)
        return math.nan if figure is None or figure.value is None else figure.value


def score(utterances: Sequence[Utterance], rows: Sequence[Row]) -> Scores:
    """Every figure of a run; utterances without a row are missing and said to be, failures are scored as empty.

    Raises `BadInput` for rows of several clocks, or of utterances that are not in the manifest.
    """
    pairs = _paired(utterances, rows)
    if not pairs:
        return Scores({}, flags=("no utterance has been measured",))
    clock = pairs[0][1].clock
    language = pairs[0][0].target_language
    emissions = [emission(utterance, row) for utterance, row in pairs]
    quality, signatures = _quality(pairs, language)
    numbers = {
        **_counts(pairs),
        **speech_latency.figures([row for _, row in pairs]),
        **speech_latency.busy_figures([row for _, row in pairs]),
        **_text_latency(emissions, clock != "cu"),
        "atd_s": mean([delay for _, row in pairs if not math.isnan(delay := token_delay_s(row))]),
        "erasure": _erasure(pairs, language),
        **quality,
        "peak_memory_mb": max((row.peak_memory_mb or 0.0 for _, row in pairs), default=math.nan),
        "memory_growth_mb_per_minute": max(
            (row.memory_growth_mb_per_minute for _, row in pairs if row.memory_growth_mb_per_minute is not None),
            default=math.nan,
        ),
        "feeder_late_p99_ms": max(row.feeder_late_p99_ms for _, row in pairs),
    }
    figures = {name: _figure(name, value, clock, len(pairs)) for name, value in numbers.items()}
    return Scores(figures, signatures, tuple(_flags(utterances, pairs)), intervals=_intervals([row for _, row in pairs]))


def emission(utterance: Utterance, row: Row) -> Emission:
    """A row as text units with stamps in ms: a unit's words count as emitted, unaware, with the audio it was cut at."""
    language = utterance.target_language
    units: list[str] = []
    delays: list[float] = []
    elapsed: list[float] = []
    spoken: list[float] = []
    for unit in row.units:
        words = split_units(unit.text, language)
        units += words
        delays += [1000 * min(unit.heard_s, row.source_s)] * len(words)
        elapsed += [1000 * unit.committed_s] * len(words)
        begin_s, end_s = (unit.start_s, unit.end_s) if unit.spoken else (unit.committed_s, unit.committed_s)
        spoken += spread(len(words), 1000 * (begin_s or 0.0), 1000 * (end_s or 0.0))
    sentences = [
        Segment(1000 * sentence.offset_s, 1000 * sentence.duration_s, " ".join(sentence.reference.split()))
        for sentence in utterance.sentences
    ]
    return Emission(
        utterance.name,
        tuple(units),
        tuple(delays),
        tuple(elapsed),
        tuple(spoken),
        1000 * row.source_s,
        tuple(sentences),
        language in SPACELESS,
    )


def token_delay_s(row: Row) -> float:
    """Average Token Delay of what was spoken; a breath is one chunk."""
    heads = [unit for unit in row.units if unit.spoken and unit.breath == unit.number]
    heard = {unit.breath: unit.heard_s for unit in row.units if unit.spoken}
    return average_token_delay(
        [
            Chunk(min(heard[unit.number], row.source_s), unit.start_s, unit.end_s - unit.start_s)
            for unit in heads
            if unit.start_s is not None and unit.end_s is not None
        ]
    )


def _paired(utterances: Sequence[Utterance], rows: Sequence[Row]) -> list[tuple[Utterance, Row]]:
    known = {utterance.name: utterance for utterance in utterances}
    found = {row.utterance: row for row in rows}
    strangers = sorted(set(found) - set(known))
    if strangers:
        raise BadInput(f"rows of utterances that are not in the manifest: {', '.join(strangers[:3])}")
    if len({row.clock for row in rows}) > 1:
        raise BadInput(f"rows of several clocks: {', '.join(sorted({row.clock for row in rows}))}; a run has one")
    return [(utterance, found[utterance.name]) for utterance in utterances if utterance.name in found]


def _counts(pairs: Sequence[tuple[Utterance, Row]]) -> dict[str, float]:
    rows = [row for _, row in pairs]
    return {
        "utterances": float(len(rows)),
        "failed": float(sum(row.status == "failed" for row in rows)),
        "empty": float(sum(row.status == "empty" for row in rows)),
    }


def _text_latency(emissions: Sequence[Emission], computation_aware: bool) -> dict[str, float]:
    """Text latencies on the clocks a run has; several reference sentences make them long-form."""
    clocks = ("cu", "ca", "spoken") if computation_aware else ("cu",)
    several = any(len(emission.segments) > 1 for emission in emissions)
    figures: dict[str, float] = {}
    for clock in clocks:
        found = long_form(emissions, clock) if several else short_form(emissions, clock)
        figures |= {_latency_name(name, clock): value for name, value in found.items()}
    return figures


def _latency_name(name: str, clock: str) -> str:
    unit = "" if name in {"ap", "yaal_skipped", "segments_empty"} else "_s"
    return f"{name}_{clock}{unit}"


def _quality(pairs: Sequence[tuple[Utterance, Row]], language: str) -> tuple[dict[str, float], dict[str, str]]:
    hypotheses = [row.hypothesis for _, row in pairs]
    sentences = [sentence for pair in pairs for sentence in _sentences(*pair)]
    score = text_score([reference for reference, _ in sentences], [said for _, said in sentences], language)
    figures = {"bleu": score.bleu, "chrf": score.chrf}
    if any(row.heard for _, row in pairs):
        transcripts = [utterance.transcript for utterance, _ in pairs]
        heard = [row.transcript for _, row in pairs]
        figures["wer"] = word_error_rate(transcripts, heard, pairs[0][0].source_language)
        figures["cer"] = character_error_rate(transcripts, heard)
    if any(utterance.terms for utterance, _ in pairs):
        terms = [utterance.terms for utterance, _ in pairs]
        figures["term_accuracy"], _ = term_accuracy(terms, [utterance.transcript for utterance, _ in pairs], hypotheses)
    return figures, {"bleu": score.bleu_signature, "chrf": score.chrf_signature}


def _sentences(utterance: Utterance, row: Row) -> list[tuple[str, str]]:
    """References and what was said for them: a talk is cut where it fits its reference sentences best."""
    if len(utterance.sentences) == 1:
        return [(utterance.reference, row.hypothesis)]
    return [(instance.reference, instance.prediction) for instance in resegment(emission(utterance, row), "cu")]


def _intervals(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """95 % intervals of the ear-voice span, resampling documents; none for fewer than five, which tell too little."""
    documents: dict[str, list[float]] = {}
    for row in rows:
        spans = [speech_latency.parts(unit).ear_voice_s for unit in row.units if unit.spoken and unit.source]
        documents.setdefault(row.document, []).extend(spans)
    groups = [spans for spans in documents.values() if spans]
    if len(groups) < LEAST_DOCUMENTS:
        return {}
    found = {f"ear_voice_span_p{rank}_s": bootstrap(groups, partial(percentile, percent=rank)) for rank in (50, 90)}
    return {name: (interval.low, interval.high) for name, interval in found.items()}


def _erasure(pairs: Sequence[tuple[Utterance, Row]], language: str) -> float:
    kept = sum(len(split_units(row.hypothesis, language)) for _, row in pairs)
    return sum(row.erased for _, row in pairs) / kept if kept else math.nan


def _figure(name: str, value: float, clock: str, count: int) -> Figure:
    return Figure(None if math.isnan(value) else value, f"{definition_of(name).id}/{clock}", count)


def _flags(utterances: Sequence[Utterance], pairs: Sequence[tuple[Utterance, Row]]) -> list[str]:
    """Whatever makes a run doubtful, in words."""
    flags = [fault for _, row in pairs for fault in physics(row)]
    if missing := len(utterances) - len(pairs):
        flags.append(f"{missing} of {len(utterances)} utterances have no row: the run was not finished")
    late = [row.utterance for _, row in pairs if row.feeder_late_p99_ms > FEEDER_LIMIT_MS]
    if late:
        flags.append(f"frames of {len(late)} utterances came more than {FEEDER_LIMIT_MS:g} ms late (p99): {late[0]}, …")
    for status, meaning in (("failed", "ended with an error"), ("empty", "have no translation")):
        names = [row.utterance for _, row in pairs if row.status == status]
        if names:
            flags.append(f"{len(names)} utterances {meaning}: {', '.join(names[:3])}")
    return flags


def to_json(scores: Scores) -> str:
    """Scores as readable JSON, the same text for the same scores."""
    return msgspec.json.format(msgspec.json.encode(scores), indent=2).decode() + "\n"


def scores_of(folder: RunFolder) -> Scores:
    """Kept scores, with those of external scorers; raises `BadInput` for what is no run or broken."""
    file = folder.path / "scores.json"
    folder.about()
    if not file.exists():
        return score(folder.manifest(), folder.rows())
    try:
        return msgspec.json.decode(file.read_bytes(), type=Scores)
    except msgspec.DecodeError as error:
        raise BadInput(f"{file} is broken: {error}. Delete it and run `benchmarks score {folder.path}`") from error
