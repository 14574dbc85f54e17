"""Streaming Whisper on CTranslate2."""
