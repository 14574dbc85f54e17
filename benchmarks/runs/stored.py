"""The scores of a run: those kept by `score`, or computed now."""

from __future__ import annotations

import msgspec

from benchmarks.runs.folder import RunFolder
from benchmarks.runs.scoring import Scores, score
from pipeline.errors import BadInput


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
