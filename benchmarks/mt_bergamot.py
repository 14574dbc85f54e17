"""Translation with trained weights: quality, glossary and cost of Bergamot's students, and reading units made of them.

Everyday sentences with references and terms (`benchmarks/data/everyday`), English and Portuguese, on one thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sacrebleu
import sentencepiece
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.mt_bergamot_units import Sentence, unit_figures
from models.model_files import find, models_folder
from models.mt.bergamot.backend import Bergamot
from models.mt.bergamot.pairs import PairsDecoder
from models.mt.terms.constraints import constraints_of
from pipeline.contracts import Term, Translation, TranslationRequest
from pipeline.errors import FETCH_MODELS, ModelError

EVERYDAY = Path(__file__).parent / "data" / "everyday"
UNIT_TOKENS = 20
FLUENT_NATS, FLUENT_CHRF = 1.0, 5.0  # what a term may cost the text: of its score a token, or of its chrF


def everyday() -> list[Sentence]:
    """Read the sentences."""
    rows = (line.split("\t") for line in (EVERYDAY / "en-pt.tsv").read_text(encoding="utf-8").splitlines())
    return [Sentence(english, portuguese, tuple(_term_pairs(terms))) for english, portuguese, terms in rows]


def _term_pairs(terms: str) -> Iterator[tuple[str, str]]:
    for one in filter(None, terms.split("; ")):
        source, _, target = one.partition("=")
        yield source, target


def bergamot_figures() -> Iterator[Mapping[str, float]]:
    """Measure quality, cost, terms, then reading units; raises `ModelError` without the trained weights."""
    folder = str(models_folder())
    if find("bergamot-enpt") is None or find("bergamot-pten") is None:
        raise ModelError(f"no bergamot-enpt and bergamot-pten in {folder}", hint=FETCH_MODELS)
    backends = {beams: Bergamot(folder, ("en>pt", "pt>en"), beams=beams) for beams in (1, 4)}
    decoders = {beams: PairsDecoder(backend.decoder, backend.directions()) for beams, backend in backends.items()}
    sentences = everyday()
    with threadpool_limits(1, user_api="blas"):
        for beams, decoder in decoders.items():
            yield _shown(_quality_and_cost(decoder, sentences, beams, backends[beams]))
        yield _shown(_equality(decoders[1], sentences))
        usual = PairsDecoder(Bergamot(folder).decoder, backends[4].directions())
        figures = dict(_shown(_terms(usual, sentences)))
        yield figures
        for more in unit_figures(usual, sentences):
            figures |= _shown(more)
            yield figures
        obeyed = min(figures["terms_obeyed_whole_ratio"], figures["terms_obeyed_units_ratio"])
        yield _shown({"terms_obeyed_ratio": obeyed})


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return the chrF of texts (Popović 2015), 0 to 100."""
    return float(sacrebleu.corpus_chrf(list(hypotheses), [list(references)]).score)


def translated(decoder: PairsDecoder, request: TranslationRequest) -> Translation:
    """Translate one request; raises what is wrong with it."""
    (outcome,) = decoder.translate([request])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _shown(figures: Mapping[str, float]) -> Mapping[str, float]:
    for name, value in figures.items():
        print(f"  {name:<40} {value:9.3f}", flush=True)
    return figures


def _quality_and_cost(
    decoder: PairsDecoder, sentences: Sequence[Sentence], beams: int, backend: Bergamot
) -> Mapping[str, float]:
    """CPU milliseconds for 20 target tokens and chrF against the references, in both directions."""
    figures = {}
    for source, target in (("en", "pt"), ("pt", "en")):
        texts = [(one.english, one.portuguese) if source == "en" else (one.portuguese, one.english) for one in sentences]
        tokenizer = _tokenizer(backend.folder, source + target)
        translated(decoder, TranslationRequest(texts[0][0], source, target))  # to warm up
        before = time.process_time()
        found = [translated(decoder, TranslationRequest(text, source, target)).text for text, _ in texts]
        spent_ms = 1000 * (time.process_time() - before)
        tokens = sum(len(tokenizer.encode(text)) + 1 for text in found)
        name = f"{source}{target}_beam{beams}"
        figures[f"cpu_ms_per_unit_{name}"] = spent_ms * UNIT_TOKENS / tokens
        figures[f"chrf_{name}"] = chrf(found, [reference for _, reference in texts])
    if beams == backend.beams == 4:
        figures["cpu_ms_per_unit"] = max(value for name, value in figures.items() if name.startswith("cpu_ms"))
    return figures


def _tokenizer(folder: str, pair: str) -> Any:  # noqa: ANN401  (sentencepiece is not analyzed)
    return sentencepiece.SentencePieceProcessor(model_file=str(Path(folder, f"bergamot-{pair}", f"vocab.{pair}.spm")))


def _equality(decoder: PairsDecoder, sentences: Sequence[Sentence]) -> Mapping[str, float]:
    """The share of greedy translations that are those of the reference engine."""
    said = json.loads((EVERYDAY / "greedy.json").read_text(encoding="utf-8"))
    equal = [
        translated(decoder, TranslationRequest(text, pair[:2], pair[2:])).text == expected
        for pair in ("enpt", "pten")
        for text, expected in zip(_column(sentences, pair), said[pair], strict=True)
    ]
    return {"greedy_equal_ratio": sum(equal) / len(equal)}


def _column(sentences: Sequence[Sentence], pair: str) -> list[str]:
    return [one.english if pair == "enpt" else one.portuguese for one in sentences]


def _terms(decoder: PairsDecoder, sentences: Sequence[Sentence]) -> Mapping[str, float]:
    """The share of hard terms that are said, and of texts that stay fluent under them, one term a text."""
    obeyed, fluent, unasked, told = [], [], [], []
    for sentence in sentences:
        request = TranslationRequest(sentence.english, "en", "pt")
        free = translated(decoder, request)
        free_chrf = chrf([free.text], [sentence.portuguese])
        for source, target in sentence.terms:
            start = sentence.english.index(source)
            term = Term(source, (target,), spans=((start, start + len(source)),))
            held = translated(decoder, TranslationRequest(sentence.english, "en", "pt", terms=(term,)))
            wanted = constraints_of([term], "pt")
            obeyed.append(wanted.met(held.text))
            unasked.append(wanted.met(free.text))
            near = held.score >= free.score - FLUENT_NATS
            fluent.append(near or chrf([held.text], [sentence.portuguese]) >= free_chrf - FLUENT_CHRF)
            told.append(fluent[-1] or bool(held.notices))
            if not (obeyed[-1] and fluent[-1]):
                print(f"    {source}={target}: {held.text!r} ({held.score:.2f}), free {free.text!r} ({free.score:.2f})")
    return {
        "terms": float(len(obeyed)),
        "terms_obeyed_whole_ratio": sum(obeyed) / len(obeyed),
        "terms_said_anyway_ratio": sum(unasked) / len(unasked),
        "terms_fluent_ratio": sum(fluent) / len(fluent),
        "terms_not_fluent_untold": float(len(told) - sum(told)),
    }
