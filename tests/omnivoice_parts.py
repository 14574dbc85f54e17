"""Parts of the tests of OmniVoice: a small checkpoint's parts, what the official package made of it, units to say."""

import json
from pathlib import Path

import numpy as np
import torch

from models.tts.checkpoint import Tensors
from models.tts.omnivoice.audio_tokenizer import load_audio_decoder, load_codebooks
from models.tts.omnivoice.config import AUDIO_TOKENIZER, read_model_config, read_tokenizer_config
from models.tts.omnivoice.decoding import load_masked_model
from models.tts.omnivoice.engine import Engine, Utterance
from models.tts.omnivoice.prompt import PromptTokenizer, Reference
from models.tts.omnivoice.synthesizer import estimated_frames
from models.tts.omnivoice.voice_encoder import load_voice_encoder
from pipeline.events import AudioChunk, ReadingUnit
from tests.scripted import pieces

CPU = torch.device("cpu")
RATE = 24_000
PACKAGE = json.loads((Path(__file__).parent / "omnivoice_package.json").read_text(encoding="utf-8"))
"""Codes, every 97th sample and codes of a clip that `omnivoice` 0.2.1 (transformers 5.24.0, torchaudio 2.11.0) made of the
checkpoint of ``write_checkpoint``: benchmarks/peers/omnivoice_package.py."""


class Parts:
    """The parts of a checkpoint, loaded."""

    def __init__(self, folder, steps=16):
        config = read_model_config(folder)
        audio = read_tokenizer_config(folder, config)
        with torch.inference_mode():
            self.model = load_masked_model(Tensors(folder, CPU, torch.float32), config, steps, CPU)
            inner = Tensors(folder / AUDIO_TOKENIZER, CPU, torch.float32)
            books = load_codebooks(inner, audio)
            self.encoder, self.decoder = load_voice_encoder(inner, audio, books), load_audio_decoder(inner, audio, books)
        self.text = PromptTokenizer(folder, config.codebooks)

    def engine(self, sessions=3, spare=0):
        with torch.inference_mode():
            return Engine(self.model, self.decoder, sessions, spare=spare)

    def unit(self, text, language="en", seed=1, reference=None):
        frames = estimated_frames(text, reference.length if reference else None)
        return Utterance(self.text.prompt(text, language, "", reference), frames, seed)

    def of_package(self, case):
        given = case["reference"]
        reference = Reference(np.array(given["codes"]), given["text"], given["rms"]) if given else None
        return self.unit(case["text"], case["language"], case["seed"], reference)


def run(engine, *units):
    """Speak the units together; gives their ends in their order."""
    for unit in units:
        engine.add(unit)
    return finish(engine, *units)


def finish(engine, *units):
    """Turn the engine until it rests; gives the ends of the units in their order."""
    ends = {}
    while engine.busy:
        ends |= {id(spoken.utterance): spoken for spoken in engine.turn()}
    return [ends[id(unit)] for unit in units]


def reading_unit(number=0, text="hello world", language="en"):
    return ReadingUnit(number, (), text, language, 0.0, 1.0, 1.0)


async def heard(session, number, *texts):
    chunks = [chunk async for chunk in session.say(reading_unit(number), pieces(*texts))]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {(chunk.unit, chunk.sample_rate) for chunk in chunks} == {(number, RATE)}
    return np.concatenate([chunk.samples for chunk in chunks])


def clip(seconds=4.0, level=0.05, rate=RATE):
    return AudioChunk((np.random.default_rng(1).standard_normal(round(seconds * rate)) * level).astype(np.float32), rate, 0)
