"""Keeps every record of the event bus in a file where each line holds the hash of the one before: no line can be changed,
left out or put in later without that being seen.

python examples/bus_compliance.py archive.jsonl            # keeps
python examples/bus_compliance.py archive.jsonl --check    # proves; write down the last hash elsewhere
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from bus_reader import Record, records

FIRST = "0" * 64


def link(before: str, record: Record) -> str:
    """A line of the archive: the record, the hash of the line before, and its own."""
    body = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    own = hashlib.sha256(f"{before}{body}".encode()).hexdigest()
    return json.dumps({"before": before, "hash": own, "record": record}, ensure_ascii=False)


def checked(archive: Path) -> tuple[int, str]:
    """Count the lines of a whole archive and give the last hash; raises `ValueError` that names the first wrong line."""
    last, count = FIRST, 0
    if archive.exists():
        for count, line in enumerate(archive.read_text(encoding="utf-8").splitlines(), 1):
            if line != link(last, json.loads(line)["record"]):
                raise ValueError(f"{archive}:{count} does not follow from the line before")
            last = json.loads(line)["hash"]
    return count, last


def main(archive: Path) -> None:
    """Append until told to end; a record is acknowledged when its line is on the disk."""
    if archive.exists() and (data := archive.read_bytes()) and not data.endswith(b"\n"):  # it was killed while it wrote
        os.truncate(archive, data.rfind(b"\n") + 1)  # the record was not acknowledged, and comes again
    _, last = checked(archive)
    with os.fdopen(os.open(archive, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as file:
        for record in records("compliance"):
            line = link(last, record)
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
            last = json.loads(line)["hash"]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    if "--check" in sys.argv[2:]:
        print("{} records, last hash {}".format(*checked(path)))
    else:
        main(path)
