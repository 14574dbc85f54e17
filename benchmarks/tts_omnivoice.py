"""OmniVoice against the official package, on random weights: the same codes, and seconds a unit.

Both speak the same units from the same checkpoint with the same random numbers; on a CPU the codes must be equal. The
package lies in an environment of its own (``--peer omnivoice=PYTHON``). Random weights are taken to cost the time of
trained ones. A unit's time is the whole way from text to samples.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks.omnivoice_checkpoint import GEOMETRIES, write_checkpoint
from benchmarks.other_python import run_script
from models.mt.checkpoint import choose_device
from models.tts.omnivoice import OmniVoice
from models.tts.omnivoice.duration import estimated_frames
from models.tts.omnivoice.engine import Engine, Spoken, Unit
from models.tts.omnivoice.loading import load_engine
from models.tts.omnivoice.prompt import PromptTokenizer, Reference
from pipeline.errors import BadInput
from pipeline.events import ReadingUnit

PEER = "omnivoice"
TEXT = "The meeting begins at nine, and nobody is late."
_SCRIPT = Path(__file__).parent / "peers" / "omnivoice_package.py"
_LIMIT_S = 1800.0
_REFERENCE_FRAMES, _REFERENCE_TEXT = 125, "This is what the speaker of the clip of five seconds says."
_SEED = 1
_TOLERANCE = 1e-5


def peer_python(peers: Sequence[str]) -> str | None:
    """Find the Python of the package in ``NAME=PYTHON``; raises `BadInput` for another peer."""
    found = None
    for text in peers:
        name, _, found = text.partition("=")
        if name != PEER or not found:
            raise BadInput(f"--peer {text!r}: of this engine it is {PEER}=PYTHON, the Python that has the package")
    return found


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Measure each geometry at each batch, print a table, give the figures."""
    python = peer_python(arguments.peer)
    torch.set_num_threads(arguments.threads)
    device = "cuda" if choose_device(arguments.device).startswith("cuda") else "cpu"
    batches = arguments.streams or ((1, 8) if device == "cuda" else (1,))
    figures: dict[str, float] = {}
    for geometry in arguments.geometry or ["tiny"]:
        if geometry not in GEOMETRIES:
            raise BadInput(f"geometry {geometry!r}: of this engine there are {', '.join(GEOMETRIES)}")
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = write_checkpoint(Path(folder), geometry)
            for batch in batches:
                figures |= _compare(checkpoint, geometry, device, batch, python, arguments)
                arguments.save(figures)
            if geometry == "tiny" and arguments.units:
                grown = asyncio.run(_growth(checkpoint, device, arguments.units))
                figures["memory_growth_mb_tiny"] = grown
                print(f"tiny: {grown:+.2f} MB over {arguments.units} units")
    return figures


def _compare(  # noqa: PLR0917
    checkpoint: Path, geometry: str, device: str, batch: int, python: str | None, arguments: argparse.Namespace
) -> dict[str, float]:
    """Speak ``batch`` units together, ours and the package's."""
    engine, text, _ = load_engine(checkpoint, device, "auto", batch, arguments.steps, graphs=arguments.graphs)
    codes = torch.randint(0, 1024, (8, _REFERENCE_FRAMES), generator=torch.Generator().manual_seed(2)).numpy()
    reference = Reference(codes, _REFERENCE_TEXT, 0.05)
    seconds, spoken = [], list[Spoken]()
    for _ in range(arguments.rounds + 1):  # the first warms up
        begun = time.perf_counter()
        spoken = _speak(engine, text, batch, reference)
        seconds.append(time.perf_counter() - begun)
    ours_s = statistics.median(seconds[1:])
    frames = spoken[0].codes.shape[1]
    speech_s = frames / engine.decoder.config.frame_rate
    name = f"{geometry}_b{batch}"
    print(f"{name:>10} on {device}: {batch} units of {speech_s:.2f} s in {arguments.steps} steps, {ours_s * 1e3:.0f} ms")
    figures = {
        f"own_ms_{name}": ours_s * 1e3,
        f"own_ms_per_step_{name}": _step_ms(engine, text, batch, reference),
        f"steps_{name}": float(arguments.steps),
        f"rtf_{name}": ours_s / (batch * speech_s),
        f"spread_{name}": (max(seconds[1:]) - min(seconds[1:])) / ours_s,
    }
    del engine
    if python is None:
        print(f"{'':>10} not compared: --peer {PEER}=PYTHON names the Python that has the package")
        return figures
    return figures | _beside_package(checkpoint, name, device, spoken, ours_s, python, arguments)


def _beside_package(  # noqa: PLR0917
    checkpoint: Path,
    name: str,
    device: str,
    spoken: list[Spoken],
    ours_s: float,
    python: str,
    arguments: argparse.Namespace,
) -> dict[str, float]:
    """The package's time and how near it is; raises `BadInput` where a single unit's codes differ on a CPU."""
    codes = spoken[0].unit.prompt.codes.tolist()
    unit = {"text": TEXT, "language": "en", "seed": _SEED}
    unit["reference"] = {"codes": codes, "text": _REFERENCE_TEXT, "rms": 0.05}
    task: dict[str, Any] = {
        "checkpoint": str(checkpoint), "threads": arguments.threads, "device": device, "steps": arguments.steps,
        "rounds": arguments.rounds + 1, "samples": True, "units": [unit] * len(spoken),
    }  # fmt: skip
    found = run_script(python, _SCRIPT, json.dumps(task), _LIMIT_S)
    theirs_s = statistics.median(found["seconds"][1:])
    figures = {f"package_ms_{name}": theirs_s * 1e3, f"speedup_{name}": theirs_s / ours_s}
    print(f"{'package':>10} {theirs_s * 1e3:.0f} ms: ours is {theirs_s / ours_s:.2f} times as fast")
    if len(spoken) == 1:  # of several units the package draws its random numbers in turn
        equal = np.array_equal(spoken[0].codes, found["codes"][0])
        apart = float(np.abs(spoken[0].samples * 0.5 - found["samples"][0]).max()) if equal else np.inf
        figures[f"equal_{name}"] = float(equal and apart < _TOLERANCE)
        print(f"{'':>10} codes {'equal' if equal else 'DIFFERENT'}, samples at most {apart:.1e} apart")
        if device == "cpu" and not figures[f"equal_{name}"]:
            raise BadInput(f"{name}: the speech is not that of the package; the figures would mean nothing")
    return figures


def _speak(engine: Engine, text: PromptTokenizer, batch: int, reference: Reference) -> list[Spoken]:
    """Speak units together, all of the same text and length."""
    frames = estimated_frames(TEXT, reference.length)
    for _ in range(batch):
        engine.add(Unit(text.prompt(TEXT, "en", "", reference), frames, _SEED))
    spoken: list[Spoken] = []
    while engine.busy:
        spoken += engine.turn()
    for one in spoken:
        if one.error is not None:
            raise one.error
    return spoken


def _step_ms(engine: Engine, text: PromptTokenizer, batch: int, reference: Reference) -> float:
    """Time a step of units under way, the median of a few."""
    frames = estimated_frames(TEXT, reference.length)
    units = [Unit(text.prompt(TEXT, "en", "", reference), frames, _SEED) for _ in range(batch)]
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


async def _growth(checkpoint: Path, device: str, units: int) -> float:
    """Growth of the process in MB over ``units`` units of one session, after a tenth of them as a warm-up."""
    backend = OmniVoice(accept_license=True, model=str(checkpoint), device=device, sessions=1)
    process, before = psutil.Process(), 0
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        for number in range(units + units // 10):
            if number == units // 10:
                before = process.memory_info().rss
            async for _ in session.say(ReadingUnit(number, (), "hello world", "en", 0.0, 1.0, 1.0), _whole("hello world")):
                pass
    return (process.memory_info().rss - before) / 1e6


async def _whole(text: str) -> AsyncIterator[str]:
    yield text
