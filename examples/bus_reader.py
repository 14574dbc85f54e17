"""Reads the event bus as one of a consumer group: each group gets every record, and goes on where it was after a restart.

Needs `pip install redis`. The readers beside this file show what to do with the records.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

import redis

STREAM = "translate_live:events"
ABANDONED_MS = 60_000  # a record that another reader of the group took and did not acknowledge for so long is ours

Record = dict[str, Any]


def records(group: str, url: str = "redis://127.0.0.1:6379", consumer: str = "", wait_ms: int = 1000) -> Iterator[Record]:
    """Give each record of the stream once; when the next is asked for, the last is acknowledged. SIGTERM ends it.

    A record may come twice, where an answer was lost or a reader died: those that are known by writer and number are
    passed over, as long as this process runs.
    """
    connection = redis.Redis.from_url(url, decode_responses=True, protocol=2)
    with suppress(redis.ResponseError):  # it is there
        connection.xgroup_create(STREAM, group, id="0", mkstream=True)
    name, ended = consumer or f"{os.uname().nodename}-{os.getpid()}", _ending()
    highest: dict[str, int] = {}
    while not ended:
        _, abandoned, *_ = connection.xautoclaim(STREAM, group, name, min_idle_time=ABANDONED_MS, count=100)
        fresh: Any = connection.xreadgroup(group, name, {STREAM: ">"}, count=100, block=wait_ms) or [(STREAM, [])]
        for key, fields in [*abandoned, *fresh[0][1]]:
            record = json.loads(fields["record"])
            if record["number"] > highest.get(record["writer"], -1):
                yield record
                highest[record["writer"]] = record["number"]
            connection.xack(STREAM, group, key)
            if ended:
                return


def _ending() -> list[int]:
    """A list that SIGTERM or Ctrl-C puts something into, so that a record that is being worked on is finished."""
    ended: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return ended
