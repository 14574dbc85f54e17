"""The field's evaluators, each in an environment of its own under ``build/evaluators``, made and filled on first use."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import ModelError

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "evaluators"
PACKAGES = {
    "simuleval": ["simuleval==1.1.4", "setuptools<81"],
    # mweralign (GPL-3.0-or-later) is what simulstream cuts at the sentences with; it is used here alone, never shipped.
    "simulstream": ["simulstream==1.0.0", "omnisteval>=0.1.10", "mweralign==1.4.1"],
}
OURS = ["numpy>=2", "soxr", "soundfile", "PyYAML", "msgspec", "psutil"]


def environment(name: str) -> Path:
    """The environment's Python, made and filled on first use."""
    folder = BUILD / name
    python = folder / "bin" / "python"
    wanted = "\n".join([*PACKAGES[name], *OURS])
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        call([str(python), "-m", "pip", "install", "-q", *PACKAGES[name]])
        call([str(python), "-m", "pip", "install", "-q", *OURS])
        ready.write_text(wanted)
    return python


def call(command: Sequence[str], folder: Path = ROOT) -> str:
    """Run a program with our packages importable; raises `ModelError` with what it said."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=_paths(command[0]))
    if done.returncode:
        raise ModelError(f"{' '.join(map(str, command[:4]))} … failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def program(environment_name: str, name: str) -> str:
    """The path of an evaluator's program."""
    return str(environment(environment_name).parent / name)


def last_number(text: str, name: str) -> float:
    """The number in or under the column or row ``name`` of a tool's table."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        words = line.split()
        if name in line and line.split(name)[-1].strip():
            return float(line.split(name)[-1].split()[0])
        if name in words and index + 1 < len(lines):
            return float(lines[index + 1].split()[words.index(name) - len(words)])
    raise ModelError(f"no {name} in:\n{text[-1500:]}")


def _paths(program: str) -> dict[str, str]:
    return {"PATH": f"{Path(program).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(Path.home())}
