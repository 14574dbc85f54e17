"""Prove the harness itself in under a minute: no weights, no GPU, no network; scripted models and known results."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks import compare, report
from benchmarks.atomic import write_text
from benchmarks.corpora.fleurs import load_fleurs
from benchmarks.corpora.synthesis import SENTENCES, synthesize
from benchmarks.corpora.talk import join
from benchmarks.corpora.tones import tone_set
from benchmarks.corpora.utterance import Utterance
from benchmarks.export import FORMS, export
from benchmarks.pace import Talk, play, summarize
from benchmarks.run import as_talk
from benchmarks.runs.folder import RunFolder, begin, digest
from benchmarks.runs.runner import measure
from benchmarks.runs.scoring import score, to_json
from benchmarks.systems.script import ScriptSystem
from pipeline.errors import TranslateLiveError
from pipeline.policies.pace import PaceOptions

GOLDEN = Path(__file__).parent / "golden"
TOLERANCE = 1e-6


class SmokeFailed(TranslateLiveError):
    """The harness does not do what it should."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where to leave what it makes."""
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the runs and the report here")
    parser.add_argument("--write-golden", action="store_true", help="take today's figures as the known ones (look first)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Every check in turn; raises `SmokeFailed` at the first that fails."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        if arguments.write_golden:
            write_golden()
        for name, check in CHECKS.items():
            began = time.perf_counter()
            figures |= check(folder / name)
            print(f"ok  {time.perf_counter() - began:5.1f} s  {name}", flush=True)
    return figures


def scripted_run(path: Path, utterances: list[Utterance], load: float = 1.0) -> RunFolder:
    """A run of scripted models in exact virtual time."""
    settings = {"system": f"scripted:{load:g}", "clock": "virtual", "data": {"name": "tones"}}
    folder = begin(path, {"v": 1, **settings, "digest": digest(settings, utterances)}, utterances, resume=True)
    measure(ScriptSystem(load), utterances, folder, "virtual", exact=True)
    return folder


def check_golden(folder: Path) -> dict[str, float]:
    """The figures of a run that was kept are those that stand beside it, to 1e-6."""
    kept = RunFolder(GOLDEN)
    found = {name: figure.value for name, figure in score(kept.manifest(), kept.rows()).figures.items()}
    known = json.loads((GOLDEN / "figures.json").read_text())
    for name in known.keys() | found.keys():
        old, new = known.get(name), found.get(name)
        if (old is None) != (new is None) or (old is not None and new is not None and abs(old - new) > TOLERANCE):
            raise SmokeFailed(f"{name} is {new}, known is {old}; if that is meant: smoke --write-golden, and say why")
    return {"golden_figures": float(len(known))}


def write_golden() -> None:
    """Take today's figures of the kept run as the known ones."""
    kept = RunFolder(GOLDEN)
    found = {name: figure.value for name, figure in score(kept.manifest(), kept.rows()).figures.items()}
    write_text(GOLDEN / "figures.json", json.dumps(found, indent=1) + "\n")


def check_scripted(folder: Path) -> dict[str, float]:
    """A session of scripted models says and hears everything, at the same moments whenever it is run."""
    utterances = tone_set(folder / "data")
    utterances.append(as_talk(utterances, folder / "talk", 60.0))
    first, second = (scripted_run(folder / name, utterances) for name in ("first", "second"))
    if [row.units for row in first.rows()] != [row.units for row in second.rows()]:
        raise SmokeFailed("two runs in exact virtual time differ")
    scores = score(first.manifest(), first.rows())
    if scores.flags or scores.value("wer") or scores.value("bleu") < 99:
        raise SmokeFailed(
            f"scripted models lose words: WER {scores.value('wer')}, BLEU {scores.value('bleu')}, {scores.flags}"
        )
    return {"scripted_ear_voice_span_p50_s": scores.value("ear_voice_span_p50_s")}


def check_resume(folder: Path) -> dict[str, float]:
    """A run killed in the middle of a row and resumed has the scores of one that was not."""
    utterances = tone_set(folder / "data")
    whole = scripted_run(folder / "whole", utterances)
    shutil.copytree(folder / "whole", folder / "killed")
    killed = RunFolder(folder / "killed")
    rows = killed.rows_file.read_bytes()
    killed.rows_file.write_bytes(rows[: rows.find(b"\n") + 40])
    resumed = scripted_run(folder / "killed", utterances)

    def scores(made: RunFolder) -> str:
        same = [replace(row, peak_memory_mb=0.0, wall_s=0.0) for row in made.rows()]
        return to_json(score(made.manifest(), same))

    if scores(whole) != scores(resumed):
        raise SmokeFailed("a resumed run has other scores than an uninterrupted one")
    return {"resumed_rows": float(len(resumed.rows()))}


def check_overload(folder: Path) -> dict[str, float]:
    """Models that need more than real time are told to, however long the queue."""
    talk = tone_set(folder / "data")[2:3]
    easy, heavy = (scripted_run(folder / f"load{load}", talk, load) for load in (1.0, 15.0))
    easy_s, heavy_s = (score(made.manifest(), made.rows()).value("end_lag_s") for made in (easy, heavy))
    if not heavy_s > easy_s + 2:
        raise SmokeFailed(f"overload is hidden: end lag {easy_s:.2f} s grows to {heavy_s:.2f} s only")
    return {"overload_end_lag_s": heavy_s}


def check_exports(folder: Path) -> dict[str, float]:
    """OmniSTEval reads our export and gives our LAAL and LongYAAL."""
    from omnisteval.io import load_shortform_instances  # noqa: PLC0415

    from benchmarks.metrics.text_latency import scorers  # noqa: PLC0415

    made = scripted_run(folder / "run", tone_set(folder / "data"))
    for form in FORMS:
        export(made, folder / form, form)
    log, references = folder / "simuleval" / "instances.log", folder / "simuleval" / "references.txt"
    instances = load_shortform_instances(str(log), str(references), "delays", "elapsed", char_level=False)
    theirs_s = scorers(long_form=False)["laal"](instances) / 1000
    ours_s = score(made.manifest(), made.rows()).value("laal_cu_s")
    if abs(theirs_s - ours_s) > TOLERANCE:
        raise SmokeFailed(f"LAAL is {ours_s} here and {theirs_s} through the export")
    return {"laal_cu_s": ours_s}


def check_report(folder: Path) -> dict[str, float]:
    """The report stands alone, and a comparison sees a slower run as slower."""
    data = tone_set(folder / "data")
    before, after = scripted_run(folder / "before", data), scripted_run(folder / "after", data, 4.0)
    arguments = argparse.Namespace(paths=[after.path], beside=[before.path], out=None, samples=2)
    pictures = report.run(arguments)["pictures"]
    page = (after.path / "report.html").read_text()
    if "http://" in page or "https://" in page or "<script" in page:
        raise SmokeFailed("the report needs something from elsewhere")
    found = compare.run(argparse.Namespace(before=before.path, after=after.path, gate=None, samples=200, seed=1))
    if not found["ear_voice_span_p50_s_low"] > 0:
        raise SmokeFailed("a slower run does not compare as slower")
    return {"pictures": pictures}


def check_synthetic_set(folder: Path) -> dict[str, float]:
    """eSpeak NG speech in FLEURS's layout loads without a loss, and joins to a talk."""
    if not shutil.which("espeak-ng"):
        print("skipped: espeak-ng is not installed")
        return {}
    dataset = load_fleurs(synthesize(folder, SENTENCES[:3]), "en_us", "es_419")
    if any(issue.dropped for issue in dataset.issues) or len(dataset.utterances) != 4:
        raise SmokeFailed(f"the synthetic set lost utterances: {dataset.issues}")
    talk, samples = join(dataset.utterances, "talk")
    if abs(talk.duration_s - len(samples) / 16_000) > TOLERANCE:
        raise SmokeFailed("the joined talk is not as long as it says")
    return {"synthetic_utterances": float(len(dataset.utterances))}


def check_pace(folder: Path) -> dict[str, float]:
    """Ten minutes of speech that grows stay within the limit of the lag, and are late without control."""
    talk = Talk(expansion=1.35, pause_s=0.2, seed=1, minutes=10)
    controlled, without = summarize(play(talk, PaceOptions())), summarize(play(talk, None))
    if not controlled["lag_p95_s"] <= PaceOptions().max_lag_s < without["lag_p95_s"]:
        raise SmokeFailed(f"p95 lag is {controlled['lag_p95_s']:.1f} s with control, {without['lag_p95_s']:.1f} s without")
    return {"pace_lag_p95_s": controlled["lag_p95_s"]}


CHECKS: dict[str, Callable[[Path], dict[str, float]]] = {
    "golden": check_golden,
    "scripted": check_scripted,
    "resume": check_resume,
    "overload": check_overload,
    "exports": check_exports,
    "report": check_report,
    "synthetic-set": check_synthetic_set,
    "pace": check_pace,
}
