"""Tags that tell encoder-decoder models the two languages: around the source, and at the start of the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from models.mt.terms.token_bytes import Tokenizer


class LanguageTags(NamedTuple):
    """The tags before the source tokens (whose end token follows them) and before the target tokens."""

    source: tuple[str, ...]
    target: tuple[str, ...]


def madlad(source: str, target: str) -> LanguageTags:
    """Tag as in ``<2es> text`` (Kudugunta et al. 2023, MADLAD-400)."""
    return LanguageTags((f"<2{target}>",), ())


def m2m(source: str, target: str) -> LanguageTags:
    """Put ``__en__`` before the source, ``__es__`` as the first target token (Fan et al. 2020, M2M-100)."""
    return LanguageTags((f"__{source}__",), (f"__{target}__",))


def nllb(source: str, target: str) -> LanguageTags:
    """Put ``eng_Latn`` before the source, ``spa_Latn`` as the first target token (NLLB Team 2022)."""
    return LanguageTags((source,), (target,))


def marian(source: str, target: str) -> LanguageTags:
    """Put nothing: the model translates one pair."""
    return LanguageTags((), ())


def marian_multi(source: str, target: str) -> LanguageTags:
    """Put ``>>es<<`` before the source, for a Marian model of several targets."""
    return LanguageTags((f">>{target}<<",), ())


LANGUAGE_TAGS: Mapping[str, Callable[[str, str], LanguageTags]] = {
    "madlad": madlad, "m2m": m2m, "nllb": nllb, "marian": marian, "marian-multi": marian_multi,
}  # fmt: skip
"""Ways to tag by the name that a profile gives."""


def tag_ids(tokenizer: Tokenizer, tags: Sequence[str]) -> list[int]:
    """Return the tags as token ids; raises `KeyError` for one the vocabulary lacks."""
    ids = tokenizer.convert_tokens_to_ids(list(tags)) if tags else []
    for tag, number in zip(tags, ids, strict=True):
        if number is None or number == tokenizer.unk_token_id:
            raise KeyError(tag)
    return list(ids)
