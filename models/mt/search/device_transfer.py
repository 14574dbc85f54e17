"""The arrays of a step of the search, in torch: one tensor to the device before the step, one back after it.

On a GPU each transfer costs some ten microseconds, and one that waits for the device leaves it idle.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.cuda import sent
from models.mt.search.beam_row import FAR, Row
from models.mt.search.host_transfer import Fetched, StepInputs, places

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CHUNK = 128  # about the root of a vocabulary: as many maxima to rank as entries beside the best of them


@dataclass(frozen=True, slots=True)
class DeviceTransfer:
    """The `Transfer` of models in torch."""

    device: torch.device

    def inputs(self, rows: Sequence[Row], width: int, size: int) -> StepInputs:
        """See `Transfer.inputs`."""
        import torch

        beams = len(rows[0].tokens)
        wanted = [row.wanted(width) for row in rows]
        origins = [number * beams + origin for number, row in enumerate(rows) for origin in row.origins]
        tokens = [token for row in rows for token in row.tokens]
        seen, masked = (places(groups, width, size) for groups in (wanted, [row.masked(width) for row in rows]))
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
        return fetch(*topk_of_beams(scores, inputs.running, count), seen)


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


def topk_of_beams(scores: Tensor, running: Tensor, count: int) -> tuple[Tensor, Tensor]:
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
