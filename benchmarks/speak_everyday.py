"""Everyday sentences spoken by Kokoro's voices, English and Portuguese, as a folder of recordings for `session`."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.atomic import write_text
from benchmarks.corpora.audio import CORPUS_HZ, write_audio
from benchmarks.corpora.folder import TABLE
from benchmarks.mt_bergamot import everyday
from models.tts.kokoro import Kokoro
from pipeline.audio.resampling import resampled
from pipeline.contracts import Voice
from pipeline.events import ReadingUnit, Samples
from pipeline.stages.speak import whole

COLUMNS = ("file", "language", "transcript", "translation_en", "translation_pt")
PAUSE_S = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where to, and how many."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="gets the recordings and transcripts.tsv")
    parser.add_argument("--sentences", type=int, default=36, metavar="N", help="of each language, at most 72 (36)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Speak each sentence in both languages, by the voices of a language in turn; raises `ModelError` without Kokoro."""
    sentences = everyday()[: arguments.sentences]
    columns = {"en": [one.english for one in sentences], "pt": [one.portuguese for one in sentences]}
    rows, seconds = [], {}
    for language, texts in columns.items():
        recordings = asyncio.run(_spoken(texts, language))
        for number, (text, samples) in enumerate(zip(texts, recordings, strict=True)):
            file = f"{language}-{number:02d}.wav"
            write_audio(arguments.folder / file, samples, CORPUS_HZ)
            rows.append((file, language, text, columns["en"][number], columns["pt"][number]))
        seconds[f"{language}_s"] = sum(map(len, recordings)) / CORPUS_HZ
    write_text(arguments.folder / TABLE, "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows]))
    print(f"{len(rows)} recordings; now: python -m benchmarks session {arguments.folder} --from pt --to en")
    return {"sentences": float(len(rows)), **seconds}


async def _spoken(texts: Sequence[str], language: str) -> list[Samples]:
    """Speak texts by the voices of their language in turn, each with a pause around it; samples [n] at 16 kHz."""
    backend = Kokoro()
    voices, pause, recordings = backend.voices_for(language), np.zeros(round(PAUSE_S * CORPUS_HZ), np.float32), []
    async with backend.load() as kokoro:
        for number, text in enumerate(texts):
            unit = ReadingUnit(number, (), text, language, 0.0, 0.0, 0.0)
            async with kokoro.open(Voice(voices[number % len(voices)]), language) as speaking:
                chunks = [chunk async for chunk in speaking.say(unit, whole(text))]
            samples = np.concatenate([chunk.samples for chunk in chunks])
            speech = resampled(samples, chunks[0].sample_rate, CORPUS_HZ)
            recordings.append(np.concatenate([pause, speech, pause]))
    return recordings
