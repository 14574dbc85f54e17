"""The official package, loaded from the same checkpoint files: the oracle in tests, the peer in benchmarks."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers.modeling_utils import no_init_weights


def import_official() -> ModuleType:
    """Import ``qwen_tts`` without its 25 Hz codec, the only part that needs torchaudio and sox."""
    name = "qwen_tts.core.tokenizer_25hz.modeling_qwen3_tts_tokenizer_v1"
    if name not in sys.modules:
        stub = ModuleType(name)
        stub.Qwen3TTSTokenizerV1Model = type("Qwen3TTSTokenizerV1Model", (), {})  # type: ignore[attr-defined]
        sys.modules[name] = stub
    return import_module("qwen_tts")


def official_model(folder: Path, dtype: torch.dtype = torch.float32) -> Any:  # noqa: ANN401 - the official package has no types
    """The official model with the checkpoint's weights; raises if a tensor is missing or left over."""
    import_official()
    configuration = import_module("qwen_tts.core.models.configuration_qwen3_tts")
    modeling = import_module("qwen_tts.core.models.modeling_qwen3_tts")
    config = configuration.Qwen3TTSConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    config._attn_implementation = "sdpa"
    with no_init_weights():
        model = modeling.Qwen3TTSForConditionalGeneration(config).eval()
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(file)
    model.load_state_dict(tensors, strict=True)
    return model.to(dtype)


def official_decoder(folder: Path, dtype: torch.dtype = torch.float32) -> Any:  # noqa: ANN401 - the official package has no types
    """The official codec's decoder with the checkpoint's weights."""
    import_official()
    configuration = import_module("qwen_tts.core.tokenizer_12hz.configuration_qwen3_tts_tokenizer_v2")
    modeling = import_module("qwen_tts.core.tokenizer_12hz.modeling_qwen3_tts_tokenizer_v2")
    values = json.loads((folder / "speech_tokenizer" / "config.json").read_text(encoding="utf-8"))["decoder_config"]
    config = configuration.Qwen3TTSTokenizerV2DecoderConfig(**values)
    config._attn_implementation = "sdpa"
    with no_init_weights():
        decoder = modeling.Qwen3TTSTokenizerV2Decoder(config).eval()
    tensors = load_file(folder / "speech_tokenizer" / "model.safetensors")
    decoder.load_state_dict({name.removeprefix("decoder."): tensor for name, tensor in tensors.items()}, strict=True)
    return decoder.to(dtype)
