"""A set that is given by its manifest, as `data stress` and `run` write it; the audio is checked again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.corpora.audio import check_audio
from benchmarks.corpora.utterance import DataSet, Issues, Utterance, checked, read_manifest, sha256_of

NAME = "manifest.jsonl"
LONGEST_S = 4 * 3600.0


def load_manifest(root: Path) -> DataSet:
    """The utterances of ``root/manifest.jsonl``; audio that is not where it says is looked for beside the manifest."""
    issues = Issues()
    utterances = []
    seen: set[str] = set()
    for utterance in read_manifest(root / NAME):
        placed = _placed(utterance, root)
        if utterance.name in seen:
            issues.drop("name twice", utterance.name)
        elif check_audio(Path(placed.audio), utterance.name, issues, longest_s=LONGEST_S) is not None:
            utterances.append(placed)
        seen.add(utterance.name)
    hashes = {NAME: sha256_of(root / NAME)}
    return checked(DataSet(root.name, "that of its source", "translation", tuple(utterances), tuple(issues.found), hashes))


def _placed(utterance: Utterance, root: Path) -> Utterance:
    beside = root / Path(utterance.audio).name
    return replace(utterance, audio=str(beside)) if beside.is_file() and not Path(utterance.audio).is_file() else utterance
