"""Errors for requests that a Qwen3-TTS checkpoint or its GPU cannot fulfil, with settings that can."""

from __future__ import annotations

from collections.abc import Collection

from models.tts.qwen3.config import LANGUAGES
from pipeline.errors import Refused, nearest

_BASE = "synthesizer.model=Qwen/Qwen3-TTS-12Hz-1.7B-Base (or 0.6B-Base)"
_CUSTOM_VOICE = "synthesizer.model=Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice (or VoiceDesign)"
_KINDS = {"base": "Base", "custom_voice": "CustomVoice", "voice_design": "VoiceDesign"}


def refuse_language(language: str) -> Refused:
    """Make the error for a language outside the ten."""
    return Refused(
        f"Qwen3-TTS does not speak {language!r}; it speaks {', '.join(sorted(LANGUAGES))}; eSpeak NG speaks more",
        hint="synthesizer.use=models.tts.espeak:Espeak",
    )


def refuse_cloning(kind: str) -> Refused:
    """Make the error for learning a voice without a speaker encoder."""
    return Refused(f"a {_KINDS[kind]} checkpoint has no speaker encoder, so it cannot clone a voice", hint=_BASE)


def refuse_preset(name: str, presets: Collection[str]) -> Refused:
    """Make the error for a preset that the checkpoint lacks."""
    if not presets:
        return Refused(f"no preset voice {name!r}: this checkpoint has none", hint=f"an enrolled voice, or {_CUSTOM_VOICE}")
    return Refused(f"no preset voice {name!r}: {nearest(name, presets)}")


def refuse_style(kind: str, size: str) -> Refused:
    """Make the error for a style in words that the model was not trained to follow."""
    what = f"the small {_KINDS[kind]} checkpoint" if size == "0b6" else f"a {_KINDS[kind]} checkpoint"
    return Refused(f"{what} takes no style in words", hint=_CUSTOM_VOICE)
