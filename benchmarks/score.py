"""Score a run: every figure with its definition, computed from the run's files alone."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks.atomic import write_text
from benchmarks.runs.external import run_scorer, scorer_names
from benchmarks.runs.folder import RunFolder
from benchmarks.runs.scoring import Figure, Scores, score, to_json

SCORES = "scores.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run, and the scorers beyond those that are always there."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "--scorer",
        action="append",
        default=[],
        metavar="NAME[=PYTHON]",
        help=f"also {', '.join(scorer_names())}, by this Python",
    )


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Score, keep ``scores.json`` in the run's folder, and print a table."""
    folder = RunFolder(arguments.run)
    folder.about()
    utterances = folder.manifest()
    scores = score(utterances, folder.rows())
    for wanted in arguments.scorer:
        name, _, python = wanted.partition("=")
        found = run_scorer(name, python or sys.executable, folder, utterances)
        if isinstance(found, str):
            print(f"skipped: scorer {name}: {found}")
            scores = replace(scores, skipped_scorers=scores.skipped_scorers | {name: found})
        else:
            added = {
                key: Figure(None if math.isnan(value) else value, f"{key}/{name}", len(utterances))
                for key, value in found.items()
            }
            scores = replace(scores, figures=scores.figures | added)
    write_text(folder.path / SCORES, to_json(scores))
    print_scores(scores)
    return {name: scores.value(name) for name in scores.figures}


def print_scores(scores: Scores) -> None:
    """A line per figure with its definition, then what is doubtful."""
    for name, figure in scores.figures.items():
        value = "-" if figure.value is None else f"{figure.value:.3f}"
        low_high = " [{:.3f}, {:.3f}]".format(*scores.intervals[name]) if name in scores.intervals else ""
        print(f"{name:<26}{value:>12}{low_high}  {figure.definition}")
    for name, signature in scores.signatures.items():
        print(f"{name}: {signature}")
    for flag in scores.flags:
        print(f"warning: {flag}")
