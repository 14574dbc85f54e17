"""The same decoder with all the audio at once: what streaming costs in accuracy is the difference."""

from __future__ import annotations

import re
from typing import Protocol, cast

import numpy as np
import soxr

from benchmarks.corpora.audio import CORPUS_HZ
from pipeline.events import Samples


class _Hypothesis(Protocol):
    hypstr: str


class WholeDecoder(Protocol):
    """What is used of PocketSphinx's decoder."""

    def start_utt(self) -> None:
        """Begin an utterance."""
        ...

    def process_raw(self, data: bytes, no_search: bool, full_utt: bool) -> int:
        """Decode 16-bit samples at 16 kHz; ``full_utt`` normalizes over all of them."""
        ...

    def end_utt(self) -> None:
        """Finish."""
        ...

    def hyp(self) -> _Hypothesis | None:
        """The words."""
        ...


class DecoderMaker(Protocol):
    """A recognizer backend whose decoder can be had without a stream."""

    def decoder(self) -> WholeDecoder:
        """A new decoder."""
        ...


def maker_of(backend: object) -> DecoderMaker | None:
    """The backend, if its decoder can be fed whole."""
    return cast(DecoderMaker, backend) if hasattr(backend, "decoder") else None


def transcribe_whole(maker: DecoderMaker, samples: Samples, rate: int, batch_mean: bool = False) -> str:
    """The words of a recording, by a new decoder that hears all of it in one call.

    It normalizes as it does live; with ``batch_mean`` by the cepstral mean over the whole recording, which nobody who
    listens to a speaker can know.
    """
    audio = np.clip(soxr.resample(samples, rate, CORPUS_HZ), -1, 1)
    decoder = maker.decoder()
    decoder.start_utt()
    decoder.process_raw((audio * 32767).astype("<i2").tobytes(), False, batch_mean)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return re.sub(r"\(\d+\)", "", hypothesis.hypstr) if hypothesis else ""
