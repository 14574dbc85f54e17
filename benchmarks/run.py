"""Run a system over a data set: one row per utterance, resumable; scored later with `score`."""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.corpora.audio import CORPUS_HZ, write_audio
from benchmarks.corpora.sets import add_set_arguments, load_set
from benchmarks.corpora.talk import join
from benchmarks.corpora.utterance import DataSet, Issues, Utterance
from benchmarks.environment import capture
from benchmarks.runs.folder import RunFolder, begin, digest
from benchmarks.runs.runner import measure
from benchmarks.systems.named import system_named
from benchmarks.systems.system import System
from pipeline.errors import BadInput


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what runs, on what, on which clock."""
    parser.add_argument(
        "--system",
        default="profile:cpu",
        help="profile:NAME, scripted[:LOAD], command:PROGRAM ARGUMENTS, websocket:URL, or replay:DIR of event logs",
    )
    parser.add_argument("--override", action="append", default=[], metavar="A.B=C", help="override a profile's setting")
    parser.add_argument("--clock", choices=("real", "virtual", "cu"), default="real", help="see the README (real)")
    parser.add_argument("--limit", type=int, metavar="N", help="only N utterances, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (0)")
    parser.add_argument("--talk", type=float, metavar="S", help="join the recordings to one talk of at least S seconds")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in that folder")
    add_set_arguments(parser)


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Measure; figures are counts of what became of the utterances."""
    system = system_named(arguments.system, arguments.override)
    utterances, data = _utterances(arguments)
    folder = record(system, utterances, arguments.out, arguments, seed=arguments.seed, data=data)
    counts = statuses(folder)
    told = ", ".join(f"{count:.0f} {status}" for status, count in counts.items())
    print(f"{arguments.out}: {told}; next: python -m benchmarks score {arguments.out}")
    return counts


def record(
    system: System, utterances: Sequence[Utterance], path: Path, arguments: argparse.Namespace, **settings: object
) -> RunFolder:
    """Measure into a folder that keeps what ran, on which clock, and these settings beside it."""
    settings = {**system.about(), "clock": arguments.clock, **settings}
    about = {"v": 1, **settings, "digest": digest(settings, utterances), "environment": capture(vars(arguments))}
    folder = begin(path, about, utterances, arguments.resume)
    measure(system, utterances, folder, arguments.clock)
    return folder


def statuses(folder: RunFolder) -> dict[str, float]:
    """Count the utterances that went well, stayed empty or failed; all stay in every denominator."""
    rows = folder.rows()
    return {status: float(sum(row.status == status for row in rows)) for status in ("ok", "empty", "failed")}


def describe(dataset: DataSet) -> dict[str, Any]:
    """Describe a run's data: counts, hashes, and what was dropped and why."""
    return {
        "name": dataset.name,
        "license": dataset.license,
        "reference_field": dataset.reference_field,
        "sha256": dataset.sha256,
        "names_sha256": dataset.names_sha256,
        "utterances": len(dataset.utterances),
        "issues": Issues(list(dataset.issues)).counts(),
        "dropped": [f"{issue.where}: {issue.kind}" for issue in dataset.issues if issue.dropped],
    }


def _utterances(arguments: argparse.Namespace) -> tuple[Sequence[Utterance], dict[str, Any]]:
    dataset = load_set(arguments)
    utterances: Sequence[Utterance] = dataset.utterances
    data = describe(dataset)
    for kind, count in data["issues"].items():
        print(f"data: {count} x {kind}")
    if arguments.limit is not None:
        if arguments.limit < 1:
            raise BadInput(f"--limit {arguments.limit}: give at least 1")
        drawn = random.Random(arguments.seed).sample(range(len(utterances)), min(arguments.limit, len(utterances)))
        utterances = [utterances[index] for index in sorted(drawn)]
    if arguments.talk is not None:
        if not 0 <= arguments.talk < math.inf:
            raise BadInput(f"--talk {arguments.talk:g}: give the seconds the talk must last at least, or 0 for one pass")
        utterances = [as_talk(utterances, arguments.out, arguments.talk)]
    return utterances, data


def as_talk(utterances: Sequence[Utterance], folder: Path, least_s: float) -> Utterance:
    """The recordings as one talk, whose audio is written into the run's folder."""
    talk, samples = join(utterances, "talk", least_s)
    file = folder / "source" / "talk.wav"
    write_audio(file, samples, CORPUS_HZ)
    return replace(talk, audio=str(file))
