"""The best continuations of a request's beams, over vocabularies of a hundred thousand tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 128  # about the root of a vocabulary: as many maxima to rank as entries beside the best of them


def top_of_beams(scores: Tensor, running: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of ``scores + running`` [requests, count], largest first, and where they stand in a request's beams.

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
