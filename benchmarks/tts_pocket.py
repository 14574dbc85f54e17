"""Pocket TTS beside its own package, and Kokoro where its weights are here: seconds of the processors a second of speech.

Speech of random weights does not end, so it is as long as the package allows its text to be. What a frame costs does not
depend on trained values. Our way from text to samples and the package's ``generate_audio`` take turns on one model.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.pocket_checkpoint import GEOMETRIES, write_checkpoint
from benchmarks.tts_measures import each_geometry
from benchmarks.tts_weights import say, speak_texts
from models.model_files import find
from models.tts.kokoro import Kokoro
from models.tts.pocket import Pocket
from models.tts.pocket.synthesizer import PocketSynthesizer
from pipeline.events import AudioChunk

TEXT = "The meeting begins at nine, and nobody is late."
_CLIP_S = 10


@dataclass(frozen=True, slots=True)
class Round:
    """One unit, ours and the package's: seconds of the processors and on the clock."""

    speech_s: float
    own_cpu_s: float
    own_s: float
    first_cpu_s: float
    package_cpu_s: float


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Measure each geometry in float32 and 8 bits, print a table, give the figures."""
    figures: dict[str, float] = {}
    for geometry, folder in each_geometry(arguments, GEOMETRIES):
        words = [word.strip(",.") for word in TEXT.split()]
        write_checkpoint(folder, geometry, language="en", endless=True, words=words)
        for int8 in (False, True):
            name = f"{geometry}_int8" if int8 else geometry
            figures |= asyncio.run(_measure(Pocket(folder=str(folder), int8=int8), name, arguments.rounds))
            arguments.save(figures)
    if (weights := find("kokoro", ["en"])) is not None:
        spoken = asyncio.run(speak_texts(Kokoro(str(weights), threads=1), "en", [TEXT] * (arguments.rounds + 1)))[1:]
        cost = statistics.median(one.cpu_s * one.sample_rate / len(one.samples) for one in spoken)
        figures["cpu_s_per_audio_s_kokoro"] = cost
        print(f"{'kokoro':>12} {cost:.2f} s of processors a second of speech, trained weights, one thread")
    return figures


async def _measure(backend: Pocket, name: str, rounds: int) -> dict[str, float]:
    async with backend.load() as synthesizer:
        assert isinstance(synthesizer, PocketSynthesizer)
        clip = np.random.default_rng(1).standard_normal(_CLIP_S * 24_000).astype(np.float32) * np.float32(0.1)
        begun = time.process_time()
        voice = await synthesizer.enrol(AudioChunk(clip, 24_000, 0.0))
        learned = time.process_time()
        async with synthesizer.open(voice, "en"):
            opened = time.process_time()
        done = [await _round(synthesizer) for _ in range(rounds + 1)][1:]  # the first warms up
    median = {key: statistics.median(getattr(one, key) for one in done) for key in Round.__slots__}
    speech_s = median["speech_s"]
    figures = {
        f"speech_s_{name}": speech_s,
        f"cpu_s_per_audio_s_{name}": median["own_cpu_s"] / speech_s,
        f"package_cpu_s_per_audio_s_{name}": median["package_cpu_s"] / speech_s,
        f"rtf_{name}": median["own_s"] / speech_s,
        f"first_audio_cpu_s_{name}": median["first_cpu_s"],
        f"learn_{_CLIP_S}_s_cpu_s_{name}": learned - begun,
        f"open_cpu_s_{name}": opened - learned,
    }
    own, package = figures[f"cpu_s_per_audio_s_{name}"], figures[f"package_cpu_s_per_audio_s_{name}"]
    print(f"{name:>12} {own:.2f} s of processors a second of speech, the package {package:.2f}")
    print(f"{'':>12} {median['first_cpu_s']:.2f} s of them to the first sound", flush=True)
    print(
        f"{'':>12} {learned - begun:.1f} s to learn a voice of {_CLIP_S} s, {opened - learned:.2f} s to open it", flush=True
    )
    return figures


async def _round(synthesizer: PocketSynthesizer) -> Round:
    """Speak the unit, ours and then the package's."""
    model = synthesizer.models["en"]
    async with synthesizer.open(None, "en") as speaking:
        begun = time.perf_counter()
        ours = await say(speaking, "en", TEXT)
        own_s = time.perf_counter() - begun
    state, begun_cpu = model.preset(model.files.voices["ana"]), time.process_time()
    whole = model.tts.generate_audio(state, TEXT)
    package_cpu_s = time.process_time() - begun_cpu
    return Round(len(whole) / model.sample_rate, ours.cpu_s, own_s, ours.first_sound_cpu_s, package_cpu_s)
