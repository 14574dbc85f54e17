"""Encoder-decoder translation models: MADLAD-400, NLLB, M2M-100, Marian."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.model_files import on_gpu
from models.mt.catalog import CatalogEntry
from models.mt.checkpoint import PACKAGES, CheckpointBackend, gpu_memory, load_checkpoint
from models.mt.decoding import Decoder, Prompt
from models.mt.prompts import LANGUAGE_TAGS
from models.mt.steps.key_values import Model
from models.mt.steps.step_models import Seq2SeqStepModel, end_tokens, never
from models.mt.terms.vocabulary import Tokenizer, Vocabulary, token_bytes
from pipeline.contracts import TranslationRequest
from pipeline.errors import ModelError

if TYPE_CHECKING:
    from models.mt.search.model_interface import StepModel


@dataclass(frozen=True, slots=True)
class Seq2Seq(CheckpointBackend):
    """A `TranslatorBackend`; ``prompt`` is one of `models.mt.prompts.LANGUAGE_TAGS`.

    These models read single texts: context is left out.
    """

    KIND = "seq2seq"
    PROMPTS = LANGUAGE_TAGS
    NEEDS = (*PACKAGES, "sentencepiece")

    model: str = "madlad-400-3b"
    device: str = "auto"
    dtype: str = "auto"

    def gpu_memory(self) -> Mapping[str, int]:
        """Return the bytes that it will take of a GPU, by what takes them; none on a CPU."""
        return gpu_memory(self.entry(), self.dtype) if on_gpu(self.device) else {}

    def decoder(self) -> Decoder:
        """Load the model; blocking. Raises `ModelError`."""
        entry = self.entry()
        model, tokenizer = load_checkpoint(entry.repository, "seq2seq", self.device, self.dtype)
        return Decoder(Seq2SeqArchitecture(model, tokenizer, entry), self.beams, self.longest_source)


class Seq2SeqArchitecture:
    """An encoder-decoder model as the decoder needs it: tags and source to read, tags and prefix to begin with."""

    def __init__(self, model: Model, tokenizer: Tokenizer, entry: CatalogEntry) -> None:
        self._model, self._tokenizer, self._entry = model, tokenizer, entry
        self.vocabulary = Vocabulary(token_bytes(tokenizer, model.get_output_embeddings().weight.shape[0]))
        self.ends = end_tokens(model, tokenizer)
        self._never = never(self.vocabulary, self.ends, model.device)

    def prompt(self, request: TranslationRequest) -> Prompt:
        """Return the request as tokens; raises `BadInput` for a pair the model does not translate."""
        self._entry.accept(request.source_language, request.target_language)
        source, target = self._entry.code(request.source_language), self._entry.code(request.target_language)
        before, begin = (self._tag(tag.format(source=source, target=target)) for tag in LANGUAGE_TAGS[self._entry.prompt])
        text = self._tokenizer(request.source, add_special_tokens=False).input_ids
        given = {"text_target": request.prefix, "add_special_tokens": False}
        prefix = self._tokenizer(**given).input_ids if request.prefix else []
        start = self._model.generation_config.decoder_start_token_id
        tokens = (start if start is not None else self._model.config.decoder_start_token_id, *begin, *prefix)
        return Prompt((*before, *text, self._tokenizer.eos_token_id), tokens, len(text), group=len(tokens))

    def step_model(self, prompts: Sequence[Prompt], needed: Sequence[Collection[int]]) -> StepModel:
        """Return ready to continue these prompts, whose targets have one length."""
        sources = [prompt.source for prompt in prompts]
        return Seq2SeqStepModel(self._model, sources, [prompt.target for prompt in prompts], self._never)

    def _tag(self, tag: str) -> list[int]:
        """Return a tag as token ids, none for an empty one; raises `ModelError` for one the vocabulary lacks."""
        if not tag:
            return []
        number = self._tokenizer.convert_tokens_to_ids(tag)
        if number is None or number == self._tokenizer.unk_token_id:
            raise ModelError(
                f"{self._entry.name} has no token {tag!r}; its `prompt` or `languages` in the profile are wrong"
            )
        return [number]
