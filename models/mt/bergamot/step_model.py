"""A Bergamot student as the search drives it: one token at a time, over the tokens that a source can need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.mt.bergamot.marian_file import Floats
from models.mt.bergamot.network import Network, Output

NEVER = -np.inf


class StudentStepModel:
    """A `StepModel` over texts whose prefixes have one length: the decoder's cells all stand at the same place.

    Every text scores its own ``tokens``, so that it is translated alone as in a batch; all others are impossible.
    """

    def __init__(
        self,
        network: Network,
        sources: Sequence[Sequence[int]],
        prefixes: Sequence[Sequence[int]],
        tokens: Sequence[NDArray[np.int64]],
    ) -> None:
        """``sources`` end with the end token."""
        self._network, self._sources, self._tokens = network, sources, tokens
        self._prefixes = np.array(prefixes, np.int64).reshape(len(sources), -1)

    def start(self, beams: int, room: int) -> Floats:
        """See `StepModel.start`."""
        self._see()
        states = self._network.begin(self._prefixes)
        self._place, self._cells = states.shape[1] - 1, []
        for layer, seen in zip(self._network.decoder, self._seen, strict=True):
            states, cells = layer.recurrence.run(states)
            states = layer.feed_forward(layer.attention(states, seen, self._hidden))
            self._cells.append(np.repeat(cells, beams, axis=1))
        self._scores = np.full((len(self._sources), beams, self._network.vocabulary), NEVER, np.float32)
        return self._score(states[:, -1:])[:, 0]

    def step(self, moves: NDArray[np.int64]) -> Floats:
        """See `StepModel.step`; what it returns is overwritten by the next step."""
        texts, beams, size = self._scores.shape
        origins, tokens = moves.reshape(2, texts, beams)
        every, rows = np.arange(texts)[:, None], origins % beams
        self._place += 1
        states = self._network.follow(tokens, self._place)
        for number, (layer, seen) in enumerate(zip(self._network.decoder, self._seen, strict=True)):
            states, self._cells[number] = layer.recurrence.step(states, self._cells[number][every, rows])
            states = layer.feed_forward(layer.attention(states, seen, self._hidden))
        return self._score(states).reshape(texts * beams, size)

    def _see(self) -> None:
        """Encode the sources one by one, and pad what the decoder attends to."""
        lengths = [len(source) for source in self._sources]
        encoded = np.zeros((len(lengths), max(lengths), self._network.size), np.float32)
        for states, source in zip(encoded, self._sources, strict=True):
            states[: len(source)] = self._network.encode(source)
        self._seen = [layer.attention.keys_and_values(encoded) for layer in self._network.decoder]
        padded = np.arange(max(lengths)) >= np.array(lengths)[:, None]
        self._hidden = np.where(padded, NEVER, 0.0).astype(np.float32)[:, None, None] if padded.any() else None
        self._outputs: list[Output] = [self._network.output(tokens) for tokens in self._tokens]

    def _score(self, states: Floats) -> Floats:
        """Log-probabilities [texts, rows, vocabulary] after ``states`` [texts, rows, size]."""
        scores = self._scores[:, : states.shape[1]]
        for text, tokens, output, after in zip(scores, self._tokens, self._outputs, states, strict=True):
            text[:, tokens] = output.log_probabilities(after)
        return scores
