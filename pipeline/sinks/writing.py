"""Files to be written: making them, and knowing beforehand whether that can work."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from pipeline.errors import DeviceError

LITTLE_BYTES = 1 << 20
"""What a disk that is full may say is free: blocks of others."""


def create(path: Path, *, private: bool) -> int:
    """A descriptor of a new or emptied file, which only its owner may read if ``private``.

    As long as it is open, nobody else gets one: two sessions that write one file would leave neither's. Raises
    `DeviceError`.
    """
    try:
        if private and path.is_file():
            path.chmod(0o600)  # it may be open to others; those of another owner are refused before they are emptied
        unread = os.O_NONBLOCK if path.is_fifo() else 0  # a pipe without a reader is refused: it would be waited for
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | unread, 0o600 if private else 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        _claim(path, descriptor)
        if path.is_file():
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _claim(path: Path, descriptor: int) -> None:
    """Lock an open file; raises `DeviceError` if another session has, and does nothing where there are no such locks."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DeviceError(f"another session is writing {path}; try: another name, or wait until it has ended") from error
    except OSError:
        return


def check_file(path: Path) -> None:
    """Raise `DeviceError` if no file can be written there; leaves everything as it is."""
    try:
        if path.is_file() or path.is_dir():
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                _claim(path, descriptor)
            finally:
                os.close(descriptor)
        elif not path.exists():
            _check_room(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_folder(path: Path) -> None:
    """Raise `DeviceError` if no folder with files in it can be made there; leaves everything as it is."""
    try:
        _check_room(next(place for place in (path, *path.absolute().parents) if place.exists()))
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: Exception) -> DeviceError:
    """The error for a file or folder that cannot be made, with what to do."""
    folder = path.parent
    reason = reason_of(error)
    if path.is_fifo() and isinstance(error, OSError) and error.errno == errno.ENXIO:
        reason, step = "nobody reads this pipe", "start its reader first"
    elif path.is_dir():
        step = "the name of a file"
    elif isinstance(error, NotADirectoryError | FileExistsError):
        step = "another name: a file has the name of the folder"
    elif not folder.is_dir():
        step = f"mkdir -p {folder}"
    elif isinstance(error, PermissionError):
        step = f"a folder you may write to, or chmod u+w {path if path.exists() else folder}"
    else:
        step = "another disk, or another place"
    return DeviceError(f"cannot write {path}: {reason}; try: {step}")


def cannot_go_on(path: Path, reason: str) -> DeviceError:
    """The error for a file that takes no more."""
    return DeviceError(f"cannot write {path} any more: {reason}; what was written stays valid; try: another disk")


def reason_of(error: Exception) -> str:
    """What the system says of a file that could not be written."""
    return getattr(error, "strerror", None) or str(error).strip() or "not everything could be written"


def reason_by_space(path: Path) -> str:
    """Why a file could not be written where a library has hidden what the system said: by the space that is left."""
    free = shutil.disk_usage(path.resolve().parent).free
    return "the disk is full" if free < LITTLE_BYTES else "the disk may be full, or the file at a limit of its size"


def _check_room(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass
