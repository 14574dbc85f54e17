"""Result files that are whole or absent, and rows that survive a kill."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipeline.errors import DeviceError


def write_text(file: Path, text: str) -> None:
    """Replace ``file`` by ``text`` (UTF-8) in one step, as `write_bytes` does."""
    write_bytes(file, text.encode())


def write_bytes(file: Path, content: bytes) -> None:
    """Replace ``file`` by ``content`` in one step; raises `DeviceError`, leaving the old file, when the disk refuses."""
    temporary = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as stream:
            temporary = Path(stream.name)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(file)
    except OSError as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise DeviceError(f"cannot write {file}: {error.strerror or error}. Free space or choose another file") from error


def check_writable(file: Path) -> None:
    """Raise `DeviceError` now, not after an hour of measuring, if ``file`` could not be written."""
    if file.is_dir():
        raise DeviceError(f"{file} is a folder; give a file name")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise DeviceError(f"cannot write {file}: {error.strerror or error}. Choose a folder that can be written") from error


def append_row(file: Path, row: str) -> None:
    """Append one line and force it to disk, so that whatever was measured survives a kill or a power cut."""
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(row + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise DeviceError(f"cannot append to {file}: {error.strerror or error}. Free space and resume the run") from error
