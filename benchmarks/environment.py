"""The surroundings of a measurement: hardware, versions, git state, date, command line and seeds."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

Environment = dict[str, Any]

ROOT = Path(__file__).parents[1]
# fmt: off
PACKAGES = (
    "av", "ctranslate2", "faster-whisper", "flash-attn", "huggingface-hub", "jiwer", "matplotlib", "msgspec", "numpy",
    "omnisteval", "onnxruntime", "pocket-tts", "psutil", "pysubs2", "qwen-tts", "sacrebleu",
    "ray", "safetensors", "sentencepiece", "sounddevice", "soundfile", "soxr", "tokenizers", "torch", "torchaudio",
    "transformers", "translate-live", "triton",
)
# fmt: on
PROGRAMS = {"espeak-ng": ["espeak-ng", "--version"], "ffmpeg": ["ffmpeg", "-version"], "haproxy": ["haproxy", "-v"]}
THREADING = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_")
"""How the variables begin that say how many threads compute and how they wait for each other: both move every time."""

GPU_FIELDS = (
    "name",
    "driver_version",
    "memory.total",
    "power.limit",
    "clocks.max.sm",
    "temperature.gpu",
    "utilization.gpu",
)


PASSED_ALONG = ("argv", "save")
"""What `benchmarks.__main__` gives a command among its arguments and is no setting of it."""


def capture(arguments: Mapping[str, Any] | None = None) -> Environment:
    """All of it as one JSON-ready mapping; what this machine does not tell is null, never a guess.

    ``arguments`` are those of a command, ``argv`` among them: the words by which it was run.
    """
    given = arguments or {}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "benchmarks", *given.get("argv", ())],
        "settings": {name: _plain(value) for name, value in given.items() if name not in PASSED_ALONG},
        "git": git_state(),
        "hardware": hardware(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": packages(),
        "packages_sha256": _packages_hash(),
        "programs": {name: first_line(command) for name, command in PROGRAMS.items() if shutil.which(command[0])},
        "threads": {
            name: os.environ[name]
            for name in sorted(os.environ)
            if name.startswith(THREADING) or name.endswith("_NUM_THREADS")
        },
    }


def hardware() -> Environment:
    """Processor, memory, load at the start (a busy machine measures others' work too) and GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "cores_usable": usable,
        "memory_mb": memory // 2**20 if memory else None,
        "load_1_minute": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "gpus": gpus(),
    }


def gpus() -> list[dict[str, str]]:
    """One mapping per NVIDIA GPU, as its driver names it; empty without one."""
    query = ["nvidia-smi", f"--query-gpu={','.join(GPU_FIELDS)}", "--format=csv,noheader"]
    lines = _output(query).splitlines() if shutil.which("nvidia-smi") else []
    return [dict(zip(GPU_FIELDS, (field.strip() for field in line.split(",")), strict=False)) for line in lines]


def git_state() -> Environment:
    """Commit and whether tracked files differ from it; null outside a checkout."""
    commit = _output(["git", "-C", str(ROOT), "rev-parse", "HEAD"]).strip()
    if not commit:
        return {"commit": None, "modified": None}
    changed = _output(["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"]).splitlines()
    return {"commit": commit, "modified": sorted(line[3:] for line in changed)}


def packages() -> dict[str, str]:
    """Versions of the packages that can move a figure, of those that are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def first_line(command: Sequence[str]) -> str | None:
    """Return a program's version as its first line tells it."""
    return _output(command).partition("\n")[0].strip() or None


def _packages_hash() -> str:
    """One hash over every installed package and version: two results with the same hash ran the same software."""
    installed = sorted({f"{found.name}=={found.version}" for found in metadata.distributions()})
    return hashlib.sha256("\n".join(installed).encode()).hexdigest()


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _output(command: Sequence[str]) -> str:
    """A program's output; nothing if it is missing, fails or hangs: no measurement should end for that."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _plain(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
