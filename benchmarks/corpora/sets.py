"""The sets by name, as the commands offer them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.corpora.audio import check_audio
from benchmarks.corpora.covost import load_covost
from benchmarks.corpora.fleurs import load_fleurs
from benchmarks.corpora.folder import load_folder
from benchmarks.corpora.segments import load_segments
from benchmarks.corpora.utterance import DataSet, Issues, Utterance, checked, read_manifest, sha256_of

LAYOUTS = ("folder", "fleurs", "covost2", "segments")
MANIFEST = "manifest.jsonl"
LONGEST_S = 4 * 3600.0


def add_set_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the set and its languages."""
    parser.add_argument("root", type=Path, metavar="DIR", help="where the set lies")
    parser.add_argument("--set", dest="layout", choices=LAYOUTS, default="folder", help="its layout (folder)")
    parser.add_argument("--from", dest="source", default="en", metavar="XX", help="source, by the set's own code (en)")
    parser.add_argument("--to", dest="target", default="es", metavar="XX", help="target, by the set's own code (es)")
    parser.add_argument("--split", default="test", help="split of the set (test)")


def load_set(arguments: argparse.Namespace) -> DataSet:
    """The set that the arguments name; a folder with a manifest is what its manifest says."""
    root, source, target = arguments.root, arguments.source, arguments.target
    if (root / MANIFEST).is_file():
        return load_manifest(root)
    match arguments.layout:
        case "fleurs":
            return load_fleurs(root, source, target, arguments.split)
        case "covost2":
            return load_covost(root, source, target, arguments.split)
        case "segments":
            return load_segments(root, source, target, arguments.split)
        case _:
            return load_folder(root, source, target)


def load_manifest(root: Path) -> DataSet:
    """The utterances of a manifest, as `data stress` and `run` write it; their audio may also lie beside it."""
    issues = Issues()
    utterances = []
    seen: set[str] = set()
    for utterance in read_manifest(root / MANIFEST):
        placed = _placed(utterance, root)
        if utterance.name in seen:
            issues.drop("name twice", utterance.name)
        elif check_audio(Path(placed.audio), utterance.name, issues, longest_s=LONGEST_S) is not None:
            utterances.append(placed)
        seen.add(utterance.name)
    hashes = {MANIFEST: sha256_of(root / MANIFEST)}
    return checked(DataSet(root.name, "that of its source", "translation", tuple(utterances), tuple(issues.found), hashes))


def _placed(utterance: Utterance, root: Path) -> Utterance:
    beside = root / Path(utterance.audio).name
    return replace(utterance, audio=str(beside)) if beside.is_file() and not Path(utterance.audio).is_file() else utterance
