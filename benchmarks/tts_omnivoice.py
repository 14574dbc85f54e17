"""OmniVoice against the official package, on random weights: the same codes, and seconds a unit.

Both speak the same units from the same checkpoint with the same random numbers; on a CPU the codes must be equal. The
package lies in an environment of its own (``--peer omnivoice=PYTHON``). Random weights are taken to cost the time of
trained ones. A unit's time is the whole way from text to samples; on a CPU that others use, too, the time of the
processors says more.
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
from benchmarks.omnivoice_checkpoint import GEOMETRIES, write_checkpoint
from benchmarks.other_python import parse_peer, run_script
from benchmarks.tts_measures import each_geometry
from models.cuda import choose_device
from models.tts.omnivoice import OmniVoice
from models.tts.omnivoice.engine import DecodedUtterance, Engine, Utterance
from models.tts.omnivoice.loading import load_engine
from models.tts.omnivoice.prompt import PromptTokenizer, Reference
from models.tts.omnivoice.synthesizer import estimated_frames
from pipeline.errors import BadInput

PEERS = {"omnivoice": Path(__file__).parent / "peers" / "omnivoice_package.py"}
TEXT = "The meeting begins at nine, and nobody is late."
_LIMIT_S = 1800.0
_REFERENCE_FRAMES, _REFERENCE_TEXT = 125, "This is what the speaker of the clip of five seconds says."
_SEED, _STEPS = 1, 16
_TOLERANCE = 1e-5


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Measure each geometry at each batch, print a table, give the figures."""
    peers = [parse_peer(text, PEERS) for text in arguments.peer]
    python = peers[-1].python if peers else None
    torch.set_num_threads(arguments.threads)
    device = "cuda" if choose_device(arguments.device).type == "cuda" else "cpu"
    batches = arguments.streams or ((1, 8) if device == "cuda" else (1,))
    figures: dict[str, float] = {}
    for geometry, folder in each_geometry(arguments, GEOMETRIES):
        checkpoint = write_checkpoint(folder, geometry)
        for batch in batches:
            figures |= _compare(checkpoint, f"{geometry}_b{batch}", batch, python, arguments)
            arguments.save(figures)
        if geometry == "tiny" and arguments.units:
            backend = OmniVoice(accept_license=True, model=str(checkpoint), device=device, sessions=1, steps=4)
            grown = asyncio.run(session_growth_mb(backend, "hello world", arguments.units))
            figures["memory_growth_mb_tiny"] = grown
            print(f"tiny: {grown:+.2f} MB over {arguments.units} units")
    return figures


@dataclass(frozen=True, slots=True)
class _Taken:
    """Time of a round: on the clock, and of the processors of its process."""

    wall_s: float
    cpu_s: float


def _compare(
    checkpoint: Path, name: str, batch: int, python: str | None, arguments: argparse.Namespace
) -> dict[str, float]:
    """Speak ``batch`` units together, ours and the package's."""
    steps = arguments.steps or _STEPS
    engine, text, _ = load_engine(checkpoint, arguments.device, "auto", batch, steps, graphs=arguments.graphs)
    device = engine.device.type
    codes = torch.randint(0, 1024, (8, _REFERENCE_FRAMES), generator=torch.Generator().manual_seed(2)).numpy()
    reference = Reference(codes, _REFERENCE_TEXT, 0.05)
    rounds, spoken = [], list[DecodedUtterance]()
    for _ in range(arguments.rounds + 1):  # the first warms up
        begun, used = time.perf_counter(), time.process_time()
        spoken = _speak(engine, text, batch, reference)
        rounds.append(_Taken(time.perf_counter() - begun, time.process_time() - used))
    ours = _median(rounds)
    speech_s = spoken[0].codes.shape[1] / engine.decoder.config.frame_rate
    print(f"{name:>10} on {device}: {batch} units of {speech_s:.2f} s in {steps} steps, {_worded(ours)}")
    figures = {
        f"own_ms_{name}": ours.wall_s * 1e3,
        f"own_cpu_ms_{name}": ours.cpu_s * 1e3,
        f"own_ms_per_step_{name}": _step_ms(engine, text, batch, reference),
        f"steps_{name}": float(steps),
        f"rtf_{name}": ours.wall_s / (batch * speech_s),
    }
    del engine
    if python is None:
        print(f"{'':>10} not compared: --peer omnivoice=PYTHON names the Python that has the package")
        return figures
    unit = {"text": TEXT, "language": "en", "seed": _SEED, "reference": None}
    unit["reference"] = {"codes": codes.tolist(), "text": _REFERENCE_TEXT, "rms": 0.05}
    task: dict[str, Any] = {
        "checkpoint": str(checkpoint), "threads": arguments.threads, "device": device, "steps": steps,
        "rounds": arguments.rounds + 1, "samples": True, "units": [unit] * batch,
    }  # fmt: skip
    found = run_script(python, PEERS["omnivoice"], json.dumps(task), _LIMIT_S)
    theirs = _median([_Taken(*pair) for pair in zip(found["seconds"], found["cpu_seconds"], strict=True)])
    print(f"{'package':>10} {_worded(theirs)}")
    figures |= {
        f"package_ms_{name}": theirs.wall_s * 1e3,
        f"package_cpu_ms_{name}": theirs.cpu_s * 1e3,
        f"speedup_{name}": theirs.wall_s / ours.wall_s,
        f"speedup_cpu_{name}": theirs.cpu_s / ours.cpu_s,
    }
    if batch == 1:  # of several units the package draws its random numbers in turn
        figures[f"equal_{name}"] = float(_equal(spoken[0], found))
        if device == "cpu" and not figures[f"equal_{name}"]:
            raise BadInput(f"{name}: the speech is not that of the package; the figures would mean nothing")
    return figures


def _equal(spoken: DecodedUtterance, found: dict[str, Any]) -> bool:
    """Tell if the package drew the same codes and made the same samples, but for rounding."""
    same = np.array_equal(spoken.codes, found["codes"][0])
    apart = float(np.abs(spoken.samples * 0.5 - found["samples"][0]).max()) if same else np.inf
    print(f"{'':>10} codes {'equal' if same else 'DIFFERENT'}, samples at most {apart:.1e} apart")
    return apart < _TOLERANCE


def _median(rounds: Sequence[_Taken]) -> _Taken:
    """Take the median of each over the rounds after the first."""
    counted = rounds[1:]
    return _Taken(statistics.median(one.wall_s for one in counted), statistics.median(one.cpu_s for one in counted))


def _worded(taken: _Taken) -> str:
    return f"{taken.wall_s * 1e3:.0f} ms, {taken.cpu_s * 1e3:.0f} ms of processors"


def _speak(engine: Engine, text: PromptTokenizer, batch: int, reference: Reference) -> list[DecodedUtterance]:
    """Speak units together, all of the same text and length."""
    frames = estimated_frames(TEXT, reference.length)
    for _ in range(batch):
        engine.add(Utterance(text.prompt(TEXT, "en", "", reference), frames, _SEED))
    spoken: list[DecodedUtterance] = []
    while engine.busy:
        spoken += engine.turn()
    for one in spoken:
        if one.error is not None:
            raise one.error
    return spoken


def _step_ms(engine: Engine, text: PromptTokenizer, batch: int, reference: Reference) -> float:
    """Time a step of units under way, the median of a few."""
    frames = estimated_frames(TEXT, reference.length)
    units = [Utterance(text.prompt(TEXT, "en", "", reference), frames, _SEED) for _ in range(batch)]
    for unit in units:
        engine.add(unit)
    engine.turn()
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        engine.turn()
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    for unit in units:
        engine.remove(unit)
    return statistics.median(times) * 1e3
