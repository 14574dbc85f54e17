"""Files to be written: making them, checking beforehand that this can work, making them late, and adding whole records.

Files for their owner alone are replaced at once, so that a crash cannot leave one half done.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipeline.contracts import Sink
from pipeline.errors import BadInput, DeviceError
from pipeline.events import Event, Fault

LITTLE_BYTES = 1 << 20  # that a full disk may still call free: blocks of others


def create(path: Path, *, private: bool) -> int:
    """Open a new or emptied file, which only its owner may read if ``private``.

    As long as it is open, nobody else gets one: two sessions that write one file would leave neither's. Raises
    `DeviceError`, and `BadInput` for a named pipe.
    """
    _refuse_pipe(path)
    try:
        if private and path.is_file():
            path.chmod(0o600)  # it may be open to others; those of another owner are refused before they are emptied
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600 if private else 0o666)
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
        hint = "another name, or wait until it has ended"
        raise DeviceError(f"another session is writing {path}", hint=hint) from error
    except OSError:
        return


class Claim:
    """A path that others replace while it is written, taken for one session by a lock file beside it until `release`.

    Raises `DeviceError` if another session has it.
    """

    def __init__(self, path: Path) -> None:
        self._lock = path.with_name(f".{path.name}.lock")
        while True:
            self._descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                _claim(path, self._descriptor)
                if self._lock.exists() and os.path.samestat(self._lock.stat(), os.fstat(self._descriptor)):
                    return  # else who had it has just removed it
            except BaseException:
                os.close(self._descriptor)
                raise
            os.close(self._descriptor)

    def release(self) -> None:
        """Give the path back, without a trace."""
        with suppress(OSError):  # Windows removes nothing that is open
            self._lock.unlink()
        os.close(self._descriptor)


def check_file(path: Path) -> None:
    """Raise `DeviceError` if no file can be written there, `BadInput` for a named pipe; leaves everything as it is."""
    _refuse_pipe(path)
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


def same_file(one: Path, other: Path) -> bool:
    """Tell if two paths are one file, also by a hard link."""
    return one.resolve() == other.resolve() or (one.is_file() and other.is_file() and one.samefile(other))


def is_standard_output(path: Path) -> bool:
    """Tell if a path is the file or pipe that standard output is; terminals and the null device take everything."""
    try:
        there = path.stat()
        return not stat.S_ISCHR(there.st_mode) and os.path.samestat(there, os.fstat(1))
    except OSError:
        return False


def cannot_write(path: Path, error: Exception) -> DeviceError:
    """Make the error for a file or folder that cannot be made, with what to do."""
    folder = path.parent
    if path.is_dir():
        step = "the name of a file"
    elif isinstance(error, NotADirectoryError | FileExistsError):
        step = "another name: a file has the name of the folder"
    elif not folder.is_dir():
        step = f"mkdir -p {folder}"
    elif isinstance(error, PermissionError):
        step = f"a folder you may write to, or chmod u+w {path if path.exists() else folder}"
    else:
        step = "another disk, or another place"
    return DeviceError(f"cannot write {path}: {reason_of(error)}", hint=step)


def cannot_go_on(path: Path, reason: str) -> DeviceError:
    """Make the error for a file that takes no more."""
    return DeviceError(f"cannot write {path} any more: {reason}; what was written stays valid", hint="another disk")


def reason_of(error: Exception) -> str:
    """Give the system's reason why a file could not be written."""
    return getattr(error, "strerror", None) or str(error).strip() or "not everything could be written"


def reason_by_space(path: Path) -> str:
    """Guess the reason from the space that is left, for a library that hides the system's."""
    free = shutil.disk_usage(path.resolve().parent).free
    return "the disk is full" if free < LITTLE_BYTES else "the disk may be full, or the file at a limit of its size"


def _refuse_pipe(path: Path) -> None:
    if path.is_fifo():
        raise BadInput(f"{path} is a named pipe, and only files are written", hint="the name of a file")


def _check_room(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


class RecordFile:
    """A new file to which records are added, each with one system call and without a buffer of our own.

    A killed process leaves every record it wrote, since the operating system holds them; a record that cannot be written
    whole is taken back. ``private`` lets only the owner read it. Raises `DeviceError` where the file cannot be made or a
    record cannot be added, and `BadInput` for a named pipe.
    """

    def __init__(self, path: Path, *, private: bool = False) -> None:
        self.path = path
        self._descriptor = create(path, private=private)
        self._length = 0
        self._end = b""

    def add(self, record: str | bytes, end: str = "") -> None:
        """Append one record, whole or not at all; ``end`` closes the file until the next one takes its place."""
        kept, self._end = self._end, end.encode()
        data = record if isinstance(record, bytes) else record.encode(errors="replace")
        try:
            if os.write(self._descriptor, data + self._end) < len(data + self._end):  # the next call would say why
                os.ftruncate(self._descriptor, self._length)
                os.lseek(self._descriptor, self._length, os.SEEK_SET)
                os.write(self._descriptor, kept)
                raise cannot_go_on(self.path, "the disk is full")
            os.lseek(self._descriptor, -len(self._end), os.SEEK_CUR)
        except OSError as error:
            raise cannot_go_on(self.path, reason_of(error)) from error
        self._length += len(data)

    def close(self) -> None:
        """Give the file back; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class LazyFile:
    """A sink in front of one that writes ``path``, which is opened, and with that made or emptied, by the first event.

    A session that is refused, or fails before there is anything but a `Fault`, leaves no trace. ``check`` raises at once
    where the path cannot be written.
    """

    def __init__(self, path: Path, opener: Callable[[Path], Sink], check: Callable[[Path], None] = check_file) -> None:
        check(path)
        self.path = path
        self._opener = opener
        self._sink: Sink | None = None

    async def put(self, event: Event) -> None:
        """Hand an event on; raises what opening the sink raises."""
        if self._sink is None and not isinstance(event, Fault):
            self._sink = self._opener(self.path)
        if self._sink is not None:
            await self._sink.put(event)

    async def close(self) -> None:
        """Finish the file, if there is one."""
        if self._sink is not None:
            await self._sink.close()


OVERRIDE = "TRANSLATE_LIVE_DATA"  # environment variable with the folder for what this user made


def make_private_folder(folder: Path) -> None:
    """Make a folder with mode 0700, also where it was there with another."""
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


def data_folder() -> Path:
    """Find the folder for what this user made: $TRANSLATE_LIVE_DATA, else the system's place (XDG base directories)."""
    if chosen := os.environ.get(OVERRIDE):
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        parent = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        parent = home / "Library" / "Application Support"
    else:
        parent = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return parent / "translate-live"
