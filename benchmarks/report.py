"""Draw runs and stage results: one self-contained HTML page with pictures, figures, texts and speech; pictures as PNG."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.atomic import write_bytes, write_text
from benchmarks.corpora.utterance import Utterance
from benchmarks.metrics.quality import word_error_rate
from benchmarks.pages import plots, run_section, stage_plots, stage_section
from benchmarks.pages.page import document, figure
from benchmarks.pages.run_section import RunPart, Sample, as_ogg
from benchmarks.runs.folder import RunFolder
from benchmarks.runs.row import Row
from benchmarks.runs.scoring import Scores, scores_of
from benchmarks.stages.result import StageResult, is_result, read_result
from pipeline.errors import BadInput

RUN = "run.json"
AGAINST = "Quality against latency"


@dataclass(slots=True)
class Found:
    """The runs and results to show, in the order given."""

    runs: list[Path] = field(default_factory=list)
    results: list[Path] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to show, and where the page goes."""
    parser.add_argument(
        "paths", type=Path, nargs="+", metavar="PATH", help="a run's folder, a --json result, or a folder of any of them"
    )
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="RUN", help="compare with this run")
    parser.add_argument("--samples", type=int, default=5, help="utterances of each run to show: the worst ones (5)")
    parser.add_argument("--out", type=Path, metavar="HTML", help="the page (report.html in the first PATH)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Write the page, and its pictures into ``plots`` beside it; nothing is measured."""
    found = find(arguments.paths)
    first: Path = arguments.paths[0]
    page: Path = arguments.out or (first if first.is_dir() else first.parent) / "report.html"
    scores = {path: scores_of(RunFolder(path)) for path in [*found.runs, *arguments.beside]}
    named = dict(zip(names(list(scores)), scores.values(), strict=True))
    parts = [
        part_of(RunFolder(path), name, scores[path], arguments.samples)
        for path, name in zip(found.runs, named, strict=False)
    ]
    unique = names([file.with_suffix("") for file in found.results])
    results = [replace(read_result(file), name=name) for file, name in zip(found.results, unique, strict=True)]
    results.sort(key=lambda result: (result.stage, result.name))
    drawn = {result.name: stage_plots.draw(result) for result in results}
    overview = plots.quality_against_latency(named)
    pictures = _pictures(parts, drawn, overview)
    for name, data in pictures.items():
        write_bytes(page.parent / "plots" / f"{name.replace(' ', '-').replace(',', '')}.png", data)
    write_text(page, whole(parts, named, overview, results, drawn))
    print(f"report: {page}")
    return {
        "runs": float(len(parts)),
        "results": float(len(results)),
        "pictures": float(len(pictures)),
        "samples": float(sum(len(part.samples) for part in parts)),
    }


def find(paths: Sequence[Path]) -> Found:
    """The runs and results that the paths name or hold; raises `BadInput` for a path that holds none."""
    found = Found()
    for path in paths:
        if path.is_file():
            found.results.append(path)
            continue
        runs = [path] if (path / RUN).is_file() else sorted(file.parent for file in path.rglob(RUN))
        inside = [] if (path / RUN).is_file() else [file for file in sorted(path.rglob("*.json")) if is_result(file)]
        if not runs and not inside:
            raise BadInput(f"{path} is no run and holds none, nor a result; give what `benchmarks run` or --json wrote")
        found.runs += runs
        found.results += inside
    return Found(list(dict.fromkeys(found.runs)), list(dict.fromkeys(found.results)))


def names(paths: Sequence[Path]) -> list[str]:
    """A short name for each run: its folder's, with as many folders above it as tell it from the others."""
    for depth in range(1, max((len(path.resolve().parts) for path in paths), default=1) + 1):
        short = ["/".join(path.resolve().parts[-depth:]) for path in paths]
        if len(set(short)) == len(paths):
            return short
    return [str(path) for path in paths]


def whole(
    parts: Sequence[RunPart],
    named: Mapping[str, Scores],
    overview: bytes | None,
    results: Sequence[StageResult],
    drawn: Mapping[str, Mapping[str, bytes]],
) -> str:
    """The page: runs and their headline figures first, then the stages."""
    title = parts[0].title if len(parts) == 1 and not results else "translate-live, measured"
    head = run_section.headlines(named) if named else ""
    against = figure(AGAINST, overview) if overview else ""
    stages = "".join(stage_section.section(result, drawn[result.name]) for result in results)
    return document(title, head + against + "".join(map(run_section.section, parts)) + stages)


def part_of(folder: RunFolder, name: str, scores: Scores, samples: int) -> RunPart:
    """Everything of a run that the page shows."""
    rows = folder.rows()
    chosen = [_sample(folder, utterance, row) for utterance, row in worst(folder.manifest(), rows, samples)]
    return RunPart(name, folder.about(), scores, draw(rows), chosen)


def draw(rows: Sequence[Row]) -> dict[str, bytes]:
    """The pictures that these rows can fill, by title."""
    longest = max(rows, key=lambda row: row.source_s, default=None)
    made = {
        "Where the time goes": plots.waterfall(rows),
        "Lag over the longest recording": plots.lag_over_time(longest) if longest else None,
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


def _pictures(
    parts: Sequence[RunPart], drawn: Mapping[str, Mapping[str, bytes]], overview: bytes | None
) -> dict[str, bytes]:
    """Every picture by the name of its file; those of several runs or results begin with whose they are."""
    made = {AGAINST: overview} if overview else {}
    for part in parts:
        prefix = f"{part.name.replace('/', '-')} " if len(parts) > 1 else ""
        made |= {prefix + title: data for title, data in part.pictures.items()}
    for name, pictures in drawn.items():
        made |= {f"{name.replace('/', '-')} {title}": data for title, data in pictures.items()}
    return made
