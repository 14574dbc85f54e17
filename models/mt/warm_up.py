"""The first translation of a model that was just loaded: memory is taken and kernels are chosen before a session waits."""

from __future__ import annotations

from models.mt.batching import BatchDecoder
from models.mt.catalog import Entry
from pipeline.contracts import TranslationRequest
from pipeline.errors import ModelError


def warm_up(decoder: BatchDecoder, entry: Entry) -> None:
    """Translate one short text; raises `ModelError` for a model that cannot."""
    source, target = min(entry.pairs())
    (outcome,) = decoder.translate([TranslationRequest("1 2 3", source, target)])
    if isinstance(outcome, Exception):
        raise ModelError(f"{entry.name} is loaded but cannot translate: {outcome}") from outcome
