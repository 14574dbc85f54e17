"""A file that holds whole records at every moment, also after a kill or on a full disk."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.writing import cannot_go_on, create, reason_of


class RecordFile:
    """A new file to which records are added, each with one system call and without a buffer of our own.

    A killed process leaves every record it wrote, since the operating system holds them; a record that cannot be written
    whole is taken back. ``private`` lets only the owner read it. Raises `DeviceError` where the file cannot be made or a
    record cannot be added.
    """

    def __init__(self, path: Path, *, private: bool = False) -> None:
        self.path = path
        self._descriptor = create(path, private=private)
        self._length = 0

    def add(self, record: str) -> None:
        """Append one record, whole or not at all."""
        data = record.encode(errors="replace")
        try:
            if os.write(self._descriptor, data) < len(data):  # the disk became full half-way: the next call says why
                os.ftruncate(self._descriptor, self._length)
                os.lseek(self._descriptor, self._length, os.SEEK_SET)
                raise cannot_go_on(self.path, "the disk is full")
        except OSError as error:
            raise cannot_go_on(self.path, reason_of(error)) from error
        self._length += len(data)

    def close(self) -> None:
        """Give the file back; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
