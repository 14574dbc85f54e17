"""A list of the files that sessions wrote, so that they can be erased; a session that wrote none is not on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from pipeline.errors import DeviceError
from pipeline.events import Event, Fault, Notice, ReadingUnit, Transcript
from pipeline.sinks.writing import cannot_write, data_folder, make_private_folder, write_private


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a session; ``inode`` is what it was when the session ended (0: it did not end).

    That of a ``broadcast`` is its playlist, which is always made anew and stands for all files that are written with it.
    """

    path: str
    recorded: bool = False  # sound of a recording, which a retention rule deletes
    inode: int = 0
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class KeptSession:
    """A session's files, and the speakers and voices that are in them."""

    session: str
    began: str  # ISO 8601, UTC
    files: tuple[KeptFile, ...]
    speakers: tuple[str, ...] = ()
    recorded_until: str = ""  # ISO 8601, UTC; empty: for ever
    format: Literal[1] = 1


class Ledger:
    """The list, a file a session in ``sessions`` in the user's data folder, for its owner alone."""

    def __init__(self) -> None:
        self.folder = data_folder() / "sessions"

    def sessions(self) -> list[KeptSession]:
        """List all sessions, oldest first; what cannot be read is left out."""
        found = []
        for path in self.folder.glob("*.json"):
            try:
                found.append(msgspec.convert(json.loads(path.read_bytes()), KeptSession))
            except (OSError, ValueError, msgspec.ValidationError):
                continue
        return sorted(found, key=lambda kept: kept.began)

    def add(self, kept: KeptSession) -> None:
        """Put a session on the list, or what is new of it; what it overwrote is no other's now; raises `DeviceError`."""
        mine = {file.path for file in kept.files}
        try:
            for other in self.sessions():
                if other.session != kept.session and mine & {file.path for file in other.files}:
                    self.keep(other, [file for file in other.files if file.path not in mine])
            make_private_folder(self.folder)
            write_private(self._file(kept), _encoded(kept))
        except OSError as error:
            raise cannot_write(self._file(kept), error) from error

    def has(self, session: str) -> bool:
        """Tell if a session is on the list."""
        return (self.folder / f"{session}.json").exists()

    def keep(self, kept: KeptSession, files: Sequence[KeptFile]) -> None:
        """Keep only these files of a session on the list; without any the session is off it. Raises `DeviceError`."""
        try:
            if files:
                write_private(self._file(kept), _encoded(replace(kept, files=tuple(files))))
            else:
                self._file(kept).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self._file(kept), error) from error

    def _file(self, kept: KeptSession) -> Path:
        return self.folder / f"{kept.session}.json"


def _encoded(kept: KeptSession) -> bytes:
    """Write a session as ASCII, in which also names of files that are no UTF-8 are told."""
    return json.dumps(msgspec.to_builtins(kept)).encode()


class LedgerSink:
    """A `Sink` of one session that puts its files on the list once there is anything in them, and speakers as they speak.

    Where the list cannot be written the session goes on, and is told that its files will not be found.
    """

    def __init__(self, ledger: Ledger, kept: KeptSession) -> None:
        self.notices: list[Notice] = []
        self._ledger = ledger
        self._kept = kept
        self._begun = False

    async def put(self, event: Event) -> None:
        """Note the session, and new speakers."""
        speakers = {*self._kept.speakers, *_speakers(event)}
        if (self._begun and len(speakers) == len(self._kept.speakers)) or isinstance(event, Fault):
            return
        if self._begun and not self._ledger.has(self._kept.session):  # it was erased meanwhile, with its speakers' names
            return
        self._begun = True
        self._kept = replace(self._kept, speakers=tuple(sorted(speakers)))
        await self._note(self._kept)

    async def close(self) -> None:
        """Note which files they are, so that others that get their names are not taken for them."""
        if self._begun and self._ledger.has(self._kept.session):  # else it was erased meanwhile
            files = tuple(
                file if file.broadcast else replace(file, inode=inode_of(Path(file.path))) for file in self._kept.files
            )
            await self._note(replace(self._kept, files=files))

    async def _note(self, kept: KeptSession) -> None:
        try:
            await asyncio.to_thread(self._ledger.add, kept)
        except DeviceError as error:
            self.notices.append(
                Fault("ledger", f"the files of this session cannot be found by erase: {error}", fatal=False)
            )


def kept_session(
    session: str,
    files: Iterable[Path],
    recorded: Iterable[Path],
    speakers: Iterable[str],
    retention_days: float | None,
    *,
    broadcast: Path | None = None,
) -> KeptSession:
    """Describe a session that begins now; ``recorded`` files are deleted after ``retention_days``.

    One of ``files`` is the playlist of a ``broadcast``, if there is one.
    """
    now = datetime.now(UTC)
    until = now + timedelta(days=retention_days) if retention_days is not None else None
    named = [
        *(KeptFile(str(path.absolute()), broadcast=path == broadcast) for path in files),
        *(KeptFile(str(path.absolute()), recorded=True) for path in recorded),
    ]
    return KeptSession(session, iso(now), tuple(named), tuple(sorted(set(speakers))), iso(until) if until else "")


def iso(moment: datetime) -> str:
    """Return a moment in UTC as ISO 8601, which sorts as it passes."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def inode_of(path: Path) -> int:
    """Return the number of a file on its disk; 0 if it is not there."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _speakers(event: Event) -> set[str]:
    match event:
        case ReadingUnit():
            return {event.speaker, *(word.speaker for word in event.source)} - {""}
        case Transcript():
            return {event.speaker, *(word.speaker for word in event.committed)} - {""}
        case _:
            return set()
