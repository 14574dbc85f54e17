"""Computes what a session did from its event log: first audio, ear-voice span, lag, real-time factors."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import BadInput
from pipeline.sinks.event_json import Record
from pipeline.sinks.event_log import read_events
from pipeline.sinks.summary import is_whole, summarize, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the log, and a form for machines."""
    parser.add_argument("log", type=Path, metavar="FILE.jsonl", help="what --events wrote")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, with null for what is unknown")


def run(arguments: argparse.Namespace) -> int:
    """Print the figures; of damaged lines, how many were left out. Raises `BadInput` for what is no log of one session."""
    lines: Counter[str] = Counter()

    def whole() -> Iterator[Record]:
        for record in read_events(arguments.log, lambda _: lines.update(["damaged"])):
            if not is_whole(record):
                lines["damaged"] += 1
                continue
            lines["whole"] += 1
            lines["sessions"] += record["event"] == "session"
            yield record

    try:
        summary = summarize(whole())
    except (KeyError, TypeError) as error:  # events whose values are not as we write them
        raise BadInput(f"{arguments.log} is no whole event log ({error!r})", hint="a file that --events wrote") from error
    lost = lines["damaged"]
    if not lines:
        raise BadInput(f"{arguments.log} is empty: its session has heard nothing yet", hint="a file that --events wrote")
    if lines["sessions"] > 1:
        raise BadInput(
            f"{arguments.log} holds {lines['sessions']} sessions, each with times of its own", hint="one file each"
        )
    if lost and not lines["whole"]:
        raise BadInput(f"{arguments.log} is no event log: no line of it is an event", hint="a file that --events wrote")
    if lost:
        which = "1 line is no whole event" if lost == 1 else f"{lost} lines are no whole events"
        print(f"notice: {which} and left out", file=sys.stderr)
    if arguments.json:
        figures = {name: None if math.isnan(value) else value for name, value in summary.figures().items()}
        print(json.dumps(figures, indent=2))
    else:
        print(table(summary))
    return 0
