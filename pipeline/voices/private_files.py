"""Files that only their owner can read, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import DeviceError
from pipeline.voices.folder import OVERRIDE


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the disk refuses into a `DeviceError` that names the folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DeviceError(f"the voice in {place} cannot be written: {reason}; try: {OVERRIDE}=FOLDER") from error


def make_private_folder(folder: Path) -> None:
    """A folder with mode 0700, also where it was there with another."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_private(path: Path, data: bytes) -> None:
    """Put a file with mode 0600 in place at once: at every moment, also after a crash, it is the old or the new one."""
    descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name last: it belongs to the folder. Not every system can do this."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
