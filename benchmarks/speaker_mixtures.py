"""Mixtures of speech whose speakers are known: turns of recordings, or of a synthesizer's voices, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from benchmarks.asr_material import untranscribed
from models.asr.vad import SAMPLE_RATE, WINDOW_SAMPLES, StreamingVad
from models.tts.kokoro import Kokoro
from pipeline.contracts import Voice
from pipeline.errors import BadInput
from pipeline.events import ReadingUnit, Samples
from pipeline.stages.speak import whole

EACH = 10  # recordings of a speaker
LEVEL = 0.05  # RMS of a turn
NOISE = 0.001
WORD_S = 0.3
VOICES = ("af_bella", "af_nicole", "am_adam", "am_fenrir", "bf_emma", "bm_george")
TEXTS = (
    "The train to the coast leaves every morning at half past seven, and it is seldom late.",
    "We have looked at the numbers again, and they are better than anybody here expected.",
    "My grandmother kept bees behind the house, and she talked to them about the weather.",
    "If you want to finish this before Friday, somebody has to call the office in the morning.",
)


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Speech [n] at 16 kHz, and its words: slots of 0.3 s of each turn, with who said them."""

    samples: Samples
    words: tuple[tuple[float, float, str], ...]
    speakers: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


def recorded(folder: Path) -> dict[str, Samples]:
    """The speech of each speaker of a LibriSpeech folder (``SPEAKER/*.flac``), without its pauses; empty without one."""
    speech: dict[str, list[Samples]] = {}
    for one in untranscribed(folder / "librispeech-other", EACH) or untranscribed(folder, EACH):
        speech.setdefault(one.name.partition("-")[0], []).append(spoken(one.samples))
    return {name: np.concatenate(parts) for name, parts in speech.items()}


async def synthesized() -> dict[str, Samples]:
    """The speech of six voices of Kokoro; raises `ModelError` where its model is not here."""
    async with Kokoro().load() as kokoro:
        found = {}
        for name in VOICES:
            async with kokoro.open(Voice(name), "en") as speaking:
                chunks = []
                for number, text in enumerate(TEXTS):
                    unit = ReadingUnit(number, (), text, "en", 0.0, 0.0, 0.0)
                    chunks += [chunk async for chunk in speaking.say(unit, whole(text))]
            samples = np.concatenate([chunk.samples for chunk in chunks])
            found[name] = spoken(soxr.resample(samples, chunks[0].sample_rate, SAMPLE_RATE))
    return found


def spoken(samples: Samples) -> Samples:
    """The parts of 16 kHz speech [n] in which somebody speaks, with 0.1 s around them."""
    speech = StreamingVad().probabilities(samples) >= 0.5
    near = np.convolve(speech, np.ones(7), "same") > 0
    return samples[: len(speech) * WINDOW_SAMPLES][np.repeat(near, WINDOW_SAMPLES)]


def mixture(
    speech: Mapping[str, Samples], names: Sequence[str], turns: int, pause_s: tuple[float, float], seed: int
) -> Mixture:
    """Turns of 2 to 8 s, each of another speaker than the one before (if there are several), with pauses between."""
    random = np.random.default_rng(seed)
    taken = dict.fromkeys(names, 0)
    parts: list[Samples] = []
    words: list[tuple[float, float, str]] = []
    at, before = 0, ""
    for turn in range(turns):
        others = [name for name in names if name != before] or list(names)
        name = names[turn] if turn < len(names) else str(random.choice(others))
        length = min(round(random.uniform(2.0, 8.0) * SAMPLE_RATE), len(speech[name]))
        taken[name] = 0 if taken[name] + length > len(speech[name]) else taken[name]
        samples = speech[name][taken[name] : taken[name] + length]
        taken[name] += length
        parts.append(samples * (LEVEL / (np.sqrt(np.mean(np.square(samples))) + 1e-9)))
        parts.append(np.zeros(round(random.uniform(*pause_s) * SAMPLE_RATE), np.float32))
        begin_s, end_s = at / SAMPLE_RATE, (at + length) / SAMPLE_RATE
        words += [(start, min(start + WORD_S, end_s), name) for start in np.arange(begin_s, end_s - WORD_S / 2, WORD_S)]
        at += length + len(parts[-1])
        before = name
    samples = np.concatenate(parts)
    noisy = samples + NOISE * random.standard_normal(len(samples))
    return Mixture(noisy.astype(np.float32), tuple(words), len(names))


def drawn(speech: Mapping[str, Samples], count: int, seed: int) -> list[str]:
    """So many speakers, drawn at random; raises `BadInput` where there are fewer."""
    if count > len(speech):
        raise BadInput(f"{len(speech)} speakers are too few for a mixture of {count}")
    return [str(name) for name in np.random.default_rng(seed).choice(sorted(speech), count, replace=False)]
