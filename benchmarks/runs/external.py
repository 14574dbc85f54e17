"""Scorers with dependencies of their own (COMET, UTMOS, …): run on a run's files by another Python, skipped by name.

A scorer is a file of `benchmarks/scorers` that reads items as JSON lines on its input and writes ``{figure: number}`` as
its last line; null where there was nothing to score.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.corpora.utterance import Utterance
from benchmarks.other_python import run_script
from benchmarks.runs.folder import RunFolder
from pipeline.errors import ModelError

SCORERS = Path(__file__).parents[1] / "scorers"
LIMIT_S = 4 * 3600


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
