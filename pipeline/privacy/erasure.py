"""Erasure of what was kept of a session, a time or a speaker: files, voices and entries of the bus; and a proof of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import DeviceError, NetworkError, TranslateLiveError
from pipeline.privacy.audit import Audit
from pipeline.privacy.ledger import KeptFile, KeptSession, Ledger, inode_of, iso
from pipeline.sinks.event_json import Record
from pipeline.sinks.hls import files_of
from pipeline.sinks.redis_stream import STREAM, client, oldest_kept, reason_of
from pipeline.voices.store import VoiceStore

if TYPE_CHECKING:
    from redis.asyncio import Redis

PAGE = 1000  # entries of the bus that are read at once


@dataclass(frozen=True, slots=True)
class Selection:
    """Choice of what is to be erased: all of a session, all that began before a moment, or all in which somebody speaks."""

    session: str = ""
    before: datetime | None = None
    speaker: str = ""

    def takes(self, kept: KeptSession) -> bool:
        """Tell if it is a session that it means."""
        named = self.speaker.casefold() in map(str.casefold, kept.speakers)
        early = self.before is not None and kept.began < iso(self.before)
        return kept.session == self.session or early or bool(self.speaker and named)


@dataclass
class Erased:
    """Result of an erasure: what is gone, a line each, and what is left, with why."""

    gone: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def erase(
    selection: Selection, ledger: Ledger, stores: Sequence[VoiceStore], audit: Audit, done: Erased | None = None
) -> Erased:
    """Erase the files and voices of a selection, adding to ``done``; what cannot be stays on the list, and is told."""
    done = Erased() if done is None else done
    if selection.speaker:
        _erase_voices(selection.speaker, stores, audit, done)
    for kept in ledger.sessions():
        if selection.takes(kept):
            _erase_files(kept, kept.files, ledger, done)
    return done


def sweep(ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Erased:
    """Erase the recordings whose time is over; other files of their sessions stay."""
    done = Erased()
    for kept in ledger.sessions():
        if kept.recorded_until and kept.recorded_until <= iso(now()):
            _erase_files(kept, [file for file in kept.files if file.recorded], ledger, done)
    return done


def _erase_files(kept: KeptSession, files: Sequence[KeptFile], ledger: Ledger, done: Erased) -> None:
    left = [file for file in files if False in [_erase_file(one, done) for one in _parts(file)]]
    others = [file for file in kept.files if file not in files]
    try:
        ledger.keep(kept, [*others, *left])
    except DeviceError as error:
        done.left.append(error.message)


def _parts(file: KeptFile) -> list[KeptFile]:
    return [KeptFile(str(path)) for path in files_of(Path(file.path))] if file.broadcast else [file]


def _erase_file(file: KeptFile, done: Erased) -> bool:
    """Empty a file, then remove it, so that another name of it holds nothing either; true if it is not there any more."""
    path = Path(file.path)
    try:
        there = inode_of(path)
        if not there:
            return True
        if file.inode and there != file.inode:
            done.left.append(f"{path}: it is another file now, look at it yourself")
            return True
        size = path.stat().st_size
        with path.open("r+b") as opened:
            opened.truncate(0)
            os.fsync(opened.fileno())
        path.unlink()
        done.gone.append(f"{path} ({size} bytes)")
        if file.recorded and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        done.left.append(f"{path}: {error.strerror or error}")
        return False
    return True


def _erase_voices(speaker: str, stores: Iterable[VoiceStore], audit: Audit, done: Erased) -> None:
    for store in stores:
        for name in _voices_of(speaker, store):
            try:
                store.remove(name)
            except TranslateLiveError as error:
                done.left.append(f"voice {name}: {error.message}")
                continue
            audit.note("erased", name)
            done.gone.append(f"voice {name} ({store.folder})")


def _voices_of(speaker: str, store: VoiceStore) -> Iterator[str]:
    """Return the voices that have the name, or whose consent does."""
    for name in store.names():
        names = {name.casefold()}
        try:
            record = store.record(name)
            names |= {record.name.casefold(), record.consent.who.casefold()}
        except TranslateLiveError:  # a broken record: only the folder's name is known
            pass
        if speaker.casefold() in names:
            yield name


async def erase_bus(url: str, selection: Selection, sessions: Iterable[str], done: Erased) -> None:
    """Delete a selection's entries of the stream, and those of ``sessions``; raises `NetworkError` where it cannot."""
    wanted, speaker = {*sessions, selection.session} - {""}, selection.speaker.casefold()
    before_ns = selection.before.timestamp() * 1e9 if selection.before else 0
    async with _connected(url) as connection:
        if speaker:  # first the sessions in which they speak, then all of those
            async for _, record in _entries(connection):
                if speaker in {str(record.get(who) or "").casefold() for who in ("speaker", "participant")}:
                    wanted.add(record["session"])
        count = await _delete(
            connection, "+", lambda _, record: record["session"] in wanted or record["unix_ns"] < before_ns
        )
    if count:
        done.gone.append(f"{count} entries of the bus")


async def sweep_bus(url: str, days: Mapping[str, float], now: Callable[[], float] = time.time) -> int:
    """Delete the entries of each key that are older than its ``days``; gives how many. Raises `NetworkError`."""
    oldest_ms = {key: int(oldest_kept(now(), age)) for key, age in days.items()}

    def is_over(entry: str, record: Record) -> bool:
        return int(entry.partition("-")[0]) < oldest_ms.get(str(record.get("key")), 0)

    async with _connected(url) as connection:
        return await _delete(connection, f"({max(oldest_ms.values())}", is_over)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Redis]:
    from redis.exceptions import RedisError  # noqa: PLC0415 - of an extra

    connection = client(url)
    try:
        yield connection
    except RedisError as error:
        raise NetworkError(f"the bus cannot be erased: {reason_of(error)}", hint="redis-cli with that address") from None
    finally:
        await connection.aclose()


async def _delete(connection: Redis, end: str, wanted: Callable[[str, Record], bool]) -> int:
    """Delete the wanted entries up to ``end``, a page at a time; gives how many."""
    gone = [entry async for entry, record in _entries(connection, end) if wanted(entry, record)]
    return sum([await connection.xdel(STREAM, *gone[first : first + PAGE]) for first in range(0, len(gone), PAGE)])


async def _entries(connection: Redis, end: str = "+") -> AsyncIterator[tuple[str, Record]]:
    """Yield our entries of the stream up to ``end``, oldest first."""
    position = "-"
    while True:
        rows: Any = await connection.xrange(STREAM, position, end, count=PAGE)
        for key, fields in rows:
            if (record := _record_of(fields)) is not None:
                yield key, record
        if len(rows) < PAGE:
            return
        position = f"({rows[-1][0]}"


def _record_of(fields: Mapping[str, str]) -> Record | None:
    """Read the record of an entry; none of what another program put into the stream."""
    try:
        record = json.loads(fields["record"])
        ours = isinstance(record["session"], str) and isinstance(record["unix_ns"], int | float)
    except (KeyError, TypeError, IndexError, ValueError, RecursionError):
        return None
    return record if ours else None
