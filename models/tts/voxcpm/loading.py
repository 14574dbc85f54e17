"""Loading of a checkpoint folder into an engine that is warm."""

from __future__ import annotations

from pathlib import Path

import torch

from models.cuda import choose_device, choose_dtype, leave_out_cudnn_attention, take_stream
from models.tts.blocks.causal_layers import StreamLayout
from models.tts.checkpoint import DOWNLOAD_AGAIN, Tensors
from models.tts.engines import fitting
from models.tts.voxcpm.audio_vae import (
    UNUSED,
    AudioDecoder,
    AudioEncoder,
    VaeLoader,
    load_audio_decoder,
    load_audio_encoder,
)
from models.tts.voxcpm.config import POSITIONS, VAE_FILES, VaeConfig, read_model_config
from models.tts.voxcpm.diffusion import Diffusion
from models.tts.voxcpm.engine import Engine, Utterance
from models.tts.voxcpm.model import allocate_rows, load_speech_model
from models.tts.voxcpm.prompt import PromptTokenizer
from pipeline.errors import ModelError

_WARM_UP_PATCHES = 4


def load_engine(
    folder: Path, device_name: str, dtype_name: str, sessions: int, diffusion: Diffusion
) -> tuple[Engine, PromptTokenizer, AudioEncoder]:
    """Load a checkpoint, allocate memory for ``sessions`` and speak once. Call it, and the engine, on one thread.

    Raises `ModelError` for a checkpoint that is broken or another model's, or a device that is too small.
    """
    device = choose_device(device_name)
    leave_out_cudnn_attention()
    config = read_model_config(folder)
    text = PromptTokenizer(folder, config)
    with fitting(folder, sessions, device):
        with torch.inference_mode():
            tensors = Tensors(folder, device, choose_dtype(dtype_name, device))
            model = load_speech_model(tensors, config, diffusion, device)
            tensors.finish(("audio_vae.",))
            decoder, encoder = _load_vae(folder, config.vae, device)
        # Outside of inference mode: what is allocated in it can be written to only in it.
        rows = allocate_rows(config, sessions, POSITIONS, model.text_table)
        streams = decoder.layout.allocate(sessions, device, torch.float32)
        take_stream(device)
        engine = Engine(model, decoder, rows, streams)
        _warm_up(engine, text)
    return engine, text, encoder


def _load_vae(folder: Path, config: VaeConfig, device: torch.device) -> tuple[AudioDecoder, AudioEncoder]:
    file = next((name for name in VAE_FILES if (folder / name).is_file()), None)
    if file is None:
        raise ModelError(f"{folder} has no {' or '.join(VAE_FILES)}: the checkpoint is incomplete", hint=DOWNLOAD_AGAIN)
    tensors = Tensors(folder, device, torch.float32, file)
    loader = VaeLoader(tensors, StreamLayout())
    parts = load_audio_decoder(loader, config), load_audio_encoder(loader, config, device)
    tensors.finish(UNUSED)
    return parts


def _warm_up(engine: Engine, text: PromptTokenizer) -> None:
    """Speak once and discard it: kernels are chosen and memory is taken now, not while someone waits."""
    row = engine.open_row()
    if row is not None:
        engine.add(Utterance(text.prompt("hello"), row, 0, _WARM_UP_PATCHES))
        while engine.busy:
            engine.turn()
        engine.close_row(row)
