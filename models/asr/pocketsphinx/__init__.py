"""PocketSphinx, the offline recognizer (the package of the same name is imported by `backend` alone)."""

from models.asr.pocketsphinx.backend import PocketSphinx
from models.asr.pocketsphinx.utterances import StreamOptions

__all__ = ["PocketSphinx", "StreamOptions"]
