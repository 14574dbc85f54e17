"""One voice or two: how alike clips of one person and of two people are, by the diarizer's encoder.

The first clip is of the first half of a speaker's recordings, the second of the other half, clean, in a telephone's band or
under noise. All recordings of a person are of one day and microphone: another day is what this does not show.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from benchmarks.asr_material import SPEECH
from benchmarks.speaker_mixtures import recorded
from models.asr.vad import SAMPLE_RATE
from models.diarize.backend import OnlineDiarizer, voice_of
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Samples
from pipeline.profiles.profile import load_profile

FIRST_S, SECOND_S = 5.0, 3.0
MOST = 8  # clips of each half
NOISE_DB = -15.0
PHONE_HZ = 8_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--profile", default="cpu", metavar="NAME", help="whose diarizer is measured (cpu)")
    parser.add_argument("--speech", type=Path, default=SPEECH, metavar="FOLDER", help="with SPEAKER/*.flac, two and more")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Compare all pairs and print a line for each kind of second clip."""
    speech = recorded(arguments.speech)
    if len(speech) < 2:
        raise BadInput(f"{arguments.speech} holds no recordings of two speakers", hint="a folder with SPEAKER/*.flac")
    return asyncio.run(_compared(speech, arguments.profile))


async def _compared(speech: Mapping[str, Samples], profile: str) -> Mapping[str, float]:
    backend = load_profile(profile).backends.diarizer
    if backend is None:
        raise BadInput(f"the profile {profile} names no diarizer")
    figures: dict[str, float] = {"speakers": len(speech)}
    async with backend.load() as diarizer:
        if not isinstance(diarizer, OnlineDiarizer):
            raise BadInput(f"the diarizer of {profile} compares no voices")
        threshold = diarizer.one_voice_from
        for kind, damaged in KINDS.items():
            same, different = await _likeness(diarizer, speech, damaged)
            found = {
                "same_lowest": float(np.min(same)),
                "same_median": float(np.median(same)),
                "different_median": float(np.median(different)),
                "different_highest": float(np.max(different)),
                "same_warned_ratio": float((same < threshold).mean()),
                "different_passed_ratio": float((different >= threshold).mean()),
            }
            print(
                kind, {name: round(float(value), 3) for name, value in found.items()}, f"{len(same)}/{len(different)} pairs"
            )
            figures |= {f"{kind}_{name}": float(value) for name, value in found.items()}
    return figures | {"threshold": threshold}


async def _likeness(
    diarizer: OnlineDiarizer, speech: Mapping[str, Samples], damaged: Callable[[Samples], Samples]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compare each first clip with each second as `OnlineDiarizer.likeness` does: pairs of one speaker, and of two."""

    async def voices(half: int, length_s: float) -> tuple[list[str], NDArray[np.float32]]:
        clips = [
            (name, damaged(clip) if half else clip)
            for name, samples in speech.items()
            for clip in _clips(np.array_split(samples, 2)[half], length_s)
        ]
        heard = [AudioChunk(clip, SAMPLE_RATE, 0.0) for _, clip in clips]
        vectors = [await diarizer.lane.run(voice_of, diarizer.encoder, "voice", clip) for clip in heard]
        return [name for name, _ in clips], np.array(vectors)

    (firsts, first), (seconds, second) = await voices(0, FIRST_S), await voices(1, SECOND_S)
    likeness, same = first @ second.T, np.array([[one == other for other in seconds] for one in firsts])
    return likeness[same], likeness[~same]


def _clips(samples: Samples, length_s: float) -> Iterator[Samples]:
    size = round(length_s * SAMPLE_RATE)
    for start in list(range(0, len(samples) - size + 1, size))[:MOST]:
        yield samples[start : start + size]


def _phone(samples: Samples) -> Samples:
    narrow = soxr.resample(soxr.resample(samples, SAMPLE_RATE, PHONE_HZ), PHONE_HZ, SAMPLE_RATE)
    return np.asarray(narrow, np.float32)


def _noisy(samples: Samples) -> Samples:
    level = np.sqrt(np.mean(samples**2)) * 10 ** (NOISE_DB / 20)
    return samples + np.float32(level) * np.random.default_rng(0).standard_normal(len(samples), np.float32)


KINDS: Mapping[str, Callable[[Samples], Samples]] = {"clean": np.asarray, "phone": _phone, "noise": _noisy}
