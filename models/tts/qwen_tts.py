"""The official ``qwen-tts`` package."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType


def import_official() -> ModuleType:
    """Import ``qwen_tts`` without its 25 Hz codec, the only part that needs torchaudio and sox."""
    name = "qwen_tts.core.tokenizer_25hz.modeling_qwen3_tts_tokenizer_v1"
    if name not in sys.modules:
        stub = ModuleType(name)
        stub.Qwen3TTSTokenizerV1Model = type("Qwen3TTSTokenizerV1Model", (), {})  # type: ignore[attr-defined]
        sys.modules[name] = stub
    return import_module("qwen_tts")
