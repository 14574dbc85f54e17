"""Loading of a checkpoint folder into an engine that is warm."""

from __future__ import annotations

from pathlib import Path

import torch

from models.cuda_stream import leave_out_cudnn_attention, take_stream
from models.graph_capture import CudaRecorder
from models.tts.checkpoint import Tensors
from models.tts.devices import choose_device, choose_dtype
from models.tts.omnivoice.audio_tokenizer import AudioDecoder, load_audio_decoder, load_codebooks
from models.tts.omnivoice.config import AUDIO_TOKENIZER, UNUSED, read_model_config, read_tokenizer_config
from models.tts.omnivoice.cuda_graphs import GraphSteps
from models.tts.omnivoice.decoding import MaskedModel, load_masked_model
from models.tts.omnivoice.engine import Engine, Unit
from models.tts.omnivoice.prompt import PromptTokenizer
from models.tts.omnivoice.rows import Generation
from models.tts.omnivoice.voice_encoder import VoiceEncoder, load_voice_encoder
from pipeline.errors import ModelError

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
    try:
        with torch.inference_mode():
            model, decoder, text, encoder = _load(folder, device, choose_dtype(dtype_name, device), Generation(steps))
            engine = Engine(model, decoder, sessions, spare=int(recorded))
            take_stream(device)
            if recorded:
                engine.step = GraphSteps(engine.model, engine.rows, CudaRecorder(device)).step
        _warm_up(engine, text)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{folder.name} with {sessions} sessions does not fit the memory of {device}",
            hint="close other programs on it, or a lower synthesizer.sessions",
        ) from error
    return engine, text, encoder


def _load(
    folder: Path, device: torch.device, dtype: torch.dtype, generation: Generation
) -> tuple[MaskedModel, AudioDecoder, PromptTokenizer, VoiceEncoder]:
    config = read_model_config(folder)
    audio = read_tokenizer_config(folder, config)
    text = PromptTokenizer(folder, config.codebooks)
    tensors = Tensors(folder, device, dtype)
    model = load_masked_model(tensors, config, generation, device)
    tensors.finish(UNUSED)
    inner = Tensors(folder / AUDIO_TOKENIZER, device, torch.float32)  # as upstream: it is small, and half would be heard
    books = load_codebooks(inner, audio)
    encoder, decoder = load_voice_encoder(inner, audio, books), load_audio_decoder(inner, audio, books)
    inner.finish((*UNUSED, *(f"quantizer.quantizers.{index}.codebook." for index in range(audio.codebooks))))
    return model, decoder, text, encoder


def _warm_up(engine: Engine, text: PromptTokenizer) -> None:
    """Speak once and discard it: kernels are chosen and memory is taken now, not while someone waits."""
    unit = Unit(text.prompt("hello", "en", "", None), _WARM_UP_FRAMES, 0)
    engine.add(unit)
    while engine.busy:
        for spoken in engine.turn():
            if spoken.error is not None:
                raise spoken.error
