"""Streaming Whisper on faster-whisper's CTranslate2 models: words that are never taken back, and a tentative tail."""

from models.asr.whisper.backend import FasterWhisper

__all__ = ["FasterWhisper"]
