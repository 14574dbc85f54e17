"""Write a run in the formats of SimulEval, simulstream and OmniSTEval, so that their own scorers can judge it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from benchmarks.exporters import FORMS, export
from benchmarks.runs.folder import RunFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run, the format and the folder."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("--format", dest="form", choices=sorted(FORMS), required=True, help="whose format")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Export; the figure is the number of files."""
    folder = RunFolder(arguments.run)
    folder.about()
    files = export(folder, arguments.out, arguments.form)
    for file in files:
        print(file)
    return {"files": float(len(files))}
