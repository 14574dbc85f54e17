"""From a decoder to a translator that is ready: on a thread of its own, and with its first translation behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from models.mt.batching import BatchDecoder, BatchedTranslator
from models.mt.catalog import Entry
from pipeline.contracts import TranslationRequest
from pipeline.errors import ModelError
from pipeline.lane import Lane


@asynccontextmanager
async def ready_translator(
    load: Callable[[], BatchDecoder], entry: Entry, batch: int, window_ms: float
) -> AsyncIterator[BatchedTranslator]:
    """A translator of at most ``batch`` texts at once over the decoder that ``load`` gives, on the thread that owns it."""
    with Lane("translate") as lane:
        decoder = await lane.run(load)
        await lane.run(warm_up, decoder, entry)
        yield BatchedTranslator(lane, decoder, batch, window_ms / 1000)


def warm_up(decoder: BatchDecoder, entry: Entry) -> None:
    """Translate one short text, so that memory is taken and kernels are chosen before a session waits.

    Raises `ModelError` for a model that cannot.
    """
    source, target = min(entry.pairs())
    (outcome,) = decoder.translate([TranslationRequest("1 2 3", source, target)])
    if isinstance(outcome, Exception):
        raise ModelError(f"{entry.name} is loaded but cannot translate: {outcome}") from outcome
