"""Scripts with dependencies of their own, run by another Python: text in, one JSON object in its last line."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError

_OURS = ("PYTHONPATH", "PYTHONHOME")  # another Python must not find our packages before its own


def run_script(python: str, script: Path, text: str, limit_s: float) -> dict[str, Any]:
    """What the script wrote; raises `ModelError` with its own last words where it cannot run, fails or writes none."""
    try:
        done = subprocess.run(
            [python, str(script)],
            input=text,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            env={name: value for name, value in os.environ.items() if name not in _OURS},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(f"cannot run {python}: {error}") from error
    if done.returncode:
        raise ModelError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    try:
        written = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        written = None
    if not isinstance(written, dict):
        raise ModelError(f"it wrote no figures: {done.stdout[-200:]!r}")
    return written
