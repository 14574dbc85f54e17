"""The full table of a profile: its recordings and one long talk of them at real-time pace, with plots and a report."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import report, score
from benchmarks.atomic import write_text
from benchmarks.corpora.folder import load_folder
from benchmarks.corpora.utterance import Utterance
from benchmarks.long_session import memory_of_an_hour
from benchmarks.metrics.definitions import definition_of
from benchmarks.run import as_talk, describe, record
from benchmarks.systems.named import system_named
from pipeline.errors import BadInput
from pipeline.profiles.profile import Profile, load_profile

SHOWN = {
    "wer": "word error rate",
    "bleu": "BLEU",
    "chrf": "chrF",
    "ear_voice_span_p50_s": "ear-voice span, median (s)",
    "ear_voice_span_p90_s": "ear-voice span, 90th percentile (s)",
    "first_audio_s": "first audio, median (s)",
    "first_audio_worst_s": "first audio, worst (s)",
    "end_lag_s": "end lag, median (s)",
    "drift_s_per_minute": "drift of the lag (s per minute)",
    "units_skipped_share": "units not spoken (share)",
    "units_merged_share": "units merged (share)",
    "median_unit_words": "source words a unit, median",
    "silence_ratio": "silence in the speech (share)",
    "compute_rtf_recognize": "real-time factor, recognize",
    "compute_rtf_translate": "real-time factor, translate",
    "compute_rtf_speak": "real-time factor, speak",
    "compute_rtf": "real-time factor, all models",
    "longyaal_ca_s": "LongYAAL, computation-aware (s)",
    "laal_ca_s": "LAAL, computation-aware (s)",
    "peak_memory_mb": "peak memory (MB, PSS)",
    "memory_growth_mb_per_minute": "growth of memory after warm-up (MB per minute)",
    "feeder_late_p99_ms": "frames fed late, 99th percentile (ms)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to measure, and where the results go."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="recordings and transcripts.tsv")
    parser.add_argument("--system", default="profile:cpu", help="the system to measure (profile:cpu)")
    parser.add_argument("--from", dest="source", default="en", metavar="XX", help="spoken language (en)")
    parser.add_argument("--to", dest="target", default="es", metavar="XX", help="target language (es)")
    parser.add_argument("--clock", choices=("real", "virtual"), default="real", help="the clock (real)")
    parser.add_argument("--talk", type=float, default=120.0, metavar="S", help="length of the long talk (120 s)")
    parser.add_argument(
        "--hour", action="store_true", help="also the memory of an hour of scripted words through a profile's other models"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the runs; must be new")
    parser.add_argument("--resume", action="store_true", help="go on with the runs in --out; what was measured stays")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Two runs, scored and drawn; figures of the talk begin with ``talk_``, those of the hour with ``hour_``."""
    kind, _, profile = arguments.system.partition(":")
    if arguments.hour and kind != "profile":
        raise BadInput(f"--hour is for profiles, not for {arguments.system}", hint="--system profile:cpu")
    dataset = load_folder(arguments.folder, arguments.source, arguments.target)
    talk = as_talk(dataset.utterances, arguments.out, arguments.talk)
    figures: dict[str, float] = {}
    columns: dict[str, Mapping[str, float]] = {}
    for name, utterances in (("recordings", list(dataset.utterances)), ("talk", [talk])):
        folder = record(system_named(arguments.system), utterances, arguments.out / name, arguments, data=describe(dataset))
        columns[name] = score.run(argparse.Namespace(run=folder.path, scorer=[]))
        report.run(argparse.Namespace(paths=[folder.path], beside=[], out=None, samples=5))
        prefix = "" if name == "recordings" else "talk_"
        figures |= {prefix + key: value for key, value in columns[name].items()}
    if arguments.hour:
        columns["hour"] = _hour(load_profile(profile or "cpu"), dataset.utterances)
        figures |= {"hour_" + key: value for key, value in columns["hour"].items()}
    write_text(arguments.out / "table.md", table(columns))
    print(table(columns))
    return figures


def table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """The figures people ask for, as Markdown, with their definitions below."""
    shown = [name for name in SHOWN if any(name in column for column in columns.values())]
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for name in shown:
        cells = (_cell(column.get(name, float("nan"))) for column in columns.values())
        lines.append(f"| {SHOWN[name]} | {' | '.join(cells)} |")
    notes = [f"- {SHOWN[name]}: {definition_of(name).text} (`{definition_of(name).id}`)" for name in shown]
    if "hour" in columns:
        notes.append("- hour: the transcripts' words, scripted, in virtual time; the translator and synthesizer are real")
    return "\n".join([*lines, "", *dict.fromkeys(notes)]) + "\n"


def _hour(profile: Profile, utterances: Sequence[Utterance]) -> Mapping[str, float]:
    words = " ".join(utterance.transcript for utterance in utterances).split()
    first = utterances[0]
    row = memory_of_an_hour(profile, words, first.source_language, first.target_language)
    memory = {"peak_memory_mb": row.peak_memory_mb, "memory_growth_mb_per_minute": row.memory_growth_mb_per_minute}
    return {name: value for name, value in memory.items() if value is not None}


def _cell(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"  # noqa: PLR0124, RUF001  (NaN)
