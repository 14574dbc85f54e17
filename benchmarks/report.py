"""Draw a run: one self-contained HTML page with its pictures, figures, texts and speech, and the pictures as PNG."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.atomic import write_bytes, write_text
from benchmarks.corpora.utterance import Utterance
from benchmarks.metrics.quality import word_error_rate
from benchmarks.pages import plots
from benchmarks.pages.page import Sample, as_ogg, render
from benchmarks.runs.folder import RunFolder
from benchmarks.runs.row import Row
from benchmarks.runs.scoring import Scores
from benchmarks.runs.stored import scores_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and beside which others."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="RUN", help="compare with this run")
    parser.add_argument("--samples", type=int, default=5, help="utterances to show: the worst ones (5)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Write ``report.html`` and its pictures into the run's folder; nothing is measured."""
    folder = RunFolder(arguments.run)
    about, scores, rows = folder.about(), scores_of(folder), folder.rows()
    others = {path.name: scores_of(RunFolder(path)) for path in arguments.beside}
    pictures = draw(scores, rows, {arguments.run.name: scores, **others})
    for name, data in pictures.items():
        write_bytes(folder.path / "plots" / f"{name.replace(' ', '-')}.png", data)
    samples = [_sample(folder, utterance, row) for utterance, row in worst(folder.manifest(), rows, arguments.samples)]
    page = folder.path / "report.html"
    write_text(page, render(about, scores, pictures, samples, others))
    print(f"report: {page}")
    return {"pictures": float(len(pictures)), "samples": float(len(samples))}


def draw(scores: Scores, rows: Sequence[Row], runs: Mapping[str, Scores]) -> dict[str, bytes]:
    """The pictures that these rows can fill, by title."""
    longest = max(rows, key=lambda row: row.source_s, default=None)
    made = {
        "Where the time goes": plots.waterfall(rows),
        "Lag over the longest recording": plots.lag_over_time(longest) if longest else None,
        "Quality against latency": plots.quality_against_latency(runs),
    }
    return {title: picture for title, picture in made.items() if picture}


def worst(utterances: Sequence[Utterance], rows: Sequence[Row], count: int) -> list[tuple[Utterance, Row]]:
    """The utterances that were understood worst, the worst first."""
    found = {row.utterance: row for row in rows}
    pairs = [(utterance, found[utterance.name]) for utterance in utterances if utterance.name in found]

    def errors(pair: tuple[Utterance, Row]) -> float:
        utterance, row = pair
        return word_error_rate([utterance.transcript], [row.transcript], utterance.source_language)

    return sorted(pairs, key=errors, reverse=True)[:count]


def _sample(folder: RunFolder, utterance: Utterance, row: Row) -> Sample:
    audio = as_ogg(folder.path / row.audio) if row.audio else None
    return Sample(row, utterance.transcript, utterance.reference, audio, plots.timeline(row))
