"""Loading of a checkpoint folder into an engine that is warm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from models.cuda import CudaRecorder, choose_device, choose_dtype, leave_out_cudnn_attention, take_stream
from models.tts.checkpoint import Tensors
from models.tts.engines import fitting
from models.tts.qwen3.codec import load_codec
from models.tts.qwen3.config import CODEC_ENCODER, POSITIONS, TEXT_CAPACITY, read_codec_config, read_model_config
from models.tts.qwen3.cuda_graphs import GraphExecutor
from models.tts.qwen3.eager import EagerExecutor, Executor, LoadedModel
from models.tts.qwen3.engine import LOOKAHEAD_FRAMES, Engine
from models.tts.qwen3.prompt import Opening, TextTokenizer, whole
from models.tts.qwen3.rows import allocate_rows
from models.tts.qwen3.sampler import GenerationConfig, read_generation_config
from models.tts.qwen3.speaker_encoder import SpeakerEncoder, load_speaker_encoder
from models.tts.qwen3.talker import load_speech_model
from models.tts.qwen3.utterance import StopCriteria, Utterance
from pipeline.errors import BadInput, ModelError

_WARM_UP_FRAMES = 16  # every size of codec chunk occurs


def load_engine(
    folder: Path, device_name: str, dtype_name: str, sessions: int, *, greedy: bool, graphs: bool = False
) -> tuple[Engine, TextTokenizer, SpeakerEncoder | None]:
    """Load a checkpoint, allocate memory for ``sessions`` and speak once.

    With ``graphs`` all work is captured as CUDA graphs, if the device is a GPU. Call it, and the engine, on one thread.
    Raises `ModelError` for a checkpoint that is broken or another model's, or a device that is too small.
    """
    device = choose_device(device_name)
    leave_out_cudnn_attention()
    dtype = choose_dtype(dtype_name, device)
    with fitting(folder, sessions, device, ", or synthesizer.model=Qwen/Qwen3-TTS-12Hz-0.6B-Base"):
        recorded = graphs and device.type == "cuda"
        loaded, text, encoder = _load(folder, device, dtype, sessions, greedy, spare=int(recorded))
        engine = Engine(_executor(loaded, recorded), sessions, LOOKAHEAD_FRAMES)
        _warm_up(engine, text)
    return engine, text, encoder


def _load(
    folder: Path, device: torch.device, dtype: torch.dtype, sessions: int, greedy: bool, *, spare: int
) -> tuple[LoadedModel, TextTokenizer, SpeakerEncoder | None]:
    config, generation, codec_config = read_model_config(folder), read_generation_config(folder), read_codec_config(folder)
    if greedy:
        generation = GenerationConfig(
            replace(generation.talker, temperature=0), replace(generation.predictor, temperature=0)
        )
    with torch.inference_mode():
        tensors = Tensors(folder, device, dtype)
        model = load_speech_model(tensors, config, generation, POSITIONS, device)
        encoder = load_speaker_encoder(tensors, config.speaker_encoder) if config.speaker_encoder else None
        tensors.finish()
        codec_tensors = Tensors(folder / "speech_tokenizer", device, dtype)
        codec = load_codec(codec_tensors, codec_config)
        codec_tensors.finish(CODEC_ENCODER)
    # Outside of inference mode: what is allocated in it can be written to only in it.
    rows = allocate_rows(config, sessions, POSITIONS, TEXT_CAPACITY, model.talker.code_table)
    streams = codec.layout.allocate(sessions + spare, device, dtype)
    return LoadedModel(model, codec, rows, streams), TextTokenizer(folder, config.tokens), encoder


def _executor(loaded: LoadedModel, recorded: bool) -> Executor:
    """Choose the executor and move this thread's work to a CUDA stream of its own."""
    device = loaded.device
    take_stream(device)
    if not recorded:
        return EagerExecutor(loaded)
    try:
        with torch.inference_mode():
            return GraphExecutor(loaded, CudaRecorder(device), CudaRecorder(device))
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ModelError(
            f"the work does not fit CUDA graphs ({error})", hint="the setting graphs=false of this synthesizer"
        ) from error


def _warm_up(engine: Engine, text: TextTokenizer) -> None:
    """Speak once and discard it: kernels are chosen and memory is taken now, not while someone waits."""
    language = next(iter(engine.model.config.languages.values()))
    ids = text.encode("hello")
    prompt = whole(engine.model.config.tokens, Opening(text.role, language, None), ids)
    stream = engine.open_stream()
    if stream is None:
        raise BadInput("sessions must be at least 1")
    utterance = Utterance(prompt, None, stream, 0, True, StopCriteria(_WARM_UP_FRAMES, len(ids)))
    engine.add(utterance)
    while engine.busy:
        engine.turn()
    engine.remove(utterance)
    engine.close_stream(stream)
