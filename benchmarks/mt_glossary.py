"""The seconds for which a glossary of ten thousand terms keeps a session from opening."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.metrics.statistics import percentile
from benchmarks.mt_control import made_up_vocabulary
from models.mt.decoding import check_terms
from models.mt.terms.vocabulary import Vocabulary
from pipeline.glossary.glossary import load_glossary

TERMS, REPEATS = 10_000, 3
SOURCE, TARGET = "en", "es"


def glossary_figures() -> Mapping[str, float]:
    """Seconds from a CSV file to the first terms found in heard text, and what of it each step takes; medians.

    It is what a session does before and at its first words: read the file, collect the source terms for the recognizer,
    check every term against the translator's vocabulary (120,000 tokens, its caches empty), index what to listen for.
    """
    written = made_up_vocabulary()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "terms.csv"
        lines = (
            f"annual growth rate {number},tasa de crecimiento nº {number}|índice Ω{number}\n" for number in range(TERMS)
        )
        file.write_text("source,es\n" + "".join(lines), encoding="utf-8")
        runs = [_open_session(file, Vocabulary(written)) for _ in range(REPEATS)]
    figures = {name: percentile([run[name] for run in runs], 50) for name in runs[0]}
    for name, value in figures.items():
        print(f"  {name:<28} {value:7.3f}", flush=True)
    return figures


def _open_session(file: Path, vocabulary: Vocabulary) -> dict[str, float]:
    began = time.perf_counter()
    glossary = load_glossary([file])
    glossary.vocabulary(SOURCE)
    read = time.perf_counter()
    check_terms(glossary.terms(SOURCE, TARGET), TARGET, vocabulary)
    checked = time.perf_counter()
    found = glossary.terms_in("the annual growth rate 77 of this year", SOURCE, TARGET)
    assert [term.source for term in found] == ["annual growth rate 77"], found
    ended = time.perf_counter()
    return {
        "glossary_10k_load_s": ended - began,
        "glossary_10k_read_s": read - began,
        "glossary_10k_check_s": checked - read,
        "glossary_10k_index_s": ended - checked,
    }
