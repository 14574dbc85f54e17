"""Errors for what Pocket TTS, or its weights on this machine, cannot do, with what can."""

from __future__ import annotations

from collections.abc import Collection

from models.downloads import gated
from models.tts.pocket.files import GATED
from pipeline.errors import Refused, nearest


def refuse_language(language: str, known: Collection[str]) -> Refused:
    """Make the error for a language that it does not speak."""
    return Refused(
        f"Pocket TTS does not speak {language!r}; {nearest(language, known)}; Kokoro and eSpeak NG speak more",
        hint="second_synthesizer.use=models.tts.kokoro:Kokoro",
    )


def refuse_cloning() -> Refused:
    """Make the error for learning a voice with the weights that are open to everybody."""
    reason = gated(GATED)
    return Refused(f"the weights of Pocket TTS that are here cannot clone a voice, and {reason.message}", hint=reason.hint)
