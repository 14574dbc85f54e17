"""Writes a transcript of each session from the event bus, a file a session, and says where something is missing.

python examples/bus_transcripts.py transcripts/
"""

from __future__ import annotations

import sys
from pathlib import Path

from bus_reader import Record, records


def line(record: Record) -> str | None:
    """A record as a line of the transcript; none for what is not part of it."""
    match record["event"]:
        case "ReadingUnit" if record["text"] is None:
            return f"({record['characters']} characters, {record['target']}: the text is not published)"
        case "ReadingUnit" if record["text"].strip():
            said = "".join(word["text"] for word in record["source"]).strip()
            return f"{record['speaker'] or ''} {said}\n    {record['target']}: {record['text'].strip()}".lstrip()
        case "Gap":
            return f"(not heard: {record['reason']})"
        case _:
            return None


def main(folder: Path) -> None:
    """Append to the sessions' files until told to end."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for record in records("transcripts"):
        if record["event"] == "Dropped":
            print(f"records {record['first']} to {record['last']} of {record['writer']} were dropped", file=sys.stderr)
        elif text := line(record):
            with (folder / f"{record['session']}.txt").open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
