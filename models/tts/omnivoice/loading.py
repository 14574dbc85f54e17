"""Loading of a checkpoint folder into an engine that is warm; its steps are captured as CUDA graphs where that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from models.cuda import (
    CudaRecorder,
    Recorder,
    Work,
    at_least,
    choose_device,
    choose_dtype,
    halving,
    leave_out_cudnn_attention,
    sent,
    take_stream,
)
from models.tts.checkpoint import Tensors
from models.tts.engines import fitting
from models.tts.omnivoice.audio_tokenizer import AudioDecoder, load_audio_decoder, load_codebooks
from models.tts.omnivoice.config import (
    AUDIO_TOKENIZER,
    MOST_FRAMES,
    POSITIONS,
    UNUSED,
    read_model_config,
    read_tokenizer_config,
)
from models.tts.omnivoice.decoding import MaskedModel, Rows, load_masked_model
from models.tts.omnivoice.engine import Engine, Utterance
from models.tts.omnivoice.prompt import PromptTokenizer
from models.tts.omnivoice.voice_encoder import VoiceEncoder, load_voice_encoder

PREFIXES = (128, 192, 256, 384, 512, POSITIONS)
FRAMES = (50, 100, 200, MOST_FRAMES)
"""Sizes in which steps are captured."""

_WARM_UP_FRAMES = 25


def load_engine(
    folder: Path, device_name: str, dtype_name: str, sessions: int, steps: int, *, graphs: bool = False
) -> tuple[Engine, PromptTokenizer, VoiceEncoder]:
    """Load a checkpoint, allocate memory for ``sessions`` and speak once.

    With ``graphs`` the steps are captured as CUDA graphs, if the device is a GPU. Call it, and the engine, on one thread.
    Raises `ModelError` for a checkpoint that is broken or another model's, or a device that is too small.
    """
    device = choose_device(device_name)
    leave_out_cudnn_attention()
    recorded = graphs and device.type == "cuda"
    with fitting(folder, sessions, device):
        with torch.inference_mode():
            model, decoder, text, encoder = _load(folder, device, choose_dtype(dtype_name, device), steps)
            engine = Engine(model, decoder, sessions, spare=int(recorded))
            take_stream(device)
            if recorded:
                engine.step = GraphSteps(engine.model, engine.rows, CudaRecorder(device)).step
        _warm_up(engine, text)
    return engine, text, encoder


def _load(
    folder: Path, device: torch.device, dtype: torch.dtype, steps: int
) -> tuple[MaskedModel, AudioDecoder, PromptTokenizer, VoiceEncoder]:
    config = read_model_config(folder)
    audio = read_tokenizer_config(folder, config)
    text = PromptTokenizer(folder, config.codebooks)
    tensors = Tensors(folder, device, dtype)
    model = load_masked_model(tensors, config, steps, device)
    tensors.finish(UNUSED)
    inner = Tensors(folder / AUDIO_TOKENIZER, device, torch.float32)  # as upstream: it is small, and half would be heard
    books = load_codebooks(inner, audio)
    encoder, decoder = load_voice_encoder(inner, audio, books), load_audio_decoder(inner, audio, books)
    inner.finish((*UNUSED, *(f"quantizer.quantizers.{index}.codebook." for index in range(audio.codebooks))))
    return model, decoder, text, encoder


def _warm_up(engine: Engine, text: PromptTokenizer) -> None:
    """Speak once and discard it: kernels are chosen and memory is taken now, not while someone waits."""
    unit = Utterance(text.prompt("hello", "en", "", None), _WARM_UP_FRAMES, 0)
    engine.add(unit)
    while engine.busy:
        for spoken in engine.turn():
            if spoken.error is not None:
                raise spoken.error


class GraphSteps:
    """Steps captured beforehand in a few sizes, largest first: one launch for a step of a whole batch.

    Rows, prompts and frames are padded to the next captured size. Padding never reaches real rows: rows do not see each
    other, what is behind a row's prompt and frames is masked, and the last of ``rows`` is spare and takes the place of
    those that are not there.
    """

    def __init__(self, model: MaskedModel, rows: Rows, recorder: Recorder) -> None:
        self._spare = len(rows.step) - 1
        self._counts = halving(self._spare)
        self._chosen = torch.full((self._spare,), self._spare, device=rows.step.device)

        def record(count: int, prefix: int, frames: int) -> Work:
            chosen = self._chosen[:count]
            return recorder.record(lambda: model.step(rows, chosen, prefix, frames))

        self._steps = {
            (count, prefix, frames): record(count, prefix, frames)
            for count in self._counts
            for prefix in reversed(PREFIXES)
            for frames in reversed(FRAMES)
        }

    def step(self, units: Sequence[Utterance]) -> None:
        """Advance the units by one step."""
        count = at_least(self._counts, len(units))
        prefix = at_least(PREFIXES, max(len(unit.prompt) for unit in units))
        frames = at_least(FRAMES, max(unit.frames for unit in units))
        rows = [unit.row for unit in units] + [self._spare] * (count - len(units))
        self._chosen[:count].copy_(sent(torch.tensor(rows), self._chosen.device))
        self._steps[count, prefix, frames]()
