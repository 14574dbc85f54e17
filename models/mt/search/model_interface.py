"""The interface between the search and a model that writes one token at a time.

The search runs on the host and keeps no array of its own: it works on those of the model, either numpy arrays or torch
tensors on any device. A numpy model is a `StepModel` whose `start` returns ``NDArray[np.float32]``; nothing of
`models.mt.search`, `models.mt.terms` and `models.mt.decoding` imports torch then. To plug one in:

1. an `models.mt.decoding.Architecture`: ``vocabulary`` (the bytes of each token), ``ends``, ``prompt(request)`` and
   ``step_model(prompts, needed)``; a model that scores a shortlist of the vocabulary for each prompt scores the tokens
   ``needed`` for it as well and gives all others minus infinity;
2. ``models.mt.decoding.Decoder(architecture, beams, longest_source)``, on a thread of its own through
   `models.mt.batching.ready_translator`: terms, forced prefixes, drafts, batches and checks come with it.

Tokens never to write (`never_written`) are the model's to keep out, by the bias it adds to its log-probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.mt.terms.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

FloatArray: TypeAlias = "NDArray[np.float32] | Tensor"
IntArray: TypeAlias = "NDArray[np.int64] | Tensor"


class StepModel(Protocol):
    """A model that continues the prompts of a batch, one token at a time; one object serves one search.

    ``start`` computes every prompt once and keeps what its ``beams`` continuations share; a step then moves only what was
    generated since. Log-probabilities are float32 over the vocabulary, in an array that the search may overwrite.
    """

    def start(self, beams: int, room: int) -> FloatArray:
        """Return log-probabilities [requests, vocabulary] of the first token; up to ``room`` tokens will follow."""

    def step(self, moves: IntArray) -> FloatArray:
        """Return log-probabilities [requests * beams, vocabulary] after one more token in every row.

        ``moves`` int64 [2, requests * beams], on the device of what ``start`` returned: row i goes on from row
        ``moves[0, i]``, which is of the same request, with the token ``moves[1, i]``. A model reorders its state by the
        former and reads the latter; rows of finished requests and of absent beams carry any token and are never looked at.
        """


def never_written(vocabulary: Vocabulary, ends: Sequence[int]) -> NDArray[np.float32]:
    """Return a bias [vocabulary] of minus infinity for tokens that write no text, but for the ends, and 0 for others."""
    bias = np.zeros(len(vocabulary), np.float32)
    bias[vocabulary.silent] = -np.inf
    bias[list(ends)] = 0
    return bias
