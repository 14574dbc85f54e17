"""One student with its tokenizers and shortlist, as the decoder needs an architecture, and as the search drives it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.mt.bergamot.marian_file import Floats, read_marian_file, read_shortlist
from models.mt.bergamot.network import Network
from models.mt.decoding import Prompt
from models.mt.search.model_interface import never_written
from models.mt.terms.vocabulary import Vocabulary, from_sentencepiece
from pipeline.contracts import TranslationRequest
from pipeline.errors import ModelError

SentencePiece: TypeAlias = Any  # sentencepiece is not analyzed
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


class Student:
    """The model of a folder: reads single texts, begins with a prefix, and scores what source and terms call for."""

    def __init__(self, folder: Path) -> None:
        """Raises `ModelError` for files that are missing, damaged or do not belong together."""
        self._network = Network(read_marian_file(_file(folder, "model.*.bin")))
        shared = next(folder.glob("vocab.*.spm"), None)
        self._source = _tokenizer(shared or _file(folder, "srcvocab.*.spm"))
        self._target = self._source if shared else _tokenizer(_file(folder, "trgvocab.*.spm"))
        self._shared = shared is not None
        if self._target.vocab_size() != self._network.vocabulary:
            raise ModelError(f"the model and the vocabulary in {folder} do not belong together", hint="fetch both again")
        listed = next(folder.glob("lex.*.bin"), None)
        self._shortlist = read_shortlist(listed, self._network.vocabulary) if listed else None
        if listed is None:
            logging.getLogger(__name__).warning("%s has no lexical shortlist: it scores all words, which is slower", folder)
        self.vocabulary = Vocabulary(list(_pieces(self._target)))
        self.ends: tuple[int, ...] = (self._target.eos_id(),)
        self._written = np.isfinite(never_written(self.vocabulary, self.ends))

    def prompt(self, request: TranslationRequest) -> Prompt:
        """Return the request as tokens."""
        source, prefix = self._source.encode(request.source), self._target.encode(request.prefix)
        return Prompt((*source, self._source.eos_id()), tuple(prefix), len(source), group=len(prefix))

    def step_model(self, prompts: Sequence[Prompt], needed: Sequence[Collection[int]]) -> StudentStepModel:
        """Return what continues these prompts, whose prefixes have one length."""
        sources, prefixes = [prompt.source for prompt in prompts], [prompt.target for prompt in prompts]
        tokens = [self._tokens(*one) for one in zip(sources, needed, strict=True)]
        return StudentStepModel(self._network, sources, prefixes, tokens)

    def _tokens(self, source: Sequence[int], needed: Collection[int]) -> NDArray[np.int64]:
        """Return the tokens to score: the source's shortlist and what is needed, of all that write something."""
        if self._shortlist is None:
            return np.flatnonzero(self._written)
        tokens = self._shortlist.of(source, (*needed, *(source if self._shared else ())))
        return tokens[self._written[tokens]]


def _tokenizer(path: Path) -> SentencePiece:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{path} cannot be read as a vocabulary: {error}", hint="fetch the file again") from error


def _pieces(tokenizer: SentencePiece) -> Iterator[bytes]:
    """Give what each token writes; nothing for those that only steer."""
    for token in range(tokenizer.vocab_size()):
        silent = tokenizer.is_control(token) or tokenizer.is_unknown(token) or tokenizer.is_unused(token)
        yield b"" if silent else from_sentencepiece(tokenizer.id_to_piece(token))


def _file(folder: Path, pattern: str) -> Path:
    if found := next(folder.glob(pattern), None):
        return found
    raise ModelError(f"{folder} has no file {pattern}: it is no model of Bergamot or Firefox")
