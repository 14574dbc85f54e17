"""Compare two runs on the same data: differences with 95 % intervals, and a gate that fails on regression."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from benchmarks.corpora.utterance import Utterance
from benchmarks.metrics import speech_latency
from benchmarks.metrics.quality import text_score, word_error_rate
from benchmarks.metrics.statistics import Interval, Statistic, mean, paired_bootstrap, percentile
from benchmarks.runs.folder import RunFolder
from benchmarks.runs.row import Row
from pipeline.errors import BadInput, TranslateLiveError, nearest

Groups = list[list[float]]


class Regression(TranslateLiveError):
    """A run is worse than its gate allows."""


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on a figure of the second run, and on its difference from the first."""

    at_most: float | None = None
    at_least: float | None = None
    rise_at_most: float | None = None
    fall_at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of two runs: its statistic, and the values it is taken over, by document."""

    statistic: Statistic
    groups: tuple[Groups, Groups]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two runs and the gates."""
    parser.add_argument("before", type=Path, metavar="BEFORE", help="folder of a run")
    parser.add_argument("after", type=Path, metavar="AFTER", help="folder of another run on the same data")
    parser.add_argument("--gate", type=Path, metavar="YAML", help="figure: {at_most, at_least, rise_at_most, fall_at_most}")
    parser.add_argument("--samples", type=int, default=1000, help="bootstrap resamples of documents (1000)")
    parser.add_argument("--seed", type=int, default=12345, help="seed of the resampling (12345)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Print the differences; raises `Regression` (exit code 1) if the gate fails."""
    before, after = RunFolder(arguments.before), RunFolder(arguments.after)
    gates = read_gates(arguments.gate) if arguments.gate else {}
    figures: dict[str, float] = {}
    measured = measures(before, after)
    print(f"{'figure':<24}{'before':>10}{'after':>10}{'difference':>12}  95 % interval")
    for name, measure in measured.items():
        old, new = (measure.statistic([value for group in groups for value in group]) for groups in measure.groups)
        found = paired_bootstrap(*measure.groups, measure.statistic, arguments.samples, arguments.seed)
        print(
            f"{name:<24}{old:>10.3f}{new:>10.3f}{found.value:>+12.3f}  {found.low:+.3f} … {found.high:+.3f}{_star(found)}"
        )
        figures |= {f"{name}_after": new, f"{name}_difference": found.value}
        figures |= {f"{name}_low": found.low, f"{name}_high": found.high}
    check(gates, figures)
    return figures


def measures(before: RunFolder, after: RunFolder) -> dict[str, Measure]:
    """The figures both runs have, by document; raises `BadInput` if they are of different utterances."""
    manifest = {utterance.name: utterance for utterance in before.manifest()}
    rows = [{row.utterance: row for row in folder.rows()} for folder in (before, after)]
    if set(rows[0]) != set(rows[1]):
        odd = sorted(set(rows[0]) ^ set(rows[1]))
        raise BadInput(f"the runs differ in {len(odd)} utterances ({odd[0]}, …); compare runs of the same data")
    names = sorted(rows[0])
    documents = sorted({rows[0][name].document for name in names})

    def grouped(kind: str) -> tuple[Groups, Groups]:
        before, after = (
            [
                [
                    value
                    for name in names
                    if side[name].document == document
                    for value in _values(kind, side[name], manifest[name])
                ]
                for document in documents
            ]
            for side in rows
        )
        return before, after

    spans = grouped("spans")
    return {
        "ear_voice_span_p50_s": Measure(lambda values: percentile(values, 50), spans),
        "ear_voice_span_p90_s": Measure(lambda values: percentile(values, 90), spans),
        "first_audio_s": Measure(lambda values: percentile(values, 50), grouped("first")),
        "end_lag_s": Measure(lambda values: percentile(values, 50), grouped("ends")),
        "wer_mean": Measure(mean, grouped("errors")),
        "chrf_mean": Measure(mean, grouped("chrf")),
    }


def _values(kind: str, row: Row, utterance: Utterance) -> list[float]:
    spoken = [unit for unit in row.units if unit.spoken]
    match kind:
        case "spans":
            return [speech_latency.parts(unit).ear_voice_s for unit in spoken if unit.source]
        case "first":
            return [speech_latency.first_audio_s(row)] if spoken else []
        case "ends":
            return [speech_latency.end_lag_s(row)] if spoken else []
        case "errors":
            found = word_error_rate([utterance.transcript], [row.transcript], utterance.source_language)
            return [] if math.isnan(found) else [found]
        case _:
            return [text_score([utterance.reference], [row.hypothesis], utterance.target_language).chrf]


def read_gates(file: Path) -> dict[str, Gate]:
    """The gates of a file; raises `BadInput`."""
    try:
        return msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), dict[str, Gate])
    except (OSError, yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadInput(
            f"{file} is no gate file: {error}; write e.g. 'ear_voice_span_p90_s: {{rise_at_most: 0.3}}'"
        ) from error


def check(gates: Mapping[str, Gate], figures: Mapping[str, float]) -> None:
    """Raise `Regression` that names every gate that fails; one for a figure without a number fails too."""
    broken = []
    for name, gate in gates.items():
        if f"{name}_after" not in figures:
            known = [key.removesuffix("_after") for key in figures if key.endswith("_after")]
            raise BadInput(f"the gate names an unknown figure {name!r}; {nearest(name, known)}")
        value, rise = figures[f"{name}_after"], figures[f"{name}_difference"]
        if gate.at_most is not None and not value <= gate.at_most:
            broken.append(f"{name} is {value:.3f}, allowed at most {gate.at_most:g}")
        if gate.at_least is not None and not value >= gate.at_least:
            broken.append(f"{name} is {value:.3f}, allowed at least {gate.at_least:g}")
        if gate.rise_at_most is not None and not rise <= gate.rise_at_most:
            broken.append(f"{name} rose by {rise:.3f}, allowed {gate.rise_at_most:g}")
        if gate.fall_at_most is not None and not -rise <= gate.fall_at_most:
            broken.append(f"{name} fell by {-rise:.3f}, allowed {gate.fall_at_most:g}")
    if broken:
        raise Regression("; ".join(broken))


def _star(interval: Interval) -> str:
    return " *" if interval.low > 0 or interval.high < 0 else ""
