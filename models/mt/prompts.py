"""Ways to ask a model for a translation: prompts of chat models in the words each family was trained on, and tags that tell
encoder-decoders the two languages, around the source and at the start of the target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from models.mt.catalog import CatalogEntry, name_of
from models.mt.checkpoint import CHAT_MODEL
from models.mt.decoding import Prompt
from models.mt.terms.vocabulary import Tokenizer
from pipeline.contracts import TranslationRequest
from pipeline.errors import ModelError


def hy_mt2(request: TranslationRequest) -> str:
    """Word Hy-MT2's translation task, with its terminology and background forms (Tencent-Hunyuan/Hy-MT2, README)."""
    target = name_of(request.target_language)
    terms = [(term.source, (term.targets or (term.source,))[0]) for term in request.terms if term.mode != "ban"]
    parts = []
    if request.context:
        pairs = "\n".join(f"{source}\n{translation}" for source, translation in request.context)
        parts.append(f"[Background Information]\n{pairs}\n\n")
    if terms:
        lines = "\n".join(f"{source} translates to {translation}" for source, translation in terms)
        parts.append(f"Reference the following translations:\n{lines}\n\n")
    if request.context:
        parts.append(
            f"Please translate the following text into {target}, taking the provided background information into "
            f"consideration.\n\n[Source Text]\n{request.source}"
        )
    else:
        parts.append(
            f"Translate the following text into {target}. Note that you must ONLY output the translated result without "
            f"any additional explanation:\n\n{request.source}"
        )
    return "".join(parts)


def lmt(request: TranslationRequest) -> str:
    """Word LMT-60's translation task (NiuTrans/LMT, README), without context: it was trained on single sentences."""
    source, target = name_of(request.source_language), name_of(request.target_language)
    return f"Translate the following text from {source} into {target}.\n{source}: {request.source}\n{target}: "


def plain(request: TranslationRequest) -> str:
    """Word a task that any chat model understands."""
    source, target = name_of(request.source_language), name_of(request.target_language)
    return f"Translate from {source} into {target}. Output only the translation.\n\n{request.source}"


PROMPTS: Mapping[str, Callable[[TranslationRequest], str]] = {"hy-mt2": hy_mt2, "lmt": lmt, "plain": plain}
"""Prompts of chat models by the name that a profile gives."""


class Chat:
    """The chat of one model, in its own template."""

    def __init__(self, tokenizer: Tokenizer, entry: CatalogEntry) -> None:
        """Raises `ModelError` for a model that has no template."""
        if not tokenizer.chat_template:
            raise ModelError(f"{entry.name} has no chat template, so it cannot be asked to translate", hint=CHAT_MODEL)
        self._tokenizer, self._entry = tokenizer, entry

    def prompt(self, request: TranslationRequest) -> Prompt:
        """Return the request as tokens; raises `BadInput` for a pair the model does not translate."""
        self._entry.accept(request.source_language, request.target_language)
        asked = [{"role": "user", "content": PROMPTS[self._entry.prompt](request)}]
        source = self._tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=True, return_dict=False)
        target = self._tokenizer(request.prefix, add_special_tokens=False).input_ids if request.prefix else []
        length = len(self._tokenizer(request.source, add_special_tokens=False).input_ids)
        return Prompt(tuple(source), tuple(target), length)


class LanguageTags(NamedTuple):
    """The tags before the source tokens (whose end token follows them) and before the target tokens.

    ``{source}`` and ``{target}`` stand for the model's own codes of the languages.
    """

    source: str = ""
    target: str = ""


LANGUAGE_TAGS: Mapping[str, LanguageTags] = {
    "madlad": LanguageTags("<2{target}>"),  # Kudugunta et al. 2023, MADLAD-400
    "m2m": LanguageTags("__{source}__", "__{target}__"),  # Fan et al. 2020, M2M-100
    "nllb": LanguageTags("{source}", "{target}"),  # NLLB Team 2022
    "marian": LanguageTags(),  # translates one pair
    "marian-multi": LanguageTags(">>{target}<<"),  # into several targets
}
"""Ways to tag by the name that a profile gives."""
