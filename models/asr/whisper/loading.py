"""Opens a Whisper model: finds the right compute type, checks that its files belong together, and says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from models.asr.whisper.ctranslate2_engine import CTranslate2Engine
from models.asr.whisper.ctranslate2_types import NativeModel, NativeTokenizer
from models.asr.whisper.hypothesis import Job
from models.asr.whisper.log_mel import LogMel
from models.asr.whisper.model_files import has_alignment_heads, lacking, read_settings, with_guessed_heads
from models.cuda import load_cublas
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, nearest
from pipeline.lane import usable_cores

Device = Literal["auto", "cpu", "cuda"]

FRAMES_PER_SECOND = 100
WHOLE_S = 30.0
MOST_THREADS = 4  # one update gains little from more, and the other stages compute too
PREFERRED = {"cpu": ("int8", "int8_float32", "float32"), "cuda": ("float16", "bfloat16", "int8_float16", "float32")}


@dataclass(frozen=True, slots=True)
class Placement:
    """Device and number format of a model. ``threads`` 0: as many as there are cores, at most 4."""

    device: Device = "auto"
    device_index: int = 0
    compute_type: str = "auto"
    threads: int = 0


def load_engine(folder: Path, placement: Placement, encoder_window_s: float, beam_size: int) -> CTranslate2Engine:
    """Load and check a model. ``encoder_window_s`` 0: the whole window the model was trained on (30 s).

    Raises `ModelError` for files that are missing, damaged or of another model, and for a GPU that cannot take it.
    """
    absent = lacking(folder)
    if absent:
        raise ModelError(
            f"the Whisper model in {folder} lacks {', '.join(absent)}: half downloaded? A complete folder has config.json, "
            "model.bin, tokenizer.json and vocabulary.json (or .txt)",
            hint=FETCH_MODELS,
        )
    model = _load_model(folder, placement)
    seconds = _check_features(folder, model)
    if encoder_window_s > seconds:
        raise BadInput(f"encoder_window_s {encoder_window_s:g} is more than this model hears at once: at most {seconds:g}")
    frames = round((encoder_window_s or seconds) * FRAMES_PER_SECOND)
    adaptive = choose_device(placement.device) == "cpu" and seconds == WHOLE_S
    return CTranslate2Engine(model, _load_tokenizer(folder), frames, beam_size, adaptive=adaptive)


def warm_up(engine: CTranslate2Engine) -> None:
    """Decode a second of noise: the first calls on a GPU load kernels, and a broken installation shows here."""
    noise = LogMel(engine.n_mels)
    noise.push((0.01 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32))
    language = "en" if "en" in engine.languages else min(engine.languages)
    engine.decode([Job(0.0, 1.0, noise.matrix(), language=language, detect=True, max_new_tokens=4)])


def choose_device(device: Device) -> Literal["cpu", "cuda"]:
    """Return the device itself, or for ``auto`` the GPU where there is one."""
    if device != "auto":
        return device
    import ctranslate2

    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


def choose_compute_type(device: str, wanted: str) -> str:
    """Return the compute type, or for ``auto`` the best that the device has; raises `BadInput` for one it has not."""
    import ctranslate2

    supported = ctranslate2.get_supported_compute_types(device)
    if wanted == "auto":
        return next((kind for kind in PREFERRED[device] if kind in supported), "default")
    if wanted not in supported:
        raise BadInput(f"no compute type {wanted!r} on {device} here: {nearest(wanted, {*supported, 'auto'})}")
    return wanted


def _load_model(folder: Path, placement: Placement) -> NativeModel:
    import ctranslate2

    device = choose_device(placement.device)
    if device == "cuda" and not ctranslate2.get_cuda_device_count():
        raise ModelError("no CUDA GPU was found", hint="recognizer.device=cpu, or check the driver with nvidia-smi")
    if device == "cuda":
        load_cublas()
    files = None if has_alignment_heads(folder) else with_guessed_heads(folder)
    try:
        model = ctranslate2.models.Whisper(
            str(folder),
            files=files,
            device=device,
            device_index=placement.device_index,
            compute_type=choose_compute_type(device, placement.compute_type),
            intra_threads=placement.threads or min(MOST_THREADS, usable_cores()),
        )
    except (RuntimeError, ValueError) as error:
        raise _explained(folder, str(error)) from error
    return cast(NativeModel, model)


def _explained(folder: Path, message: str) -> ModelError:
    if "out of memory" in message:
        what = f"the GPU has too little memory for the model in {folder}"
        return ModelError(what, hint="a smaller one (recognizer.model=small)")
    if "libcublas" in message or "libcudart" in message:
        return ModelError(f"the CUDA library is missing ({message})", hint="pip install nvidia-cublas-cu12")
    what = f"the Whisper model in {folder} cannot be loaded ({message})"
    return ModelError(
        f"{what}: it is damaged, half downloaded or no faster-whisper (CTranslate2) model; delete it", hint=FETCH_MODELS
    )


def _check_features(folder: Path, model: NativeModel) -> float:
    """Return the seconds the model hears at once; raises `ModelError` when the feature settings are another model's."""
    settings = read_settings(folder, "preprocessor_config.json")
    bins = settings.get("feature_size", model.n_mels)
    if bins != model.n_mels:
        raise ModelError(
            f"preprocessor_config.json in {folder} says {bins} mel bins, model.bin wants {model.n_mels}: "
            "the folder mixes files of two models; download one of them again"
        )
    return float(settings.get("chunk_length", 30))


def _load_tokenizer(folder: Path) -> NativeTokenizer:
    import tokenizers

    file = folder / "tokenizer.json"
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"{file} is damaged ({error}): delete the folder", hint=FETCH_MODELS) from error
    if tokenizer.token_to_id("<|startoftranscript|>") is None:
        raise ModelError(
            f"{file} is no Whisper tokenizer: the folder mixes files of two models; download one of them again"
        )
    return cast(NativeTokenizer, tokenizer)
