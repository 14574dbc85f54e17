"""Decoder-only translation models in 8 bits on the CPU, through CTranslate2; terms it misses are searched for exactly.

CTranslate2 has no step interface, so nothing can be forced into its search. A text that fails its check is looked for
among its eight best; if none passes, the same checkpoint translates it in torch, under the constrained search.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from models.mt.causal_lm import CausalLM
from models.mt.checkpoint import PACKAGES, CheckpointBackend, local_folder, missing_chat_template, pull_checkpoint
from models.mt.decoding import Decoder, Prompt, check_length, check_terms, clean, token_limit, written
from models.mt.prompts import PROMPTS, Chat
from models.mt.quality_checks import problems
from models.mt.terms.constraints import constraints_of
from models.mt.terms.vocabulary import Tokenizer, Vocabulary, token_bytes
from pipeline.contracts import Missing, Progress, Term, Translation, TranslationRequest
from pipeline.errors import FETCH_MODELS, ModelError, TranslateLiveError
from pipeline.scripts import is_letter

Generator: TypeAlias = Any  # ctranslate2 is not analyzed
BEST = 8  # hypotheses in which a missing term is looked for
Found: TypeAlias = tuple[str, float]


@dataclass(frozen=True, slots=True)
class CTranslate2(CheckpointBackend):
    """A `TranslatorBackend`; ``prompt`` is one of `models.mt.prompts.PROMPTS`.

    ``converted`` is where the 8-bit model is kept (by default in the user's cache), ``threads`` 0 as many as it likes.
    Torch is loaded when a text first needs it.
    """

    KIND = "causal"
    PROMPTS = PROMPTS
    NEEDS = ("ctranslate2", *PACKAGES)

    model: str = "lmt-60-0.6b"
    converted: str = ""
    threads: int = 0

    def exact(self) -> CausalLM:
        """Return the same checkpoint in torch."""
        same = {name: getattr(self, name) for name in ("model", "prompt", "languages", "beams", "longest_source")}
        return CausalLM(**same, batch=1, device="cpu", dtype="float32")

    def folder(self) -> Path:
        """Return the folder of the 8-bit model."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        name = self.entry().name.strip("/").replace("/", "--")
        return Path(self.converted).expanduser() if self.converted else cache / "translate-live" / f"{name}-int8"

    def incomplete(self) -> Sequence[Missing]:
        """Name the chat template if the checkpoint lacks it, or the 8-bit form."""
        ready = (self.folder() / "model.bin").is_file()
        form = [] if ready else [Missing(f"the 8-bit form of {self.model}", FETCH_MODELS)]
        return missing_chat_template(self.entry().repository) or form

    def pull(self, progress: Progress) -> None:
        """Download the checkpoint and convert it to 8 bits."""
        pull_checkpoint(self.entry().repository, progress)
        if not (self.folder() / "model.bin").is_file():
            from ctranslate2.converters import TransformersConverter

            progress(f"converting {self.model} to 8 bits", 0.0)
            self.folder().parent.mkdir(parents=True, exist_ok=True)
            TransformersConverter(str(local_folder(self.entry().repository))).convert(
                str(self.folder()), quantization="int8", force=True
            )
            progress(f"converted {self.model}", 1.0)

    def decoder(self) -> Int8Decoder:
        """Load the model; blocking. Raises `ModelError`."""
        if lacking := self.missing():
            raise ModelError("; ".join(f"{one.what} is missing: {one.fix}" for one in lacking))
        import ctranslate2
        from transformers import AutoTokenizer

        try:
            settings = {"device": "cpu", "compute_type": "int8", "intra_threads": self.threads}
            generator = ctranslate2.Generator(str(self.folder()), **settings)
            tokenizer = AutoTokenizer.from_pretrained(local_folder(self.entry().repository), local_files_only=True)
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(f"cannot load {self.folder()}: {error}", hint=f"delete it, then {FETCH_MODELS}") from error
        return Int8Decoder(self, generator, tokenizer)


class Int8Decoder:
    """A `BatchDecoder` over a CTranslate2 generator, with the decoder in torch for what that cannot be made to say."""

    def __init__(self, backend: CTranslate2, generator: Generator, tokenizer: Tokenizer) -> None:
        self._backend, self._generator, self._tokenizer = backend, generator, tokenizer
        self._chat = Chat(tokenizer, backend.entry())
        self._vocabulary = Vocabulary(token_bytes(tokenizer, len(tokenizer)))

    @cached_property
    def _exact(self) -> Decoder:
        return self._backend.exact().decoder()

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
        beams = 1 if all(request.draft for request in requests) else self._backend.beams
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
        check_length(prompt, self._backend.longest_source)
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
        lengthened = bool(end) and is_letter(text[end - 1]) and is_letter(text[end : end + 1])
        return wanted.met(text, end) and not lengthened

    def _faults(self, request: TranslationRequest, text: str) -> tuple[str, ...]:
        return problems(request.source, text, request.source_language, request.target_language)
