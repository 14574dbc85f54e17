"""The constraints that a glossary puts on a target text, and the check whether a text meets them.

The check reads the finished text only and knows nothing of tokens, so it also judges the search.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.contracts import Term, TranslationRequest
from pipeline.errors import BadInput
from pipeline.scripts import SPACELESS, SUFFIXING, is_letter

INFLECTION_LETTERS = 3  # an ending such as -s, -es, -ern


@dataclass(frozen=True, slots=True)
class Form:
    """A spelling of a term: no letter touches it on the left if ``left``, at most ``endings`` on the right if ``right``."""

    text: str
    left: bool
    right: bool
    endings: int = 0

    def at(self, text: str, start: int) -> bool:
        """Return whether the form stands in ``text`` at ``start`` as a word of its own."""
        if not text.startswith(self.text, start) or (self.left and is_letter(text[start - 1 : start] if start else "")):
            return False
        if not self.right:
            return True
        end = start + len(self.text)
        ending = next((place for place, letter in enumerate(text[end:]) if not is_letter(letter)), len(text) - end)
        return ending <= self.endings


@dataclass(frozen=True, slots=True)
class Constraint:
    """One term: any of ``forms``, at least ``count`` times."""

    forms: tuple[Form, ...]
    count: int

    def occurrences(self, text: str) -> int:
        """Count how often the text says it."""
        return sum(any(form.at(text, start) for form in self.forms) for start in range(len(text)))


@dataclass(frozen=True, slots=True)
class Constraints:
    """The constraints of one request on its translation."""

    hard: tuple[Constraint, ...] = ()
    soft: tuple[Constraint, ...] = ()
    banned: tuple[Form, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hard or self.soft or self.banned)

    def met(self, text: str, start: int = 0) -> bool:
        """Return whether every hard term is said, and nothing banned after ``start``."""
        said = all(constraint.occurrences(text) >= constraint.count for constraint in self.hard)
        return said and not self.says_banned(text, start)

    def says_banned(self, text: str, start: int = 0) -> bool:
        """Return whether something banned ends after ``start``; what was committed before cannot be taken back."""
        return any(
            form.at(text, place)
            for form in self.banned
            for place in range(max(0, start + 1 - len(form.text)), len(text) - len(form.text) + 1)
        )


def constraints_of(terms: Iterable[Term], language: str) -> Constraints:
    """Return the constraints of terms on a text in ``language``; raises `BadInput` for terms that contradict each other."""
    hard: list[Constraint] = []
    soft: list[Constraint] = []
    banned: list[Form] = []
    for term in terms:
        spellings = term.targets or ((term.source,) if term.mode == "keep" else ())
        forms = tuple(_forms(spellings, language, term.inflect and term.mode != "ban"))
        if not forms:
            raise BadInput(f"the glossary term {term.source!r} has no target to say")
        match term.mode:
            case "ban":
                banned += forms
            case "soft":
                soft.append(Constraint(forms, term.count))
            case _:
                hard.append(Constraint(forms, term.count))
    _refuse_contradictions(hard, banned)
    return Constraints(tuple(hard), tuple(soft), tuple(banned))


def _forms(spellings: Sequence[str], language: str, inflect: bool) -> Iterator[Form]:
    """Give the spellings as forms, without those that contain a shorter one: saying them says the shorter."""
    texts = {unicodedata.normalize("NFC", " ".join(spelling.split())) for spelling in spellings} - {""}
    kept: list[Form] = []
    primary = language.split("-", maxsplit=1)[0]
    spaced, free = primary not in SPACELESS, primary in SUFFIXING
    for text in sorted(texts, key=lambda text: (len(text), text)):
        form = Form(
            text,
            left=spaced or is_letter(text[0]),
            right=(spaced or is_letter(text[-1])) and not free,
            endings=INFLECTION_LETTERS if inflect else 0,
        )
        if not any(shorter.at(text, place) for shorter in kept for place in range(len(text))):
            kept.append(form)
    yield from kept


def _refuse_contradictions(hard: Sequence[Constraint], banned: Sequence[Form]) -> None:
    for constraint in hard:
        for form in constraint.forms:
            for ban in banned:
                if any(ban.at(form.text, place) for place in range(len(form.text))):
                    raise BadInput(
                        f"the glossary demands {form.text!r} and bans {ban.text!r}, which it contains",
                        hint="remove one of them",
                    )


def code_switched(request: TranslationRequest, terms: Iterable[Term]) -> TranslationRequest | None:
    """Return the request with the first target of ``terms`` in place of the source words at their `Term.spans`.

    A model that would not say a term is seldom brought to it by the constraint alone: it says its own sentence and the term
    after it. Given the term in the source it copies it to where it belongs (Song et al. 2019, *Code-Switching for Enhancing
    NMT with Pre-Specified Translation*).

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
