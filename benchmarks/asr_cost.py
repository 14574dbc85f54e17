"""The cost of one update, part by part, at the geometry of real models with random weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.random_whisper import GEOMETRIES, build
from models.asr.whisper.hypothesis import Job
from models.asr.whisper.loading import Device, Placement, choose_device, load_engine, warm_up
from models.asr.whisper.log_mel import SAMPLE_RATE, LogMel
from pipeline.errors import BadInput, nearest

AUDIO_S = 10.0
STEP_S = 0.5
TOKENS = 35  # forced, because random weights stop when they like; a forced token costs as much as a free one
REPEATS = 5
PARTS = ("mel", "encode", "generate", "align")


def measure(sizes: Sequence[str], device: Device, compute_type: str) -> dict[str, float]:
    """Milliseconds for mel, encode, generate and align of one update, and the share of real time at 0.5 s steps.

    On a GPU the parts are queued, so what encode leaves running is waited for in generate; the sum is right.
    """
    unknown = [size for size in sizes if size not in GEOMETRIES]
    if unknown:
        raise BadInput(f"no size {unknown[0]!r}: {nearest(unknown[0], GEOMETRIES)}")
    where = choose_device(device)
    print(f"one update: {AUDIO_S:g} s of audio in a 30 s window, {TOKENS} tokens, median of {REPEATS}, {where}")
    print(f"{'size':16}" + "".join(f"{part + ' ms':>13}" for part in (*PARTS, "total")) + f"{'duty':>8}")
    figures: dict[str, float] = {}
    for size in sizes:
        costs_ms = _measure_one(size, device, compute_type)
        total_ms = sum(costs_ms.values())
        duty = total_ms / 1e3 / STEP_S
        row = "".join(f"{value:13.1f}" for value in (*costs_ms.values(), total_ms))
        print(f"{size:16}{row}{duty:8.2f}", flush=True)
        figures |= {f"cost_{size}_{part}_ms": value for part, value in costs_ms.items()}
        figures |= {f"cost_{size}_total_ms": total_ms, f"cost_{size}_duty": duty}
    return figures


def _measure_one(size: str, device: Device, compute_type: str) -> dict[str, float]:
    stored = "int8" if choose_device(device) == "cpu" else "float16"
    with TemporaryDirectory() as folder:
        build(Path(folder), GEOMETRIES[size], quantization=stored)
        engine = load_engine(Path(folder), Placement(device, compute_type=compute_type), 0.0, 1)
    warm_up(engine)
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(AUDIO_S * SAMPLE_RATE)).astype(np.float32)
    step = round(STEP_S * SAMPLE_RATE)
    mel = LogMel(engine.n_mels)
    mel.push(samples[:-step])
    mel.matrix()
    started = time.perf_counter()
    mel.push(samples[-step:])
    features = mel.matrix()
    mel_ms = 1e3 * (time.perf_counter() - started)
    token = engine.encode_text(" a")[0]
    jobs = [Job(0.0, AUDIO_S, features, prefix=((token,),) * TOKENS, language="en", max_new_tokens=1)]
    encoded = engine.encode([features])
    texts, _ = engine.generate(encoded, jobs, ["en"])
    return {
        "mel": mel_ms,
        "encode": _median_ms(lambda: engine.encode([features])),
        "generate": _median_ms(lambda: engine.generate(encoded, jobs, ["en"])),
        "align": _median_ms(lambda: engine.align(encoded, jobs, ["en"], texts)),
    }


def _median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - started))
    return median(times)
