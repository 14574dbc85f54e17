"""The arrays of a step of the search, in numpy, and in torch: one tensor to the device before the step, one back after it.

On a GPU each transfer costs some ten microseconds, and one that waits for the device leaves it idle.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.cuda import sent
from models.mt.search.beam_row import FAR, BeamRow, TokensOfBeam

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from models.mt.search.model_interface import FloatArray, IntArray

CHUNKS = 128  # on the host: about the root of a vocabulary
Fetched: TypeAlias = tuple[list[list[float]], list[list[int]], list[float]]
"""The best values [requests, count], largest first, where they stand in a request's beams, and the values to look up."""


@dataclass(frozen=True, slots=True)
class StepInputs:
    """The arrays that the rows need for a step, on the model's device.

    ``moves`` int64 [2, requests * beams] are the origins and the tokens that lead to it. ``seen`` and ``masked`` int64 [n]
    are places in its scores [requests, width, vocabulary] as one row: those whose values a row looks up (``groups``), and
    those it may not take. ``running`` float32 [requests, width] are the scores of the beams.
    """

    groups: Sequence[Sequence[TokensOfBeam]]
    moves: IntArray
    seen: IntArray
    masked: IntArray
    running: FloatArray


class Transfer(Protocol):
    """The passage between the search and the arrays of one model."""

    def inputs(self, rows: Sequence[BeamRow], width: int, size: int) -> StepInputs:
        """Return what ``rows`` need of the next step, whose scores are [requests, width, size]."""

    def refuse(self, scores: FloatArray, tokens: NDArray[np.int64]) -> None:
        """Keep ``tokens`` out of the log-probabilities [vocabulary] of one row."""

    def best(self, scores: FloatArray, inputs: StepInputs, count: int) -> Fetched:
        """Return what was looked up, and the ``count`` best of ``scores`` [requests, width, size] but for the masked."""


class HostTransfer:
    """The `Transfer` of models in numpy."""

    def inputs(self, rows: Sequence[BeamRow], width: int, size: int) -> StepInputs:
        """See `Transfer.inputs`."""
        wanted, *lists = _lists(rows, width, size)
        origins, tokens, seen, masked = (np.array(numbers, np.int64) for numbers in lists)
        running = np.array([row.scores[:width] for row in rows], np.float32)
        return StepInputs(wanted, np.stack([origins, tokens]), seen, masked, running)

    def refuse(self, scores: NDArray[np.float32], tokens: NDArray[np.int64]) -> None:
        """See `Transfer.refuse`."""
        scores[tokens] = 4 * FAR

    def best(self, scores: NDArray[np.float32], inputs: StepInputs, count: int) -> Fetched:
        """See `Transfer.best`."""
        scores = np.ascontiguousarray(scores)
        flat = scores.reshape(-1)
        seen = flat[inputs.seen]
        flat[inputs.masked] = 4 * FAR
        values, found = host_topk(scores, inputs.running, count)
        return values.tolist(), found.tolist(), seen.tolist()


def _lists(
    rows: Sequence[BeamRow], width: int, size: int
) -> tuple[list[list[TokensOfBeam]], list[int], list[int], list[int], list[int]]:
    """Return what the rows look up, the origins and tokens of all beams, and the places to look up and to mask."""
    beams, wanted = len(rows[0].tokens), [row.wanted(width) for row in rows]
    origins = [number * beams + origin for number, row in enumerate(rows) for origin in row.origins]
    seen, masked = (places(groups, width, size) for groups in (wanted, [row.masked(width) for row in rows]))
    return wanted, origins, [token for row in rows for token in row.tokens], seen, masked


def places(groups: Sequence[Sequence[TokensOfBeam]], width: int, size: int) -> list[int]:
    """Return where the groups' tokens stand in scores [requests, width, size] as one row."""
    starts = [((row * width + beam) * size, tokens) for row, asked in enumerate(groups) for beam, tokens in asked]
    return [start + token for start, tokens in starts for token in tokens]


def host_topk(
    scores: NDArray[np.float32], running: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the largest of ``scores + running`` [requests, count], largest first, and where they stand.

    ``scores`` is [requests, beams, vocabulary]; ``running`` [requests, beams]. The largest entries lie in the chunks with
    the largest maxima and are not below the least of these, so the scores are read once and only a few entries are ranked.
    A chunk is every n-th entry, for numpy takes maxima of whole lines of memory at once.
    """
    requests, beams, size = scores.shape
    length = size // CHUNKS
    whole = length * CHUNKS
    if count > beams * CHUNKS or not length:
        places, floors = np.tile(np.arange(beams * size), (requests, 1)), np.full(requests, -np.inf)
    else:
        peaks = scores[:, :, :whole].reshape(requests, beams, length, CHUNKS).max(2) + running[:, :, None]
        peaks = peaks.reshape(requests, -1)
        best = np.argpartition(peaks, -count)[:, -count:]
        floors = np.take_along_axis(peaks, best, 1).min(1)
        chunks = (best // CHUNKS * size + best % CHUNKS)[:, :, None] + np.arange(0, whole, CHUNKS)
        ends = np.arange(beams)[:, None] * size + np.arange(whole, size)
        places = np.concatenate([part.reshape(len(part), -1) for part in (chunks, np.tile(ends, (requests, 1, 1)))], 1)
    values = np.take_along_axis(scores.reshape(requests, -1), places, 1) + np.take_along_axis(running, places // size, 1)
    found = [_largest(*one, count) for one in zip(values, places, floors, strict=True)]
    return np.stack([values for values, _ in found]), np.stack([places for _, places in found])


def _largest(
    values: NDArray[np.float32], places: NDArray[np.int64], floor: float, count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the largest of what is not below ``floor``, and their places; of equal ones the first place comes first."""
    kept = np.flatnonzero(values >= floor)  # most of a shortlist's scores are equal, which selecting them takes long over
    values, places = values[kept], places[kept]
    order = np.lexsort((places, -values))[:count]
    return values[order], places[order]


CHUNK = 128  # entries, on a device: as many maxima to rank as entries beside the best of them


@dataclass(frozen=True, slots=True)
class DeviceTransfer:
    """The `Transfer` of models in torch."""

    device: torch.device

    def inputs(self, rows: Sequence[BeamRow], width: int, size: int) -> StepInputs:
        """See `Transfer.inputs`."""
        import torch

        wanted, origins, tokens, seen, masked = _lists(rows, width, size)
        running = array("d", [score for row in rows for score in row.scores[:width]])
        numbers = array("q", [*origins, *tokens, *seen, *masked])
        numbers.frombytes(running.tobytes())
        # not `torch.tensor`, which reads a sequence number by number
        parts = sent(torch.frombuffer(numbers, dtype=torch.int64), self.device).split(
            [len(origins) + len(tokens), len(seen), len(masked), len(running)]
        )
        return StepInputs(
            wanted, parts[0].view(2, -1), parts[1], parts[2], parts[3].view(torch.float64).float().view(len(rows), width)
        )

    def refuse(self, scores: Tensor, tokens: NDArray[np.int64]) -> None:
        """See `Transfer.refuse`."""
        import torch

        scores.index_fill_(0, torch.from_numpy(tokens).to(self.device), 4 * FAR)

    def best(self, scores: Tensor, inputs: StepInputs, count: int) -> Fetched:
        """See `Transfer.best`."""
        flat = scores.view(-1)
        seen = flat.index_select(0, inputs.seen) if len(inputs.seen) else flat[:0]
        if len(inputs.masked):
            flat.index_fill_(0, inputs.masked, 4 * FAR)
        return fetch(*device_topk(scores, inputs.running, count), seen)


def fetch(values: Tensor, places: Tensor, seen: Tensor) -> Fetched:
    """Return the numbers of ``values`` float32 and ``places`` int64 [requests, count], and of ``seen`` float32 [n]."""
    if values.device.type == "cpu":
        return values.tolist(), places.tolist(), seen.tolist()
    return unpack(pack(values, places, seen).cpu(), values.shape)


def pack(values: Tensor, places: Tensor, seen: Tensor) -> Tensor:
    """Put all three into one tensor int32, one after the other."""
    import torch

    return torch.cat([values.view(torch.int32).flatten(), places.int().flatten(), seen.view(torch.int32)])


def unpack(packed: Tensor, shape: torch.Size) -> Fetched:
    """Take apart what `pack` joined, with ``values`` and ``places`` of this shape."""
    import torch

    floats, count = packed.view(torch.float32), shape.numel()
    places = packed[count : 2 * count]
    return floats[:count].view(shape).tolist(), places.view(shape).tolist(), floats[2 * count :].tolist()


def device_topk(scores: Tensor, running: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the largest of ``scores + running`` [requests, count], largest first, and where they stand.

    ``scores`` is [requests, beams, vocabulary], contiguous; ``running`` [requests, beams]. The largest entries lie in the
    chunks with the largest maxima, so the scores are read once and never copied, and only a few chunks are ranked.
    """
    import torch

    requests, beams, size = scores.shape
    chunks, rest = divmod(size, CHUNK)
    if chunks < count:
        values, places = (scores + running[:, :, None]).flatten(1).topk(count)
        return values, places
    whole = size - rest
    peaks = scores[:, :, :whole].view(requests, beams, chunks, CHUNK).amax(-1).add_(running[:, :, None])
    best = peaks.flatten(1).topk(count).indices
    starts = best // chunks * size + best % chunks * CHUNK
    places = (starts[:, :, None] + torch.arange(CHUNK, device=scores.device)).flatten(1)
    if rest:
        ends = torch.arange(beams, device=scores.device)[:, None] * size + torch.arange(whole, size, device=scores.device)
        places = torch.cat([places, ends.flatten().expand(requests, -1)], 1)
    values = scores.flatten(1).gather(1, places) + running.gather(1, places // size)
    values, picked = values.topk(count)
    return values, places.gather(1, picked)
