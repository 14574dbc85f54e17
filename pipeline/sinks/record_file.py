"""A file that holds whole records at every moment, also after a kill or on a full disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pipeline.sinks.pipe import Pipe
from pipeline.sinks.writing import cannot_go_on, create, reason_of


class RecordFile:
    """A new file to which records are added, each with one system call and without a buffer of our own.

    A killed process leaves every record it wrote, since the operating system holds them; a record that cannot be written
    whole is taken back, but for one in a pipe. ``private`` lets only the owner read it. Raises `DeviceError` where the file
    cannot be made or a record cannot be added.
    """

    def __init__(self, path: Path, *, private: bool = False) -> None:
        self.path = path
        self._descriptor = create(path, private=private)
        self._length = 0
        is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._pipe = None if is_file else Pipe(path, self._descriptor)

    async def add(self, record: str) -> None:
        """Append one record, whole or not at all; only the reader of a pipe is waited for."""
        data = record.encode(errors="replace")
        if self._pipe is not None:
            await self._pipe.write(data)
            return
        try:
            if os.write(self._descriptor, data) < len(data):  # the disk became full half-way: the next call says why
                os.ftruncate(self._descriptor, self._length)
                os.lseek(self._descriptor, self._length, os.SEEK_SET)
                raise cannot_go_on(self.path, "the disk is full")
        except OSError as error:
            raise cannot_go_on(self.path, reason_of(error)) from error
        self._length += len(data)

    def close(self) -> None:
        """Give the file back; idempotent. Raises `DeviceError` if the reader of a pipe has not taken every record."""
        if self._pipe is not None:
            self._pipe.close()
        elif self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
