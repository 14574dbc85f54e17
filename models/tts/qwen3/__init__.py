"""Qwen3-TTS as a streaming engine: speech frame by frame, in one voice from unit to unit, for many sessions at once."""

from models.tts.qwen3.backend import Qwen3TTS

__all__ = ["Qwen3TTS"]
