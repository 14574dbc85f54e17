"""Timing of synthesis: one utterance, many at once, memory over many."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import statistics
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.memory import session_growth_mb
from benchmarks.other_python import Peer, run_script
from models.tts.qwen3 import Qwen3TTS, speaking
from models.tts.qwen3.config import TEXT_CAPACITY
from models.tts.qwen3.engine import Engine
from models.tts.qwen3.loading import load_engine
from models.tts.qwen3.prompt import Opening, PromptSpeaker, streaming
from models.tts.qwen3.utterance import StopCriteria, Utterance
from pipeline.errors import BadInput, ModelError

PEERS = {"faster-qwen3-tts": Path(__file__).parent / "peers" / "faster_qwen3.py"}
"""Other implementations of Qwen3-TTS, each run by the Python of its own environment on the same checkpoint and text."""

PEER_LIMIT_S = 300.0

Codes = list[list[int]]
_LANGUAGE = "english"
_FIRST_TOKEN = 33  # 60 ids from here on are printable letters of ASCII in the checkpoints' byte-level BPE
_FRAMES_A_UNIT = 8


@dataclass(frozen=True, slots=True)
class Timing:
    """One utterance: seconds to its first samples, seconds per frame from text to the last sample, and its codes."""

    first_audio_s: float
    per_frame_s: float
    codes: Codes


@dataclass(frozen=True, slots=True)
class Served:
    """Several utterances at once: seconds a frame of all of them takes, and how long their first samples took."""

    per_frame_s: float
    first_audio_p50_s: float
    first_audio_p95_s: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Both systems on one checkpoint, and what they speak; ``official`` is None where that package cannot be imported."""

    engine: Engine
    official: Any
    decoder: Any
    text: list[int]
    role: tuple[int, int, int]


def each_geometry(arguments: argparse.Namespace, known: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Give each geometry that is asked for and an empty folder for its checkpoint; raises `BadInput` for an unknown one."""
    for geometry in arguments.geometry or ["tiny"]:
        if geometry not in known:
            raise BadInput(f"geometry {geometry!r}: of this engine there are {', '.join(known)}")
        with tempfile.TemporaryDirectory() as folder:
            yield geometry, Path(folder)


def open_pair(checkpoint: Path, device: str, frames: int, graphs: bool = False) -> Pair:
    """Load both systems; the official one never ends before ``frames`` frames."""
    engine, tokenizer, _ = load_engine(checkpoint, device, "auto", 1, greedy=True, graphs=graphs)
    text = [_FIRST_TOKEN + index % 60 for index in range(frames + 1)]
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    try:
        package = importlib.import_module("benchmarks.tts_official")
        package.import_official()
    except ImportError as error:
        print(f"the official package was not measured: {error}")
        return Pair(engine, None, None, text, tokenizer.role)
    official = package.official_model(checkpoint, dtype).to(device)
    inner = official.talker.generate
    # It yields one frame less than it may draw: the last draw is never completed.
    official.talker.generate = lambda **given: inner(**given | {"min_new_tokens": frames + 1, "max_new_tokens": frames + 1})
    decoder = package.official_decoder(checkpoint, dtype).to(device)
    return Pair(engine, official, decoder, text, tokenizer.role)


def measure_utterance(engine: Engine, text: list[int], role: tuple[int, int, int]) -> Timing:
    """Speak ``text`` at a frame a token, open-ended, so that it does not end before the last frame."""
    stream = engine.open_stream()
    utterance = _utterance(engine, text, role, stream or 0, seed=1)
    first = 0.0
    begin = time.perf_counter()
    engine.add(utterance)
    while engine.busy:
        if engine.turn() and not first:
            first = time.perf_counter() - begin
        utterance.taken = len(utterance.codes)
    total = time.perf_counter() - begin
    engine.close_stream(utterance.stream)
    return Timing(first, total / len(utterance.codes), utterance.codes)


def _utterance(engine: Engine, text: list[int], role: tuple[int, int, int], stream: int, seed: int) -> Utterance:
    config = engine.model.config
    opening = Opening(role, config.languages[_LANGUAGE], PromptSpeaker())
    speaker = torch.ones(config.talker.hidden, device=engine.device)
    prompt = streaming(config.tokens, opening, text, ended=False)
    return Utterance(prompt, speaker, stream, seed, False, StopCriteria(len(text) - 1, len(text)))


def measure_official(pair: Pair) -> Timing:
    """The same by the official package, which gives all of the samples at the end."""
    config = pair.engine.model.config
    ids = torch.tensor(
        [[*pair.role, *pair.text, config.tokens.im_end, pair.role[2], *pair.role]], device=pair.engine.device
    )
    voice = {
        "ref_code": [None], "ref_spk_embedding": [torch.ones(config.talker.hidden)], "x_vector_only_mode": [True],
        "icl_mode": [False],
    }  # fmt: skip
    begin = time.perf_counter()
    codes = pair.official.generate(
        input_ids=[ids], voice_clone_prompt=voice, languages=[_LANGUAGE], non_streaming_mode=False, do_sample=False,
        subtalker_dosample=False, repetition_penalty=pair.engine.model.generation.talker.repetition_penalty,
    )[0][0]  # fmt: skip
    with torch.inference_mode():
        pair.decoder.chunked_decode(codes.T.unsqueeze(0)).float().cpu()
    total = time.perf_counter() - begin
    return Timing(total, total / len(codes), codes.tolist())


def measure_streams(engine: Engine, role: tuple[int, int, int], count: int, frames: int, rounds: int) -> Served:
    """``count`` utterances begun together, once to warm up and then ``rounds`` times.

    The median round's time a frame, and the first samples of all rounds but the first.
    """
    firsts: list[float] = []
    per_frame = []
    text = [_FIRST_TOKEN + index % 60 for index in range(min(frames, TEXT_CAPACITY) + 1)]
    for counted in (False, *[True] * rounds):
        utterances = [_utterance(engine, text, role, engine.open_stream() or 0, seed) for seed in range(count)]
        waiting = {id(one) for one in utterances}
        begin = time.perf_counter()
        for one in utterances:
            engine.add(one)
        while engine.busy:
            spoken = {id(part.utterance) for part in engine.turn()}
            firsts += [time.perf_counter() - begin] * len(waiting & spoken) * counted
            waiting -= spoken
            for one in utterances:
                one.taken = len(one.codes)
        per_frame += [(time.perf_counter() - begin) / frames] * counted
        for one in utterances:
            engine.close_stream(one.stream)
    return Served(statistics.median(per_frame), statistics.median(firsts), sorted(firsts)[-1 - len(firsts) // 20])


def measure_memory(checkpoint: Path, device: str, units: int) -> float:
    """Growth of the process in MB over ``units`` units of one session, after a tenth of them as a warm-up."""
    with patch.object(speaking, "MOST_FRAMES", _FRAMES_A_UNIT):  # random weights do not know when to stop
        return asyncio.run(
            session_growth_mb(Qwen3TTS(model=str(checkpoint), device=device, sessions=1), "hello world", units)
        )


def measure_peer(peer: Peer, checkpoint: Path, text: Sequence[int], frames: int, rounds: int) -> Timing:
    """Let a peer speak, and give the medians of its rounds; raises `ModelError` with why it cannot.

    ``text`` are ids of the checkpoint's tokenizer below 128, where an id is the letter it stands for.
    """
    task = {"checkpoint": str(checkpoint), "text": "".join(map(chr, text)), "frames": frames, "rounds": rounds}
    found = run_script(peer.python, peer.script, json.dumps(task), PEER_LIMIT_S)
    try:
        first, per_frame = (_median(found[name]) for name in ("first_audio_s", "per_frame_s"))
        return Timing(first, per_frame, [list(map(int, frame)) for frame in found["codes"]])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"its figures cannot be read ({error!r}): {str(found)[:200]}") from error


def peer_figures(peer: Peer, ours: Timing, theirs: Timing, geometry: str) -> dict[str, float]:
    """Its times, how many times faster ours are, and how many frames from the first one on have the same codes."""
    same = [a == b for a, b in zip(ours.codes, theirs.codes, strict=False)]
    short = peer.name.partition("-")[0]
    return {
        f"{peer.figure}_first_audio_ms_{geometry}": theirs.first_audio_s * 1e3,
        f"{peer.figure}_ms_per_frame_{geometry}": theirs.per_frame_s * 1e3,
        f"{peer.figure}_equal_frames_{geometry}": float([*same, False].index(False)),
        f"speedup_first_audio_vs_{short}_{geometry}": theirs.first_audio_s / ours.first_audio_s,
        f"speedup_per_frame_vs_{short}_{geometry}": theirs.per_frame_s / ours.per_frame_s,
    }


def _median(values: Any) -> float:  # noqa: ANN401 - read from JSON
    return statistics.median(map(float, values))
