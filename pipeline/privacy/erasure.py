"""Erasure of what was kept of a session, a time or a speaker: files, voices and entries of the bus; and a proof of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import DeviceError, TranslateLiveError
from pipeline.privacy.audit import Audit
from pipeline.privacy.ledger import KeptFile, KeptSession, Ledger, inode_of, iso
from pipeline.sinks.hls import files_of
from pipeline.voices.store import VoiceStore


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
