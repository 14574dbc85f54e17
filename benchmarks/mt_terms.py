"""Obedience to the glossary, and its price: a trained toy model under terms it never saw and under random ones."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.metrics.quality import word_error_rate
from benchmarks.mt_toy import DICTIONARY, SOURCE, TARGET, WORDS, sample
from models.mt import decoding
from models.mt.catalog import CatalogEntry
from models.mt.causal_lm import CausalArchitecture, CausalLM
from models.mt.checkpoint import load_checkpoint
from models.mt.decoding import Decoder
from models.mt.search import constrained_beam
from models.mt.search.beam_row import BeamOptions, SearchRequest
from models.mt.search.constrained_beam import Hypothesis
from models.mt.search.model_interface import StepModel
from models.mt.terms.constraints import constraints_of
from pipeline.contracts import Term, Translation, TranslationRequest

TOY = Path(__file__).parent.parent / "tests" / "toy_mt"
BATCH = 8
PROPER = ("Transformer", "EBITDA", "aprendizaje profundo", "Nueva York", "息税折旧摊销前利润", "São Paulo", "GPT-4")


def terms_figures(sentences: int) -> Mapping[str, float]:
    """Over all runs: share of hard terms said exactly, share said more often than once, steps against plain search.

    Steps are counted for each token of the longest text of a batch, for a term may be longer than what it replaces.
    Random terms are capital letters, which the toy has learned to go on after, as a real model goes on after any word;
    ``steps_ratio`` is counted on them. Proper terms are letters and scripts that it never saw, so it knows no way on.
    The product searches without terms first, and under them only what does not obey. The ratio is the second search
    against the first, over the batches in which some text needed both; there, both together take one more than the ratio.
    """
    torch.set_num_threads(1)
    backend = CausalLM(model=str(TOY), languages=(f"{SOURCE}>{TARGET}",), device="cpu")
    decoder = Decoder(_architecture(backend.entry()), 4, 512)
    figures: dict[str, float] = {}
    counted = said = doubled = 0
    for kind in ("none", "proper", "random"):
        asked, expected = _requests(kind, sentences)
        found, steps = _translate(decoder, asked)
        for request, translation in zip(asked, found, strict=True):
            for constraint in constraints_of(request.terms, TARGET).hard:
                occurrences = constraint.occurrences(translation.text)
                counted, said, doubled = counted + 1, said + (occurrences > 0), doubled + (occurrences > 1)
        if kind == "none":
            figures["toy_word_error_ratio"] = word_error_rate(expected, [one.text for one in found])
        else:
            again = [one for one in steps if len(one) > 1]
            figures[f"steps_{kind}_ratio"] = sum(one[1] for one in again) / sum(one[0] for one in again)
    figures["terms_exact_ratio"] = said / counted
    figures["terms_doubled_ratio"] = doubled / counted
    figures["steps_ratio"] = figures["steps_random_ratio"]
    for name, value in figures.items():
        print(f"  {name:<24} {value:.3f}")
    return figures


def _architecture(entry: CatalogEntry) -> CausalArchitecture:
    model, tokenizer = load_checkpoint(entry.repository, "causal", "cpu", "float32")
    return CausalArchitecture(model, tokenizer, entry)


def _requests(kind: str, sentences: int) -> tuple[list[TranslationRequest], list[str]]:
    """Sentences with a term for one of their words, and what should be said."""
    generator, draw = np.random.default_rng(77), random.Random(77)
    asked, expected = [], []
    for _ in range(sentences):
        source, target = sample(generator)
        word = draw.choice(source.split())
        letters = "".join(draw.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(draw.randint(4, 10)))
        spelling = draw.choice(PROPER) if kind == "proper" else letters
        count = source.split().count(word)
        terms = () if kind == "none" else (Term(word, (spelling,)),)
        asked.append(TranslationRequest(source, SOURCE, TARGET, terms=terms))
        assert word in WORDS
        replaced = [spelling if terms and one == DICTIONARY[word] else one for one in target.split()]
        expected.append(" ".join(replaced) if count else target)
    return asked, expected


def _translate(decoder: Decoder, asked: list[TranslationRequest]) -> tuple[list[Translation], list[list[float]]]:
    """The translations, and for every batch the steps a token of each of its searches."""
    steps: list[list[float]] = []
    search = constrained_beam.search

    def counted(
        step_model: StepModel, rows: Sequence[SearchRequest], options: BeamOptions
    ) -> tuple[list[list[Hypothesis]], int]:
        found, taken = search(step_model, rows, options)
        written = max(len(hypotheses[0].tokens) for hypotheses in found)
        steps[-1].append(taken / written)
        return found, taken

    found: list[Translation] = []
    with patch.object(decoding, "search", counted):
        for start in range(0, len(asked), BATCH):
            steps.append([])
            for one in decoder.translate(asked[start : start + BATCH]):
                assert isinstance(one, Translation), one
                found.append(one)
    return found, steps
