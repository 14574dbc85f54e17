"""A run's folder: what ran (run.json), on what (manifest.jsonl), and a forced-to-disk row per utterance (rows.jsonl).

Whatever was measured survives a kill: a run is resumed by measuring what has no row yet, and every figure is computed
from the rows, so a resumed run gives the figures of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.atomic import append_row, write_text
from benchmarks.corpora.utterance import Utterance, read_manifest, write_manifest
from benchmarks.runs.row import Row, from_json, to_json
from pipeline.errors import BadInput

About = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def rows_file(self) -> Path:
        """The rows."""
        return self.path / "rows.jsonl"

    def audio_file(self, utterance: str) -> Path:
        """Name the file of an utterance's translated speech, from source second 0 on."""
        return self.path / "audio" / f"{utterance}.wav"

    def about(self) -> About:
        """Read what ran; raises `BadInput` for a folder that is no run."""
        try:
            about: About = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(f"{self.path} is no run: {error}. Give a folder that `benchmarks run --out` wrote") from error
        return about

    def manifest(self) -> Sequence[Utterance]:
        """On what it ran."""
        return read_manifest(self.path / "manifest.jsonl")

    def rows(self) -> list[Row]:
        """All rows so far; a last line that a kill cut short is left out."""
        if not self.rows_file.exists():
            return []
        *lines, _ = self.rows_file.read_text(encoding="utf-8").split("\n")
        return [from_json(line, f"{self.rows_file}:{number}") for number, line in enumerate(lines, 1)]

    def append(self, row: Row) -> None:
        """Keep a row; raises `DeviceError` on a full disk, leaving the rows before it whole."""
        append_row(self.rows_file, to_json(row))


def digest(settings: Mapping[str, Any], utterances: Sequence[Utterance]) -> str:
    """Hash what must be equal for rows to belong to one run: settings and utterances, as SHA-256."""
    content = json.dumps([settings, [(item.name, item.duration_s) for item in utterances]], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def begin(path: Path, about: About, utterances: Sequence[Utterance], resume: bool) -> RunFolder:
    """A new run, or with ``resume`` one that goes on; raises `BadInput` rather than mix two runs in one folder.

    A run that ended before its first row, for want of a model perhaps, has nothing to lose and is begun again.
    """
    folder = RunFolder(path)
    if (path / "run.json").exists() and folder.rows():
        if not resume:
            raise BadInput(f"{path} holds a run already; give --resume to go on with it, or another --out")
        if folder.about()["digest"] != about["digest"]:
            raise BadInput(f"{path} holds a run with other settings or data; give another --out")
        _drop_cut_line(folder.rows_file)
        return folder
    _drop_cut_line(folder.rows_file)
    write_manifest(path / "manifest.jsonl", utterances)
    write_text(path / "run.json", json.dumps(about, indent=2, default=str) + "\n")
    return folder


def _drop_cut_line(file: Path) -> None:
    """Take away what a kill left of a row, so that the next one begins a line."""
    if file.exists():
        whole = file.read_bytes()
        file.write_bytes(whole[: whole.rfind(b"\n") + 1])
