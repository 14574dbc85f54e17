"""What a translator is asked before any audio comes, so that what it refuses, or does slowly at first, is known in time."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.contracts import TermChecking, TranslationRequest, Translator
from pipeline.errors import StageFailed, TranslateLiveError
from pipeline.glossary.glossary import Glossary

Pairs = Sequence[tuple[str, str]]
"""(source, target) languages; an empty source is still to be detected."""


async def check_terms(translator: Translator, glossary: Glossary, pairs: Pairs) -> None:
    """Let the translator refuse terms that it cannot be held to; one that cannot tell is believed."""
    if glossary and isinstance(translator, TermChecking):
        for source, target in pairs:
            await translator.check(glossary.terms(source, target), source, target)


async def rehearse(translator: Translator, pairs: Pairs) -> None:
    """Translate a word into each target, from the first language that is known."""
    first: dict[str, str] = {}
    for source, target in pairs:
        first.setdefault(target, source)
    try:
        for target, source in first.items():
            if source:
                await translator.translate(TranslationRequest("one", source, target))
    except TranslateLiveError:
        raise
    except Exception as error:  # the border to the model
        raise StageFailed("translate", error) from error
