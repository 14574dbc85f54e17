"""A Bergamot student as the search drives it: one token at a time, over the tokens that a source can need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.mt.bergamot.marian_file import Floats
from models.mt.bergamot.network import Network

NEVER = np.float32(-np.inf)


class StudentStepModel:
    """A `StepModel` over texts whose prefixes have one length: the decoder's cells all stand at the same place.

    Every text scores ``tokens`` of its own, so that it is translated alone as in a batch; all others are impossible.
    """

    def __init__(
        self,
        network: Network,
        sources: Sequence[Sequence[int]],
        prefixes: Sequence[Sequence[int]],
        tokens: Sequence[NDArray[np.int64]],
    ) -> None:
        """Take ``sources``, which end with the end token."""
        self._network, self._sources, self._tokens = network, sources, tokens
        self._prefixes = np.array(prefixes, np.int64).reshape(len(sources), -1)

    def start(self, beams: int, room: int) -> Floats:
        """Score the first token of every text; see `StepModel.start`."""
        self._read_sources()
        states = self._network.begin(self._prefixes)
        self._place, self._cells = states.shape[1] - 1, []
        for layer, seen in zip(self._network.decoder, self._seen, strict=True):
            states, cells = layer.recurrence.run(states)
            states = layer.feed_forward(layer.attention(states, seen, self._hidden))
            self._cells.append(np.repeat(cells, beams, axis=1))
        first = self._score(states[:, -1:], self._impossible(1))
        self._scores = self._impossible(beams)
        return first[:, 0]

    def step(self, moves: NDArray[np.int64]) -> Floats:
        """Score the token after one more in every row; see `StepModel.step`. The next step overwrites the result."""
        texts, beams, size = self._scores.shape
        origins, tokens = moves.reshape(2, texts, beams)
        every, rows = np.arange(texts)[:, None], origins % beams
        self._place += 1
        states = self._network.follow(tokens, self._place)
        for number, (layer, seen) in enumerate(zip(self._network.decoder, self._seen, strict=True)):
            states, self._cells[number] = layer.recurrence.step(states, self._cells[number][every, rows])
            states = layer.feed_forward(layer.attention(states, seen, self._hidden))
        return self._score(states, self._scores).reshape(texts * beams, size)

    def _read_sources(self) -> None:
        """Encode the sources one by one, and pad what the decoder attends to."""
        lengths = np.array([len(source) for source in self._sources])
        encoded = np.zeros((len(lengths), lengths.max(), self._network.size), np.float32)
        for states, source in zip(encoded, self._sources, strict=True):
            states[: len(source)] = self._network.encode(source)
        self._seen = [layer.attention.keys_and_values(encoded) for layer in self._network.decoder]
        padding = np.arange(lengths.max()) >= lengths[:, None]
        self._hidden = np.where(padding, NEVER, np.float32(0))[:, None, None] if padding.any() else None
        self._outputs = [self._network.output(tokens) for tokens in self._tokens]

    def _impossible(self, beams: int) -> Floats:
        return np.full((len(self._sources), beams, self._network.vocabulary), NEVER)

    def _score(self, states: Floats, scores: Floats) -> Floats:
        """Write log-probabilities after ``states`` [texts, rows, size] into ``scores`` [texts, rows, vocabulary]."""
        for text, tokens, output, after in zip(scores, self._tokens, self._outputs, states, strict=True):
            text[:, tokens] = output.log_probabilities(after)
        return scores
