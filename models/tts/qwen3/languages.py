"""The ten languages of Qwen3-TTS."""

from __future__ import annotations

from pipeline.errors import Refused

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


def refuse_language(language: str) -> Refused:
    """The error for a language outside the ten."""
    return Refused(
        f"Qwen3-TTS does not speak {language!r}; it speaks {', '.join(sorted(LANGUAGES))}. eSpeak NG speaks a hundred "
        "more: set speak.use to models.tts.espeak:Espeak"
    )
