"""Where the user's data lies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

OVERRIDE = "TRANSLATE_LIVE_DATA"


def data_folder() -> Path:
    """The folder for what this user made: $TRANSLATE_LIVE_DATA, else the system's place (XDG base directories)."""
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
