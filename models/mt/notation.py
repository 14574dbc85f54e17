"""How encoder-decoder models are told the two languages: marks around the source, and at the start of the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from models.mt.terms.token_bytes import Tokenizer


class Marks(NamedTuple):
    """What stands before the source tokens (its end token follows them) and before the target tokens."""

    source: tuple[str, ...]
    target: tuple[str, ...]


def madlad(source: str, target: str) -> Marks:
    """``<2es> text`` (Kudugunta et al. 2023, MADLAD-400)."""
    return Marks((f"<2{target}>",), ())


def m2m(source: str, target: str) -> Marks:
    """``__en__`` before the source, ``__es__`` as the first target token (Fan et al. 2020, M2M-100)."""
    return Marks((f"__{source}__",), (f"__{target}__",))


def nllb(source: str, target: str) -> Marks:
    """``eng_Latn`` before the source, ``spa_Latn`` as the first target token (NLLB Team 2022)."""
    return Marks((source,), (target,))


def marian(source: str, target: str) -> Marks:
    """A model of one pair: no marks."""
    return Marks((), ())


def marian_multi(source: str, target: str) -> Marks:
    """A Marian model of several targets: ``>>es<<`` before the source."""
    return Marks((f">>{target}<<",), ())


NOTATIONS: Mapping[str, Callable[[str, str], Marks]] = {
    "madlad": madlad, "m2m": m2m, "nllb": nllb, "marian": marian, "marian-multi": marian_multi,
}  # fmt: skip
"""Notations by the name that a profile gives."""


def token_ids(tokenizer: Tokenizer, marks: Sequence[str]) -> list[int]:
    """The marks as token ids; raises `KeyError` for one the vocabulary lacks."""
    ids = tokenizer.convert_tokens_to_ids(list(marks)) if marks else []
    for mark, number in zip(marks, ids, strict=True):
        if number is None or number == tokenizer.unk_token_id:
            raise KeyError(mark)
    return list(ids)
