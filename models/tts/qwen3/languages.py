"""The ten languages of Qwen3-TTS."""

from __future__ import annotations

LANGUAGES = {
    "zh": "chinese",
    "en": "english",
    "fr": "french",
    "de": "german",
    "it": "italian",
    "ja": "japanese",
    "ko": "korean",
    "pt": "portuguese",
    "ru": "russian",
    "es": "spanish",
}
"""ISO 639-1 code to the name in the checkpoint."""
