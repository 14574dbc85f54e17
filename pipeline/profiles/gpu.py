"""The NVIDIA GPU as its driver tells of it, and how much of its memory a profile needs; torch is not asked."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.contracts import Routed, UsesGpu
from pipeline.profiles.backends import Backends

ALLOWANCE = 3_000_000_000
"""Bytes for CUDA itself and for what is computed with: an allowance, not measured."""

_QUERY = ["--query-gpu=name,driver_version,memory.total,memory.free", "--format=csv,noheader,nounits"]
_MEBIBYTE = 1 << 20


class NoGpu(Exception):
    """Absence of a GPU that can be used; ``fix`` says what would help."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; ``total`` and ``free`` are bytes of its memory."""

    name: str
    driver: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Need:
    """GPU memory that a profile takes: bytes by what takes them, ``now`` and once it is needed (``later``)."""

    now: Mapping[str, int]
    later: Mapping[str, int]

    @property
    def total(self) -> int:
        """Bytes with which the profile starts."""
        return sum(self.now.values()) + ALLOWANCE if self.now else 0

    def __str__(self) -> str:
        return gigabytes(self.total) + ("" if all(self.now.values()) else " or more")

    def rows(self) -> tuple[str, ...]:
        """List what takes how much, a line each; what comes later last."""
        allowed = {"allowed for CUDA and what is computed with (not measured)": ALLOWANCE}
        needs = {
            **self.now,
            **allowed,
            **{f"{what}, when a language needs it": count for what, count in self.later.items()},
        }
        return tuple(f"{gigabytes(count) if count else '?':>7} {what}" for what, count in needs.items())


def need_of(backends: Backends) -> Need:
    """Add up what a profile's stages say that they take."""
    stages = (backends.recognizer, backends.translator, backends.synthesizer)
    now = [stage.gpu_memory() for stage in stages if isinstance(stage, UsesGpu)]
    tiers = backends.translator.tiers() if isinstance(backends.translator, Routed) else ()
    others = (*tiers[1:], *list(backends.synthesizers.values())[1:])
    return Need(_merged(now), _merged(one.gpu_memory() for one in others if isinstance(one, UsesGpu)))


def gigabytes(count: int) -> str:
    """Word bytes as people say them."""
    return f"{count / 1e9:.1f} GB"


def gpus() -> list[Gpu]:
    """Return the GPUs of this machine; raises `NoGpu` where the driver is missing or broken."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise NoGpu("no NVIDIA driver", "needed by the gpu profile alone")
    try:
        said = subprocess.run([program, *_QUERY], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoGpu(f"{error}", "restart, or install the NVIDIA driver again") from error
    if said.returncode != 0:
        raise NoGpu(said.stdout.strip() or said.stderr.strip(), "install the NVIDIA driver")
    try:
        return [_gpu(line) for line in said.stdout.splitlines() if line.strip()]
    except ValueError as error:
        raise NoGpu(f"nvidia-smi said {said.stdout.strip()!r}", "install the NVIDIA driver again") from error


def _gpu(line: str) -> Gpu:
    name, driver, total, free = (part.strip() for part in line.rsplit(",", 3))
    return Gpu(name, driver, int(total) * _MEBIBYTE, int(free) * _MEBIBYTE)


def _merged(needs: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return {what: count for need in needs for what, count in need.items()}
