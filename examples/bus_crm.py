"""Tells a CRM, through its webhook, of each session that ended: how long it was, and the last things that were said.

What it has of a session that runs is lost when it is restarted: keep it in a database where that matters.

python examples/bus_crm.py https://crm.example/hooks/calls
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections import defaultdict

from bus_reader import Record, records

KEPT = 5  # units of the note
TRIES = 5


def call_of(session: str, events: list[Record]) -> Record:
    """Sum a session up."""
    units = [one for one in events if one["event"] == "ReadingUnit"]
    note = " ".join(one["text"].strip() for one in units[-KEPT:] if one["text"])
    ends = [one["end_ns"] or 0 for one in units]
    faults = sum(one["event"] == "Fault" for one in events)
    return {"session": session, "seconds": max(ends, default=0) / 1e9, "units": len(units), "faults": faults, "note": note}


def post(url: str, call: Record) -> None:
    """Send it; raises `OSError` if the CRM cannot be reached in a while, and the record will be read again."""
    body = json.dumps(call).encode()
    for attempt in range(TRIES):
        try:
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=10):
                return
        except OSError:
            if attempt == TRIES - 1:
                raise
            time.sleep(2**attempt)


def main(url: str) -> None:
    """Update the CRM until told to end."""
    events: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records("crm"):
        session = record.get("session", "")
        events[session].append(record)
        if record["event"] == "end":
            post(url, call_of(session, events.pop(session)))


if __name__ == "__main__":
    main(sys.argv[1])
