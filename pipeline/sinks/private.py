"""Files for their owner alone: the folder for what this user made, and writing that a crash cannot leave half done."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

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
