"""Your own recordings: live recognition beside offline faster-whisper with the same model."""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import faster_whisper
from faster_whisper.audio import decode_audio

from benchmarks.asr_scoring import Commit, Score, Truth, score, summarize
from models.asr.whisper import FasterWhisper
from models.asr.whisper.listening import WhisperRecognizer
from models.asr.whisper.loading import Device, choose_compute_type, choose_device
from models.asr.whisper.log_mel import SAMPLE_RATE
from models.asr.whisper.model_files import find
from models.asr.whisper.options import StreamOptions
from pipeline.errors import BadInput, ModelError
from pipeline.events import AudioChunk, Samples

SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".m4a", ".opus"}
CHUNK_S = 0.1


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """WER of both against the transcripts; commit latency against the word ends that offline recognition gives."""
    folder = find(arguments.model)
    if folder is None:
        raise ModelError(f"the model {arguments.model} is not on this machine: translate-live pull, or --model FOLDER")
    files = recordings(arguments.audio)
    device: Device = choose_device(arguments.device)
    kind = choose_compute_type(device, arguments.compute_type)
    model = faster_whisper.WhisperModel(str(folder), device=device, compute_type=kind)
    offline, offline_truth = [], []
    for file in files:
        words = _offline(model, file, arguments.language)
        offline_truth.append(words)
        offline.append(score(_transcript(file), [Commit(word.text, word.end) for word in words]))
    del model
    stream = StreamOptions(step_s=arguments.step, policy=arguments.policy)
    backend = FasterWhisper(str(folder), device=device, compute_type=kind, stream=stream)
    commits = asyncio.run(_live(backend, files, arguments.language))
    live = [score(_transcript(file), heard) for file, heard in zip(files, commits, strict=True)]
    timed = [score(truth, heard) for truth, heard in zip(offline_truth, commits, strict=True)]
    return _report(offline, live, timed)


def recordings(folder: Path) -> list[Path]:
    """The audio files that have a transcript beside them; raises `BadInput` when there are none."""
    found = [
        file for file in sorted(folder.glob("*")) if file.suffix.lower() in SUFFIXES and file.with_suffix(".txt").is_file()
    ]
    if not found:
        raise BadInput(f"{folder} has no recording with a transcript beside it (talk.wav and talk.txt)")
    return found


def normalized(text: str) -> list[str]:
    """Words in lower case without punctuation."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def _report(offline: Sequence[Score], live: Sequence[Score], timed: Sequence[Score]) -> dict[str, float]:
    before, after, latency = summarize(offline), summarize(live), summarize(timed)
    print(f"WER offline {before.wer:.1%}, streaming {after.wer:.1%} ({100 * (after.wer - before.wer):+.1f} points)")
    print(f"commit latency after the word's end: mean {latency.mean_s:.2f} s, p95 {latency.p95_s:.2f} s")
    return {
        "wer_offline": before.wer,
        "wer_streaming": after.wer,
        "commit_latency_mean_s": latency.mean_s,
        "commit_latency_p95_s": latency.p95_s,
    }


def _transcript(file: Path) -> list[Truth]:
    return [Truth(word, 0.0) for word in normalized(file.with_suffix(".txt").read_text(encoding="utf-8"))]


def _offline(model: object, file: Path, language: str) -> list[Truth]:
    segments, _ = model.transcribe(str(file), language=language, word_timestamps=True)  # type: ignore[attr-defined]
    spoken = [word for segment in segments for word in segment.words or ()]
    return [Truth(text, float(word.end)) for word in spoken for text in normalized(word.word)]


async def _live(backend: FasterWhisper, files: Sequence[Path], language: str) -> list[list[Commit]]:
    async with backend.load() as recognizer:
        return [await _hear(recognizer, decode_audio(str(file), sampling_rate=SAMPLE_RATE), language) for file in files]


async def _hear(recognizer: WhisperRecognizer, audio: Samples, language: str) -> list[Commit]:
    commits, size = [], round(CHUNK_S * SAMPLE_RATE)
    async with recognizer.open([language], []) as listening:
        for at in range(0, len(audio), size):
            heard = await listening.hear(AudioChunk(audio[at : at + size], SAMPLE_RATE, at / SAMPLE_RATE))
            commits += [Commit(text, heard.heard_s) for word in heard.committed for text in normalized(word.text)]
        rest = await listening.finish()
        commits += [Commit(text, rest.heard_s) for word in rest.committed for text in normalized(word.text)]
    return commits
