"""Score a run: every figure with its definition, computed from the run's files alone.

Scorers with dependencies of their own (COMET, UTMOS, …) are files of `benchmarks/scorers`, run by another Python: they read
items as JSON lines on their input and write ``{figure: number}`` as their last line; null where there was nothing to score.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.atomic import write_text
from benchmarks.corpora.utterance import Utterance
from benchmarks.other_python import run_script
from benchmarks.runs.folder import RunFolder
from benchmarks.runs.scoring import Figure, Scores, score, to_json
from pipeline.errors import ModelError

SCORES = "scores.json"
SCORERS = Path(__file__).parent / "scorers"
LIMIT_S = 4 * 3600


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


def scorer_names() -> list[str]:
    """The scorers there are."""
    return sorted(path.stem for path in SCORERS.glob("[!_]*.py"))


def run_scorer(name: str, python: str, folder: RunFolder, utterances: Sequence[Utterance]) -> dict[str, float] | str:
    """The scorer's figures, or in words why there are none: a missing environment must not lose the other figures."""
    script = SCORERS / f"{name}.py"
    if not script.is_file():
        return f"no scorer of that name; there are: {', '.join(scorer_names())}"
    try:
        figures = run_script(python, script, _items(folder, utterances), LIMIT_S)
        return {key: math.nan if value is None else float(value) for key, value in figures.items()}
    except ModelError as error:
        return str(error)
    except (ValueError, TypeError):
        return f"it wrote figures that are no numbers: {str(figures)[-200:]!r}"


def _items(folder: RunFolder, utterances: Sequence[Utterance]) -> str:
    rows = {row.utterance: row for row in folder.rows()}
    items = []
    for utterance in utterances:
        row = rows.get(utterance.name)
        if row is None:
            continue
        items.append(
            {
                "utterance": utterance.name,
                "source": utterance.transcript,
                "hypothesis": row.hypothesis,
                "spoken": " ".join(text for unit in row.units if unit.spoken and (text := unit.text.strip())),
                "reference": utterance.reference,
                "source_audio": utterance.audio,
                "audio": str((folder.path / row.audio).resolve()) if row.audio else None,
                "breaths": [(unit.start_s, unit.end_s) for unit in row.units if unit.spoken and unit.breath == unit.number],
                "language": utterance.target_language,
            }
        )
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
