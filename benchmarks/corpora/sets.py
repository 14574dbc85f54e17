"""The sets by name, as the commands offer them."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.corpora import manifest
from benchmarks.corpora.covost import load_covost
from benchmarks.corpora.fleurs import load_fleurs
from benchmarks.corpora.folder import load_folder
from benchmarks.corpora.segments import load_segments
from benchmarks.corpora.utterance import DataSet

LAYOUTS = ("folder", "fleurs", "covost2", "segments")


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
    if (root / manifest.NAME).is_file():
        return manifest.load_manifest(root)
    match arguments.layout:
        case "fleurs":
            return load_fleurs(root, source, target, arguments.split)
        case "covost2":
            return load_covost(root, source, target, arguments.split)
        case "segments":
            return load_segments(root, source, target, arguments.split)
        case _:
            return load_folder(root, source, target)
