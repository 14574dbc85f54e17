"""Whether what was heard is the statement of consent (pure)."""

from __future__ import annotations

import re
import unicodedata

from pipeline.scripts import IDEOGRAPHS

AGREEMENT = 0.9  # the share of words that must be heard, in order, of the longer of both
PRODUCT = "translate live"

_PRODUCT_SPELLINGS = re.compile(r"translate\W*live")
_SINGLY = f"{IDEOGRAPHS}가-힯"  # Hangul too: recognizers put its spaces where they like
_TOKEN = re.compile(rf"[{_SINGLY}]|[^\W_{_SINGLY}]+")
# fmt: off
_NEGATIONS = frozenset({
    "not", "never", "don", "dont", "disagree", "refuse", "nicht", "kein", "keine", "nie", "niemals", "pas", "jamais", "non",
    "mai", "no", "nunca", "jamas", "nao", "не", "нет", "никогда", "不", "没", "沒", "ん", "ぬ", "않", "안",
})
# fmt: on


def tokens(text: str) -> list[str]:
    """Words without case, accents and punctuation, or characters where words are not spaced; one spelling of our name."""
    plain = "".join(
        character for character in unicodedata.normalize("NFKD", text) if unicodedata.category(character) != "Mn"
    )
    plain = unicodedata.normalize("NFC", plain).casefold()
    return _TOKEN.findall(_PRODUCT_SPELLINGS.sub(f" {PRODUCT} ", plain))


def agreement(statement: str, heard: str) -> float:
    """How much of the statement was said and nothing else, 0..1: words in common, in order, of the longer of both."""
    wanted, said = tokens(statement), tokens(heard)
    common = [0] * (len(said) + 1)
    for token in wanted:  # longest common subsequence
        diagonal = 0
        for place, other in enumerate(said, 1):
            above = common[place]
            common[place] = diagonal + 1 if token == other else max(above, common[place - 1])
            diagonal = above
    return common[-1] / max(len(wanted), len(said), 1)


def agrees(statement: str, heard: str) -> bool:
    """Whether the statement was said: enough of its words, and no denial that it does not contain."""
    denied = (set(tokens(heard)) - set(tokens(statement))) & _NEGATIONS
    return agreement(statement, heard) >= AGREEMENT and not denied


def names(statement: str, name: str) -> bool:
    """Whether a statement names translate-live and the voice."""
    said = f" {' '.join(tokens(statement))} "
    return f" {PRODUCT} " in said and f" {' '.join(tokens(name))} " in said
