"""An audit of voices: who enrolled, used and erased one, and when; names of speakers stand in it as a keyed hash only."""

from __future__ import annotations

import getpass
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from pipeline.privacy.ledger import iso
from pipeline.sinks.writing import cannot_write, data_folder, make_private_folder, write_private

Action = Literal["enrolled", "used", "erased"]
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A line of the audit; ``subject`` is the hash of a voice's or speaker's name, ``actor`` a user or the id of a key."""

    when: str  # ISO 8601, UTC
    action: Action
    actor: str
    subject: str
    session: str = ""


class Audit:
    """The file ``audit.jsonl`` in ``folder`` (by default the user's data folder), which only grows, for its owner alone.

    The hash has a key of its own, ``audit.key``: without it names cannot be guessed from the file; with it, and a name, its
    lines are found.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or data_folder()
        self.path = self._folder / "audit.jsonl"

    def note_used(self, names: Iterable[str], *, actor: str = "", session: str = "") -> None:
        """Add a line for each voice that a session uses; raises `DeviceError` where it cannot be written."""
        for name in names:
            self.note("used", name, actor=actor, session=session)

    def note(self, action: Action, name: str, *, actor: str = "", session: str = "") -> None:
        """Add a line; raises `DeviceError` where it cannot be written."""
        entry = AuditEntry(iso(datetime.now(UTC)), action, actor or user(), self.subject(name), session)
        try:
            make_private_folder(self._folder)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, msgspec.json.encode(entry) + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def entries(self, name: str | None = None) -> Iterator[AuditEntry]:
        """Return the lines, of one voice or speaker where a name is given."""
        if not self.path.is_file():
            return
        subject = self.subject(name) if name is not None else ""
        for line in self.path.read_bytes().splitlines():
            entry = msgspec.json.decode(line, type=AuditEntry)
            if not subject or entry.subject == subject:
                yield entry

    def subject(self, name: str) -> str:
        """Return the keyed hash of a name, whatever its case."""
        return hmac.new(self._key(), name.casefold().encode(), hashlib.sha256).hexdigest()[:24]

    def _key(self) -> bytes:
        path = self._folder / "audit.key"
        try:
            if not path.exists():
                make_private_folder(self._folder)
                write_private(path, secrets.token_bytes(KEY_BYTES))
            return path.read_bytes()
        except OSError as error:
            raise cannot_write(path, error) from error


def user() -> str:
    """Return the name of the user of this process, or its number."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"
