"""Scripts with dependencies of their own, run by another Python: text in, one JSON object in its last line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import BadInput, ModelError, nearest

_OURS = ("PYTHONPATH", "PYTHONHOME")  # another Python must not find our packages before its own


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer, the Python that has it, and the script that measures it there."""

    name: str
    python: str
    script: Path

    @property
    def figure(self) -> str:
        """Its name within a figure's."""
        return self.name.replace("-", "_")


def parse_peer(text: str, scripts: Mapping[str, Path]) -> Peer:
    """``NAME=PYTHON``; raises `BadInput` for a peer that has no script among these.

    A script may not have its package's name: its own folder comes first when Python looks for a module.
    """
    name, _, python = text.partition("=")
    if name not in scripts or not python:
        raise BadInput(f"--peer {text!r} is not NAME=PYTHON of a known peer; {nearest(name, scripts)}")
    return Peer(name, python, scripts[name])


def run_script(python: str, script: Path, text: str, limit_s: float) -> dict[str, Any]:
    """Return what a script wrote; raises `ModelError` with its last words where it cannot run, fails or writes none."""
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
