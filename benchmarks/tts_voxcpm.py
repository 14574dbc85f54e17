"""VoxCPM2 against the official package, on random weights: the same patches and samples, and milliseconds a patch.

Both speak the same text from the same checkpoint with the same noise; on a CPU the speech must be equal. The package lies
in an environment of its own (``--peer voxcpm=PYTHON``), speaks one text at a time and is not compiled. Random weights are
taken to cost the time of trained ones. On a CPU that others use, too, the time of the processors says more than the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.memory import session_growth_mb
from benchmarks.other_python import parse_peer, run_script
from benchmarks.tts_measures import each_geometry
from benchmarks.voxcpm_checkpoint import GEOMETRIES, write_checkpoint
from models.cuda import choose_device
from models.tts.voxcpm import VoxCPM
from models.tts.voxcpm.diffusion import Diffusion
from models.tts.voxcpm.engine import DecodedPatch, Engine, Utterance
from models.tts.voxcpm.loading import load_engine
from models.tts.voxcpm.prompt import PromptTokenizer
from pipeline.errors import BadInput

PEERS = {"voxcpm": Path(__file__).parent / "peers" / "voxcpm_package.py"}
USUAL_STEPS = 10
TEXT = "The meeting begins at nine, and nobody is late."
_LIMIT_S = 1800.0
_SEED, _GUIDANCE, _TOLERANCE = 1, 2.0, 1e-4


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Measure each geometry at each number of texts at once, print a table, give the figures."""
    peers = [parse_peer(text, PEERS) for text in arguments.peer]
    torch.set_num_threads(arguments.threads)
    device = "cuda" if choose_device(arguments.device).type == "cuda" else "cpu"
    batches = arguments.streams or ((1, 8) if device == "cuda" else (1,))
    figures: dict[str, float] = {}
    for geometry, folder in each_geometry(arguments, GEOMETRIES):
        dtype = "float32" if device == "cpu" else "bfloat16"
        checkpoint = write_checkpoint(folder, geometry, dtype=dtype)
        for batch in batches:
            python = peers[-1].python if peers and batch == 1 else None
            figures |= _compare(checkpoint, f"{geometry}_b{batch}", batch, python, arguments)
            arguments.save(figures)
        if geometry == "tiny" and arguments.units:
            backend = VoxCPM(model=str(checkpoint), device=device, sessions=1, steps=2)
            figures["memory_growth_mb_tiny"] = asyncio.run(session_growth_mb(backend, "hello", arguments.units))
            print(f"tiny: {figures['memory_growth_mb_tiny']:+.2f} MB over {arguments.units} units")
    return figures


@dataclass(frozen=True, slots=True)
class _Round:
    """Time of a round on the clock, until its first patch, and of the processors."""

    wall_s: float
    first_s: float
    cpu_s: float


def _compare(
    checkpoint: Path, name: str, batch: int, python: str | None, arguments: argparse.Namespace
) -> dict[str, float]:
    """Speak ``batch`` texts together, and one by the package."""
    steps, patches = arguments.steps or USUAL_STEPS, max(4, arguments.frames // 2)
    engine, text, _ = load_engine(checkpoint, arguments.device, "auto", batch, Diffusion(steps, _GUIDANCE))
    config = engine.model.config
    speech_s = patches * config.patch_samples / config.vae.sample_rate
    rounds, spoken = [], list[DecodedPatch]()
    for _ in range(arguments.rounds + 1):  # the first warms up
        taken, spoken = _speak(engine, text, batch, patches)
        rounds.append(taken)
    wall_s, first_s, cpu_s = (statistics.median(part) for part in zip(*map(_parts, rounds[1:]), strict=True))
    print(f"{name:>10} on {engine.device.type}: {batch} texts of {patches} patches, {speech_s:.1f} s, in {steps} steps")
    own = f"{wall_s / patches * 1e3:.1f} ms a patch, first after {first_s * 1e3:.0f} ms"
    print(f"{'':>10} {own}, {cpu_s / patches * 1e3:.1f} ms of processors")
    figures = {
        f"own_ms_per_patch_{name}": wall_s / patches * 1e3,
        f"own_cpu_ms_per_patch_{name}": cpu_s / patches * 1e3,
        f"own_first_ms_{name}": first_s * 1e3,
        f"rtf_{name}": wall_s / (batch * speech_s),
        f"steps_{name}": float(steps),
    }
    if python is None:
        print(f"{'':>10} not compared: --peer voxcpm=PYTHON names the Python that has the package, for one text at a time")
        return figures
    case = {
        "text": TEXT, "seed": _SEED, "steps": steps, "guidance": _GUIDANCE, "least": patches, "most": patches,
        "reference": False, "before": None,
    }  # fmt: skip
    task: dict[str, Any] = {
        "checkpoint": str(checkpoint), "threads": arguments.threads, "device": engine.device.type, "texts": [TEXT],
        "clip_seed": 1, "clip_samples": 16000, "cases": [case] * (arguments.rounds + 1),
    }  # fmt: skip
    cases = run_script(python, PEERS["voxcpm"], json.dumps(task), _LIMIT_S)["cases"]
    theirs_s = statistics.median(one["seconds"] for one in cases[1:])
    theirs_cpu_s = statistics.median(one["cpu_seconds"] for one in cases[1:])
    print(f"{'package':>10} {theirs_s / patches * 1e3:.1f} ms a patch, {theirs_cpu_s / patches * 1e3:.1f} ms of processors")
    figures |= {
        f"package_ms_per_patch_{name}": theirs_s / patches * 1e3,
        f"package_cpu_ms_per_patch_{name}": theirs_cpu_s / patches * 1e3,
        f"speedup_{name}": theirs_s / wall_s,
        f"speedup_cpu_{name}": theirs_cpu_s / cpu_s,
        f"equal_{name}": float(_equal(spoken, cases[-1])),
    }
    if engine.device.type == "cpu" and not figures[f"equal_{name}"]:
        raise BadInput(f"{name}: the speech is not that of the package; the figures would mean nothing")
    return figures


def _parts(taken: _Round) -> tuple[float, float, float]:
    return taken.wall_s, taken.first_s, taken.cpu_s


def _equal(spoken: Sequence[DecodedPatch], found: dict[str, Any]) -> bool:
    """Tell if the package drew the same patches and made the same samples, but for rounding."""
    ours = torch.stack(spoken[0].utterance.patches).numpy(), np.concatenate([one.samples for one in spoken])[::389]
    theirs = np.array(found["patches"]), np.array(found["samples"])
    if [one.shape for one in ours] != [one.shape for one in theirs]:
        return False
    apart = [float(np.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True)]
    print(f"{'':>10} patches at most {apart[0]:.1e} apart, samples {apart[1]:.1e}")
    return max(apart) < _TOLERANCE


def _speak(engine: Engine, text: PromptTokenizer, batch: int, patches: int) -> tuple[_Round, list[DecodedPatch]]:
    """Speak texts together, all of the same length; gives the time taken, and the speech of the first."""
    rows = [row for row in (engine.open_row() for _ in range(batch)) if row is not None]
    begun, used, first = time.perf_counter(), time.process_time(), 0.0
    utterances = [Utterance(text.prompt(TEXT), row, _SEED, patches, patches) for row in rows]
    spoken: list[DecodedPatch] = []
    for one in utterances:
        engine.add(one)
    while engine.busy:
        for patch in engine.turn():
            patch.utterance.taken += 1
            first = first or time.perf_counter() - begun
            if patch.utterance is utterances[0]:
                spoken.append(patch)
    taken = _Round(time.perf_counter() - begun, first, time.process_time() - used)
    for row in rows:
        engine.close_row(row)
    return taken, spoken
