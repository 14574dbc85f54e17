"""Translation with a search that cannot be constrained: check, look among the eight best, fall back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

from models.mt.catalog import Entry
from models.mt.decoding import Decoder, Prompt, check_length, check_terms, clean, token_limit, written
from models.mt.prompts import Chat
from models.mt.quality_checks import problems
from models.mt.terms.constraints import constraints_of
from models.mt.terms.vocabulary import Tokenizer, Vocabulary, token_bytes
from pipeline.contracts import Term, Translation, TranslationRequest
from pipeline.errors import TranslateLiveError
from pipeline.scripts import is_letter

Generator: TypeAlias = Any  # ctranslate2 is not analyzed
BEST = 8  # hypotheses in which a missing term is looked for
Found: TypeAlias = tuple[str, float]


class Int8Decoder:
    """A `BatchDecoder` over a CTranslate2 generator; ``exact`` loads the decoder for what that cannot be made to say."""

    def __init__(
        self,
        generator: Generator,
        tokenizer: Tokenizer,
        entry: Entry,
        *,
        beams: int,
        longest_source: int,
        exact: Callable[[], Decoder],
    ) -> None:
        self._generator, self._tokenizer, self._chat = generator, tokenizer, Chat(tokenizer, entry)
        self._beams, self._longest_source, self._load_exact = beams, longest_source, exact
        self._vocabulary = Vocabulary(token_bytes(tokenizer, len(tokenizer)))

    @cached_property
    def _exact(self) -> Decoder:
        return self._load_exact()

    def translate(self, requests: Sequence[TranslationRequest]) -> list[Translation | Exception]:
        """Translate every request, or give the error that is its own; all are drafts or all are units."""
        outcomes: list[Translation | Exception] = [Translation(request.prefix) for request in requests]
        asked: dict[int, tuple[TranslationRequest, Prompt]] = {}
        for number, request in enumerate(requests):
            cleaned = replace(request, source=clean(request.source), prefix=request.prefix.rstrip())
            try:
                if cleaned.source:
                    asked[number] = cleaned, self._prompt(cleaned)
            except TranslateLiveError as error:
                outcomes[number] = error
        beams = 1 if all(request.draft for request in requests) else self._beams
        found = self._generate(list(asked.values()), beams, 1)
        for (number, (request, prompt)), hypotheses in zip(asked.items(), found, strict=True):
            outcomes[number] = self._judge(request, prompt, hypotheses[0])
        return outcomes

    def check(self, terms: Iterable[Term], language: str) -> None:
        """Raise `BadInput` for terms that this model could not be held to in ``language``."""
        check_terms(terms, language, self._vocabulary)

    def _prompt(self, request: TranslationRequest) -> Prompt:
        constraints_of(request.terms, request.target_language)  # contradictions are told before any work
        prompt = self._chat.prompt(request)
        check_length(prompt, self._longest_source)
        return prompt

    def _generate(self, asked: Sequence[tuple[TranslationRequest, Prompt]], beams: int, best: int) -> list[list[Found]]:
        if not asked:
            return []
        results = self._generator.generate_batch(
            [self._tokenizer.convert_ids_to_tokens([*prompt.source, *prompt.target]) for _, prompt in asked],
            beam_size=beams,
            num_hypotheses=best,
            max_length=max(token_limit(prompt) for _, prompt in asked),
            include_prompt_in_result=False,
            return_scores=True,
            end_token=self._tokenizer.eos_token,
        )
        return [
            [
                (written(request.prefix, tokens, self._vocabulary), score)
                for tokens, score in zip(result.sequences_ids, result.scores, strict=True)
            ]
            for (request, _), result in zip(asked, results, strict=True)
        ]

    def _judge(self, request: TranslationRequest, prompt: Prompt, first: Found) -> Translation | Exception:
        """Return the first text if it passes, else the best of eight that does, else what the exact search finds."""
        if self._obeys(request, first[0]) and (request.draft or not self._faults(request, first[0])):
            return Translation(*first)
        (best,) = self._generate([(request, prompt)], BEST, BEST)
        passing = [one for one in best if self._obeys(request, one[0]) and not self._faults(request, one[0])]
        return Translation(*passing[0]) if passing else self._exact.translate([request])[0]

    def _obeys(self, request: TranslationRequest, text: str) -> bool:
        """Return whether it says its terms and leaves the last committed word as it is."""
        wanted, end = constraints_of(request.terms, request.target_language), len(request.prefix)
        said = all(constraint.occurrences(text) >= constraint.count for constraint in wanted.hard)
        lengthened = bool(end) and is_letter(text[end - 1]) and is_letter(text[end : end + 1])
        return said and not lengthened and not wanted.says_banned(text, end)

    def _faults(self, request: TranslationRequest, text: str) -> tuple[str, ...]:
        return problems(request.source, text, request.source_language, request.target_language)
