"""Translation of requests: search, check, constrain what failed the check, and try what looks wrong once more.

A model that obeys its prompt costs nothing extra. Only where a hard term is missing or something banned was said is the
text searched again with the terms inside the search, which then cannot leave them out: in one batch from the source as it
is and from the source with the missing terms in it (`models.mt.terms.constraints`), and the likelier text is taken.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import chain, groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.mt.quality_checks import lost_numbers, problems
from models.mt.search.beam_row import BeamOptions, SearchRequest
from models.mt.search.constrained_beam import search
from models.mt.search.model_interface import StepModel
from models.mt.terms.automaton import TermAutomaton
from models.mt.terms.constraints import Constraints, code_switched, constraints_of
from models.mt.terms.continuations import refuse_unwritable
from models.mt.terms.vocabulary import Vocabulary, text_of_tokens
from pipeline.contracts import Term, Translation, TranslationRequest
from pipeline.errors import BadInput, TranslateLiveError
from pipeline.events import Fault
from pipeline.scripts import is_letter

TOKENS_PER_SOURCE_TOKEN, LEAST_TOKENS, SPARE_TOKENS = 2.2, 16, 8  # the cap on a model that does not end
NO_REPEAT = 4  # tokens that a second try may not repeat
DOUBTFUL_NATS = 1.0  # a token, by which terms may make a text less likely than the one that the model would say
_SPECIAL = re.compile(r"<\|[^<>|]{1,60}\|>|<｜[^<>｜]{1,60}｜>|</?s>|<pad>|<unk>|<2\w{2,8}>")
_JOINERS = "\u200c\u200d"  # they spell words in Persian and the Indic scripts, and join emoji


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as tokens: those the model reads, those its answer begins with, and the number of those of the source."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    source_length: int
    group: Hashable = None  # prompts of one group can share a batch


def clean(text: str) -> str:
    """Return the text in one line, without control characters and anything a model would take for its own marks."""
    kept = (letter if _readable(letter) else " " for letter in _SPECIAL.sub(" ", text))
    return " ".join("".join(kept).split())


def _readable(letter: str) -> bool:
    return letter in _JOINERS or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def token_limit(prompt: Prompt) -> int:
    """Return the number of tokens after which a translation counts as one that does not end."""
    whole = int(TOKENS_PER_SOURCE_TOKEN * prompt.source_length) + SPARE_TOKENS
    return max(LEAST_TOKENS, whole - len(prompt.target))


def check_length(prompt: Prompt, longest_source: int) -> None:
    """Raise `BadInput` for a source of more than ``longest_source`` tokens."""
    if prompt.source_length > longest_source:
        raise BadInput(
            f"a text of {prompt.source_length} tokens cannot be translated in one piece; "
            f"at most {longest_source} are possible",
            hint="cut it into sentences",
        )


def written(prefix: str, tokens: Sequence[int], vocabulary: Vocabulary) -> str:
    """Return the text of a committed prefix and the tokens after it; end tokens write nothing."""
    text = text_of_tokens(tokens, vocabulary.written)
    return (prefix + text).rstrip() if prefix else text.strip()


def check_terms(terms: Iterable[Term], language: str, vocabulary: Vocabulary) -> None:
    """Raise `BadInput` for terms that a search over this vocabulary could not be held to in ``language``."""
    for term in terms:
        refuse_unwritable(constraints_of([term], language).hard, vocabulary)


class Architecture(Protocol):
    """A model as the decoder needs it."""

    vocabulary: Vocabulary
    ends: tuple[int, ...]

    def prompt(self, request: TranslationRequest) -> Prompt:
        """Return the request as tokens; raises `BadInput` for what the model cannot take."""

    def step_model(self, prompts: Sequence[Prompt], needed: Sequence[Collection[int]]) -> StepModel:
        """Return what continues these prompts, which are of one group.

        ``needed`` are for each prompt the ends and the tokens that its terms may need: a model that scores only a part of
        the vocabulary scores them too, in searches without constraints as well, so that their scores can be compared.
        """


@dataclass(slots=True, eq=False)
class _Work:
    """A request on its way: ``best`` is the best text so far, and ``met`` tells whether that says what it must."""

    given: TranslationRequest
    request: TranslationRequest  # cleaned, so the spans of its terms are those of ``given``
    prompt: Prompt
    constraints: Constraints
    constrained: bool = False  # its search cannot leave out its terms
    best: str = ""
    score: float = -math.inf
    met: bool = False
    found: list[tuple[str, float]] = field(default_factory=list)  # those that came to an end first
    cost_of_terms: float = 0.0  # nats a token, against the text without them


class Decoder:
    """A `BatchDecoder` over one model; blocking, to be called by the model's own thread only."""

    def __init__(self, architecture: Architecture, beams: int, longest_source: int, term_beams: int = 0) -> None:
        """Search units with ``beams`` beams, drafts with one; ``longest_source`` is in tokens.

        ``term_beams`` (0: as many) are those of the second search, of texts that lack their terms or look wrong.
        """
        self._architecture, self._longest_source = architecture, longest_source
        self._beams, self._term_beams = beams, term_beams or beams
        self._ends = {(end,) for end in architecture.ends}
        self._automaton = lru_cache(maxsize=32)(lambda wanted: TermAutomaton(wanted, architecture.vocabulary))

    def translate(self, requests: Sequence[TranslationRequest]) -> list[Translation | Exception]:
        """Translate every request, or give the error that is its own; all are drafts or all are units."""
        outcomes = [self._prepare(request) for request in requests]
        works = [outcome for outcome in outcomes if isinstance(outcome, _Work)]
        for work in works:
            work.met = not work.request.source  # nothing to say: the prefix stands
        self._search([work for work in works if work.request.source], self._beams)
        self._obey([work for work in works if not work.met])
        doubtful = [work for work in works if not work.request.draft and self._faults(work, work.best)]
        self._try_again(doubtful)
        return [self._translation(outcome) if isinstance(outcome, _Work) else outcome for outcome in outcomes]

    def check(self, terms: Iterable[Term], language: str) -> None:
        """Raise `BadInput` for terms that this model could not be held to in ``language``."""
        check_terms(terms, language, self._architecture.vocabulary)

    @cached_property
    def _word_continuing(self) -> NDArray[np.int64]:
        return np.array(self._architecture.vocabulary.word_continuing, np.int64)

    def _prepare(self, given: TranslationRequest) -> _Work | Exception:
        try:
            request = replace(given, source=clean(given.source), prefix=given.prefix.rstrip())
            prompt = self._architecture.prompt(request)
            while prompt.source_length > self._longest_source and request.context:
                request = replace(request, context=request.context[1:])
                prompt = self._architecture.prompt(request)
            check_length(prompt, self._longest_source)
            constraints = constraints_of(request.terms, request.target_language)
            refuse_unwritable(constraints.hard, self._architecture.vocabulary)
            return _Work(given, request, prompt, constraints, best=request.prefix)
        except TranslateLiveError as error:
            return error

    def _search(self, works: Sequence[_Work], beams: int, no_repeat: int = 0) -> None:
        """Search all works, one batch for each group of prompts, and keep the best text of each that says its terms."""
        ordered = sorted(works, key=lambda work: hash(work.prompt.group))
        for _, group in groupby(ordered, key=lambda work: work.prompt.group):
            batch = list(group)
            drafts = all(work.request.draft for work in batch)
            options = BeamOptions(1 if drafts else beams, self._architecture.ends, no_repeat=no_repeat)
            requests = [self._ask(work) for work in batch]
            needed = [self._needed(work) for work in batch]
            step_model = self._architecture.step_model([work.prompt for work in batch], needed)
            found, _ = search(step_model, requests, options)
            for work, hypotheses in zip(batch, found, strict=True):
                ended = sorted(hypotheses, key=lambda one: one.tokens[-1:] not in self._ends)
                said = [written(work.request.prefix, one.tokens, self._architecture.vocabulary) for one in ended]
                work.found = [(text, one.score) for text, one in zip(said, ended, strict=True)]
                self._keep(work)

    def _needed(self, work: _Work) -> frozenset[int]:
        terms = self._automaton(work.constraints).tokens if work.constraints else ()
        return frozenset((*self._architecture.ends, *terms))

    def _obey(self, works: Sequence[_Work]) -> None:
        """Search works again so that they say their terms, and keep the likeliest text of each that does.

        Constraints narrow a search, and a model may copy what it is given: a code-switched source is tried without, too.
        """
        free = [work.score for work in works]
        tries = [[replace(work, constrained=True), *self._switched(work)] for work in works]
        self._search(list(chain.from_iterable(tries)), self._term_beams)
        for work, tried, score in zip(works, tries, free, strict=True):
            chosen = max(tried, key=lambda one: (one.met, one.score))
            work.best, work.score, work.met, work.found = chosen.best, chosen.score, chosen.met, chosen.found
            work.cost_of_terms = score - work.score

    def _switched(self, work: _Work) -> list[_Work]:
        """Return the work on a source with the terms in it that its text so far lacks, without and with constraints."""
        language = work.request.target_language
        lacking = [
            term
            for term in work.given.terms
            if term.mode in {"hard", "keep"} and not constraints_of([term], language).met(work.best)
        ]
        request = code_switched(work.given, lacking)
        twin = self._prepare(request) if request else None
        return [twin, replace(twin, constrained=True)] if isinstance(twin, _Work) else []

    def _ask(self, work: _Work) -> SearchRequest:
        wanted = work.constraints if work.constrained else Constraints(soft=work.constraints.soft)
        limit = token_limit(work.prompt)
        refused = self._word_continuing if is_letter(work.request.prefix[-1:]) else None
        if not wanted:
            return SearchRequest(limit, refused=refused)
        automaton = self._automaton(wanted)
        state = automaton.after(work.request.prefix)
        return SearchRequest(limit + int(automaton.state(state).need), automaton, state, refused)

    def _keep(self, work: _Work) -> None:
        """Take the best found text that says every term, or the best of all."""
        good = [one for one in work.found if self._meets(work, one[0])]
        work.met = bool(good)
        work.best, work.score = (good or work.found)[0]

    def _meets(self, work: _Work, text: str) -> bool:
        return work.constraints.met(text, len(work.request.prefix))

    def _faults(self, work: _Work, text: str) -> tuple[str, ...]:
        request = work.request
        return problems(request.source, text, request.source_language, request.target_language)

    def _try_again(self, works: Sequence[_Work]) -> None:
        """Search doubtful works once more, without context and repetitions and with their numbers; keep the better."""
        first = [(work, work.best, work.score, work.met) for work in works]
        again = [self._prepare(self._stricter(work)) for work in works]
        tries = [one for one in again if isinstance(one, _Work)]
        for one in tries:
            one.constrained = True
        self._search(tries, self._term_beams, no_repeat=NO_REPEAT)
        for (work, text, score, met), second in zip(first, again, strict=True):
            if isinstance(second, _Work):
                candidates = [(text, score), *second.found]
                ranked = [(met and not self._meets(work, one), len(self._faults(work, one))) for one, _ in candidates]
                best = min(range(len(candidates)), key=lambda place: (*ranked[place], place))
                if best:
                    work.cost_of_terms = 0.0
                work.best, work.score = candidates[best]
                work.met = self._meets(work, work.best)

    def _stricter(self, work: _Work) -> TranslationRequest:
        lost = lost_numbers(work.request.source, work.best)
        digits = tuple(Term(number, (number,)) for number in lost if self._architecture.vocabulary.writes(number))
        return replace(work.request, context=(), terms=(*work.request.terms, *digits))

    def _translation(self, work: _Work) -> Translation:
        said = list(self._faults(work, work.best)) if not work.request.draft and work.request.source else []
        if not work.met:
            said.append("a glossary term could not be obeyed")
        elif work.cost_of_terms > DOUBTFUL_NATS and not work.request.draft:
            said.append(f"its glossary terms make it {work.cost_of_terms:.1f} nats a token less likely")
        notices = tuple(Fault("translate", f"the translation {work.best!r} is doubtful: {one}", False) for one in said)
        return Translation(work.best, work.score if work.score > -math.inf else 0.0, notices)
