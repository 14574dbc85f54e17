"""The same weights with all the audio at once, beam 5: what streaming costs in accuracy is the difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import soxr

from benchmarks.corpora.audio import CORPUS_HZ
from models.asr.whisper import FasterWhisper
from models.asr.whisper.model_files import find
from pipeline.events import Samples

Transcribe = Callable[[Samples, int, str], str]
"""Gives the text of mono samples [n], their rate and language."""


def whole_decoder(backend: object) -> Transcribe | None:
    """Load the weights of a recognizer backend into the reference library; none for another backend than Whisper."""
    folder = find(backend.model, backend.cache) if isinstance(backend, FasterWhisper) else None
    if folder is None:
        return None
    import faster_whisper  # noqa: PLC0415  (loads slowly)

    model: Any = faster_whisper.WhisperModel(str(folder), compute_type="int8")

    def transcribe(samples: Samples, rate: int, language: str) -> str:
        segments, _ = model.transcribe(soxr.resample(samples, rate, CORPUS_HZ), language=language, beam_size=5)
        return "".join(segment.text for segment in segments)

    return transcribe
