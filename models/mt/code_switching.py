"""Source texts in which glossary terms stand in the target language already.

A model that would not say a term is seldom brought to it by the constraint alone: it says its own sentence and the term
after it. Given the term in the source it copies it to where it belongs (Song et al. 2019, *Code-Switching for Enhancing NMT
with Pre-Specified Translation*).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipeline.contracts import Term, TranslationRequest


def code_switched(request: TranslationRequest, terms: Iterable[Term]) -> TranslationRequest | None:
    """Return the request with the first target of ``terms`` in place of the source words at their `Term.spans`.

    The spans are places in the source of ``request``; of those that overlap, the one that begins first is replaced, then
    the longer. None if that changes nothing.
    """
    found = sorted(
        (start, -end, (term.targets or (term.source,))[0]) for term in terms for start, end in term.spans if start < end
    )
    pieces, reached = [], 0
    for start, negative_end, target in found:
        if start >= reached:
            pieces += [request.source[reached:start], target]
            reached = -negative_end
    source = "".join([*pieces, request.source[reached:]])
    bare = tuple(replace(term, spans=()) for term in request.terms)
    return None if source == request.source else replace(request, source=source, terms=bare)
