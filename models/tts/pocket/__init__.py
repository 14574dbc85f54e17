"""Pocket TTS: speech that streams inside a unit, in seven languages and an enrolled voice, on a CPU."""

from models.tts.pocket.backend import Pocket

__all__ = ["Pocket"]
