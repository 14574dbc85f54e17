"""Our pipeline as a simulstream speech processor, named in its YAML as
``type: benchmarks.evaluators.simulstream_processor.TranslateLiveProcessor``.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from simulstream.server.speech_processors import SpeechProcessor
from simulstream.server.speech_processors.incremental_output import IncrementalOutput

from benchmarks.evaluators.stepwise import Setup, Stepwise
from pipeline.events import ReadingUnit


class TranslateLiveProcessor(SpeechProcessor):
    """Chunks in, new words out; nothing is ever taken back, because it would have been spoken."""

    stepwise: Stepwise

    @classmethod
    def load_model(cls, config: SimpleNamespace) -> None:
        """Load the profile once for all streams."""
        source, target = getattr(config, "source_language", "en"), getattr(config, "target_language", "es")
        cls.stepwise = Stepwise(Setup(getattr(config, "profile", "cpu"), source, target))

    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__(config)
        self._begun = False

    def process_chunk(self, waveform: np.ndarray) -> IncrementalOutput:
        """The words that a chunk completes."""
        return self._output(self.stepwise.feed(np.asarray(waveform, np.float32), 16_000, final=False))

    def end_of_stream(self) -> IncrementalOutput:
        """The words that were left."""
        return self._output(self.stepwise.feed(np.zeros(0, np.float32), 16_000, final=True))

    def set_source_language(self, language: str) -> None:
        """The configuration's language holds."""

    def set_target_language(self, language: str) -> None:
        """The configuration's language holds."""

    def tokens_to_string(self, tokens: list[str]) -> str:
        """Tokens are words."""
        return " ".join(tokens)

    def clear(self) -> None:
        """A new stream."""
        self._begun = False
        self.stepwise.clear()

    def _output(self, units: list[ReadingUnit]) -> IncrementalOutput:
        words = [word for unit in units for word in unit.text.split()]
        text = (" " if self._begun and words else "") + " ".join(words)
        self._begun = self._begun or bool(words)
        return IncrementalOutput(words, text, [], "")
