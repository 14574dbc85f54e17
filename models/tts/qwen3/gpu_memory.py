"""What Qwen3-TTS takes of a GPU, from the checkpoint's files or, before it is downloaded, from its published geometry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from models.gpu_memory import count_elements
from models.tts.qwen3.config import read_codec_config, read_model_config

POSITIONS, TEXT_CAPACITY = 1024, 256  # of `models.tts.qwen3.loading`, which needs torch
UNUSED = ("encoder.", "decoder.quantizer.rvq_first.input_proj.", "decoder.quantizer.rvq_rest.input_proj.")
"""Tensors of the codec that speaking does not need."""

_CODEC = 114_323_137  # numbers of the codec's decoder
_PUBLISHED = {"0.6B": 914_643_008 + _CODEC, "1.7B": 1_928_677_440 + _CODEC}
"""Numbers of a Base checkpoint; the others lack the speaker encoder, half a percent."""
_PUBLISHED_SESSION = 28 * 2 * 8 * 128 * POSITIONS + 1_304_736
"""Numbers that a session keeps: keys and values of 28 layers with 8 heads of 128, and its codec stream."""


def gpu_memory(model: str, folder: Path | None, sessions: int, number_bytes: int) -> Mapping[str, int]:
    """Bytes of weights and of what is allocated for ``sessions``, each with where the figure comes from.

    0 for a model that is not here and whose name tells no published size.
    """
    if folder is not None:
        codec = count_elements(folder / "speech_tokenizer", without=UNUSED)
        weights, session, source = count_elements(folder) + codec, _session(folder), "its files"
    else:
        weights = next((count for size, count in _PUBLISHED.items() if size in model), 0)
        session, source = _PUBLISHED_SESSION, "its published geometry"
    name = Path(model).name
    if not weights:
        return {f"an unknown size for {name}": 0}
    return {
        f"weights of {name}, from {source}": weights * number_bytes,
        f"caches of {sessions} sessions": sessions * session * number_bytes,
    }


def _session(folder: Path) -> int:
    """Numbers that a session keeps: keys and values of talker and codec, and its text."""
    talker, codec = read_model_config(folder).talker, read_codec_config(folder)
    window = codec.transformer
    said = 2 * talker.layers * talker.kv_heads * talker.head_dim * POSITIONS
    heard = 2 * window.layers * window.kv_heads * window.head_dim * (codec.window - 1)
    return said + heard + (TEXT_CAPACITY + 1) * talker.hidden
