"""Quality of text: word and character error rate (jiwer), BLEU and chrF with their signatures (sacrebleu), terms said."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.scripts import SPACELESS

Terms = Sequence[tuple[str, str]]
"""(source term, target term) pairs."""

BLEU_TOKENIZERS = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab", "yue": "zh", "th": "char", "lo": "char", "my": "char"}


@dataclass(frozen=True, slots=True)
class TextScore:
    """BLEU and chrF of a set, with the signatures without which they cannot be compared."""

    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str


def normalize(text: str, spaceless: bool = False) -> str:
    """Text as error rates compare it: NFKC, case folded, no punctuation but apostrophes inside words, single spaces.

    Accents and numbers stay as they are; a spaceless language becomes characters.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    kept = "".join(
        character if character.isalnum() or character == "'" or unicodedata.category(character).startswith("M") else " "
        for character in folded
    )
    words = [word.strip("'") for word in kept.split()]
    return " ".join("".join(words)) if spaceless else " ".join(word for word in words if word)


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str], language: str = "en") -> float:
    """Word errors per reference word over the whole set (characters where no spaces are written).

    A reference without words cannot be scored and is left out, NaN if none is left; an empty hypothesis counts as all
    deletions.
    """
    import jiwer  # noqa: PLC0415  (loads slowly)

    spaceless = language in SPACELESS
    pairs = [
        (normalize(reference, spaceless), normalize(hypothesis, spaceless))
        for reference, hypothesis in zip(references, hypotheses, strict=True)
    ]
    pairs = [pair for pair in pairs if pair[0]]
    return float(jiwer.wer([pair[0] for pair in pairs], [pair[1] for pair in pairs])) if pairs else math.nan


def character_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Character errors per reference character over the whole set, spaces not counted."""
    return word_error_rate(references, hypotheses, language="zh")


def text_score(references: Sequence[str], hypotheses: Sequence[str], language: str) -> TextScore:
    """Corpus BLEU and chrF; an empty hypothesis scores 0 and stays in the set. NaN for no references."""
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415  (loads slowly)
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415

    bleu, chrf = BLEU(tokenize=BLEU_TOKENIZERS.get(language, "13a")), CHRF()
    if not references:
        return TextScore(math.nan, math.nan, "", "")
    return TextScore(
        bleu.corpus_score(hypotheses, [references]).score,
        chrf.corpus_score(hypotheses, [references]).score,
        str(bleu.get_signature()),
        str(chrf.get_signature()),
    )


def term_accuracy(terms: Sequence[Terms], sources: Sequence[str], hypotheses: Sequence[str]) -> tuple[float, int]:
    """The share of terms whose source occurs that were said as the glossary wants, and how many occur; NaN if none.

    Compared without case and punctuation, as whole words; a term is counted as often as its source occurs.
    """
    said = occurred = 0
    for pairs, source, hypothesis in zip(terms, sources, hypotheses, strict=True):
        for source_term, target_term in pairs:
            wanted = _count(source_term, source)
            occurred += wanted
            said += min(wanted, _count(target_term, hypothesis))
    return (said / occurred if occurred else math.nan), occurred


def _count(term: str, text: str) -> int:
    return f" {normalize(text)} ".replace(" ", "  ").count(f" {normalize(term).replace(' ', '  ')} ")
