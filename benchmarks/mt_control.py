"""The cost of the constrained search by itself, and the seconds for which a glossary keeps a session from opening."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.metrics.statistics import percentile
from models.mt.decoding import check_terms
from models.mt.search.beam_row import BeamOptions, SearchRequest
from models.mt.search.constrained_beam import search
from models.mt.terms.automaton import TermAutomaton
from models.mt.terms.constraints import Constraints, constraints_of
from models.mt.terms.vocabulary import Vocabulary
from pipeline.contracts import Term
from pipeline.glossary.glossary import load_glossary

VOCABULARY, BEAMS, STEPS, UNITS = 120_000, 4, 24, 20
GLOSSARY_TERMS, REPEATS = 10_000, 3
ZIPF = 1.0  # tokens are as unequally frequent as in text
TERMS = (
    Term("a", ("Transformer",)),
    Term("b", ("Aufmerksamkeitsmechanismus", "Aufmerksamkeit")),
    Term("c", ("息税折旧摊销前利润",)),
    Term("d", ("ディープラーニング",)),
    Term("e", ("gradiente estocástico",), inflect=True),
)
BANS = (Term("f", ("red",), mode="ban"), Term("g", ("aprendizaje automático",), mode="ban"))


def control_figures() -> Mapping[str, float]:
    """Milliseconds a step, one thread, at beam 4 over a vocabulary of 120,000: without terms, with five, also with bans.

    Each counts all that the search does beside the model, from log-probabilities to the next tokens;
    ``control_added_ms_per_step`` is what the terms add to it. The median over units, so that what else runs counts little.
    The automaton is new for every unit, as when every unit hears other terms of the session; ``warm`` is the same with the
    automaton of the unit before.
    """
    torch.set_num_threads(1)
    vocabulary = Vocabulary(made_up_vocabulary())
    wanted, with_bans = constraints_of(TERMS, "es"), constraints_of((*TERMS, *BANS), "es")
    figures = {
        "control_plain_ms_per_step": _measure(vocabulary, None),
        "control_ms_per_step": _measure(vocabulary, wanted),
        "control_warm_ms_per_step": _measure(vocabulary, TermAutomaton(wanted, vocabulary)),
        "control_bans_ms_per_step": _measure(vocabulary, with_bans),
    }
    figures["control_added_ms_per_step"] = figures["control_ms_per_step"] - figures["control_plain_ms_per_step"]
    for name, value in figures.items():
        print(f"  {name:<28} {value:7.3f}", flush=True)
    return figures


def made_up_vocabulary() -> list[bytes]:
    """Single bytes, then pieces of words of several scripts, with and without a space before them."""
    draw = random.Random(3)
    alphabets = (
        "abcdefghijklmnopqrstuvwxyzáéíñü",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "アイウエオラーニングディプ",
        "税息折旧摊销前利润模型人工",
    )
    pieces: dict[bytes, None] = dict.fromkeys([b"", b"", b"<end>", *(bytes([byte]) for byte in range(256))])
    texts = [form for term in TERMS for form in term.targets]
    while len(pieces) < VOCABULARY - 3000:
        letters = draw.choice(alphabets)
        piece = "".join(draw.choice(letters) for _ in range(draw.randint(2, 7)))
        pieces[(draw.choice(["", " "]) + piece).encode()] = None
    while len(pieces) < VOCABULARY:
        text = draw.choice(texts)
        start = draw.randrange(len(text))
        piece = text[start : start + draw.randint(1, 5)] + draw.choice(["", "", *"abcdefgh"])
        pieces[(draw.choice(["", " "]) + piece + draw.choice(["", *"xyz"])).encode()] = None
    return list(pieces)


class _Replay:
    """A stepper that gives random scores made beforehand, of Zipf's law with noise, and counts its own time."""

    def __init__(self, size: int, seed: int) -> None:
        noise = torch.Generator().manual_seed(seed)
        common = -ZIPF * torch.randperm(size, generator=torch.Generator().manual_seed(1)).add(1).log()
        made = [torch.randn(BEAMS, size, generator=noise) * 2 + common for _ in range(8)]
        self._scores = [scores.log_softmax(-1) for scores in made]
        self._steps = 0
        self.spent_s = 0.0

    def start(self, beams: int, room: int) -> Tensor:
        return self._next()[:1]

    def step(self, moves: Tensor) -> Tensor:
        return self._next()

    def _next(self) -> Tensor:
        before = time.thread_time()
        self._steps += 1
        scores = self._scores[self._steps % len(self._scores)].clone()
        self.spent_s += time.thread_time() - before
        return scores


def _measure(vocabulary: Vocabulary, wanted: object) -> float:
    """Milliseconds a step beside the model: the median over some units after one to warm up."""
    spent_ms = []
    for unit in range(UNITS + 1):
        step_model = _Replay(len(vocabulary), unit)
        before = time.thread_time()
        _, taken = search(step_model, [_asked(vocabulary, wanted)], BeamOptions(BEAMS, (2,)))
        spent_ms.append(1000 * (time.thread_time() - before - step_model.spent_s) / taken)
    return percentile(spent_ms[1:], 50)


def _asked(vocabulary: Vocabulary, wanted: object) -> SearchRequest:
    if isinstance(wanted, Constraints):
        wanted = TermAutomaton(wanted, vocabulary)
    return SearchRequest(STEPS, wanted, wanted.root) if isinstance(wanted, TermAutomaton) else SearchRequest(STEPS)


def glossary_figures() -> Mapping[str, float]:
    """Seconds from a CSV file to the first terms found in heard text, and what of it each step takes; medians.

    It is what a session does before and at its first words: read the file, collect the source terms for the recognizer,
    check every term against the translator's vocabulary (120,000 tokens, its caches empty), index what to listen for.
    """
    written = made_up_vocabulary()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "terms.csv"
        row = "annual growth rate {0},tasa de crecimiento nº {0}|índice Ω{0}\n"
        file.write_text("source,es\n" + "".join(map(row.format, range(GLOSSARY_TERMS))), encoding="utf-8")
        runs = [_open_session(file, Vocabulary(written)) for _ in range(REPEATS)]
    figures = {name: percentile([run[name] for run in runs], 50) for name in runs[0]}
    for name, value in figures.items():
        print(f"  {name:<28} {value:7.3f}", flush=True)
    return figures


def _open_session(file: Path, vocabulary: Vocabulary) -> dict[str, float]:
    began = time.perf_counter()
    glossary = load_glossary([file])
    glossary.vocabulary("en")
    read = time.perf_counter()
    check_terms(glossary.terms("en", "es"), "es", vocabulary)
    checked = time.perf_counter()
    found = glossary.terms_in("the annual growth rate 77 of this year", "en", "es")
    assert [term.source for term in found] == ["annual growth rate 77"], found
    ended = time.perf_counter()
    return {
        "glossary_10k_load_s": ended - began,
        "glossary_10k_read_s": read - began,
        "glossary_10k_check_s": checked - read,
        "glossary_10k_index_s": ended - checked,
    }
