"""Computes what a session did from its event log: first audio, ear-voice span, lag, real-time factors."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from pipeline.errors import BadInput
from pipeline.outputs.event_log import read_events
from pipeline.outputs.summary import summarize, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The log, and a form for machines."""
    parser.add_argument("log", type=Path, metavar="FILE.jsonl", help="what --events wrote")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, with null for what is unknown")


def run(arguments: argparse.Namespace) -> int:
    """Print the figures."""
    try:
        summary = summarize(read_events(arguments.log))
    except (KeyError, TypeError) as error:  # lines that are events, but not as we write them
        raise BadInput(f"{arguments.log} is no whole event log ({error!r}); try: a file that --events wrote") from error
    if arguments.json:
        figures = {name: None if math.isnan(value) else value for name, value in summary.figures().items()}
        print(json.dumps(figures, indent=2))  # noqa: T201
    else:
        print(table(summary))  # noqa: T201
    return 0
