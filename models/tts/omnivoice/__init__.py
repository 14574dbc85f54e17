"""OmniVoice: speech of a whole unit at once by masked decoding, in an enrolled voice, in hundreds of languages."""

from models.tts.omnivoice.backend import OmniVoice

__all__ = ["OmniVoice"]
