"""The lexical shortlist: the few tokens of a vocabulary that a source can be translated with.

For each source token the file names its likeliest translations; with the most frequent tokens they are all that the output
layer scores (Marian's ``--shortlist``, binary form).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError

Tokens: TypeAlias = NDArray[np.int64]
MAGIC = 0xF11A48D5013417F5
ALIGNED = 8  # Marian fills its lists up to a multiple, so its choice among unlikely tokens depends on it


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """``starts`` uint64 [source tokens + 1] are where the tokens of each source token begin in ``tokens`` uint32."""

    frequent: int
    starts: NDArray[np.uint64]
    tokens: NDArray[np.uint32]
    size: int  # of the target vocabulary

    def of(self, source: Iterable[int], also: Iterable[int]) -> Tokens:
        """Return the tokens to score for a source, ``also`` among them, in order."""
        chosen = np.zeros(self.size, dtype=bool)
        chosen[: self.frequent] = True
        for token in set(source):
            chosen[self.tokens[int(self.starts[token]) : int(self.starts[token + 1])]] = True
        chosen[list(also)] = True
        lacking = -int(chosen.sum()) % ALIGNED
        chosen[self.frequent + np.flatnonzero(~chosen[self.frequent :])[:lacking]] = True
        return np.flatnonzero(chosen)


def read_shortlist(path: Path, size: int) -> Shortlist:
    """Read the list for a target vocabulary of ``size`` tokens; raises `ModelError` for another or a damaged file."""
    try:
        data = path.read_bytes()
        magic, _, frequent, _, words, count = struct.unpack_from("<6Q", data)
        if magic != MAGIC:
            raise ValueError("it does not begin as such a file does")
        starts = np.frombuffer(data, np.uint64, words, 48)
        tokens = np.frombuffer(data, np.uint32, count, 48 + 8 * words)
        if int(starts[-1]) != count or np.any(starts[1:] < starts[:-1]) or np.any(tokens >= size):
            raise ValueError("its lists are not in order, or of another vocabulary")
        return Shortlist(frequent, starts, tokens, size)
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise ModelError(f"{path} cannot be read as a lexical shortlist: {error}", hint="fetch the file again") from error
