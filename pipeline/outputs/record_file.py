"""A file that holds whole records at every moment, also after a kill or on a full disk."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import DeviceError

SHARED = 0o666
PRIVATE = 0o600


class RecordFile:
    """A new file to which records are added, each with one system call and without a buffer of our own.

    A killed process leaves every record it wrote, since the operating system holds them; a record that cannot be written
    whole is taken back. ``mode`` is the file's permissions before the umask. Raises `DeviceError` where the file cannot be
    made or a record cannot be added.
    """

    def __init__(self, path: Path, mode: int = SHARED) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
            if mode == PRIVATE:
                os.chmod(path, mode)  # the file may be there already, open to others
        except OSError as error:
            reason = error.strerror or str(error)
            raise DeviceError(
                f"cannot write {path}: {reason}; try: a folder that exists and that you may write to"
            ) from error
        self._length = 0

    def add(self, record: str) -> None:
        """Append one record, whole or not at all."""
        data = record.encode(errors="replace")
        try:
            if os.write(self._descriptor, data) < len(data):  # the disk became full half-way: the next call says why
                os.ftruncate(self._descriptor, self._length)
                os.lseek(self._descriptor, self._length, os.SEEK_SET)
                raise DeviceError(self._failure("the disk is full"))
        except OSError as error:
            raise DeviceError(self._failure(error.strerror or str(error))) from error
        self._length += len(data)

    def close(self) -> None:
        """Give the file back; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _failure(self, reason: str) -> str:
        return f"cannot write {self.path} any more: {reason}; what was written stays valid"
