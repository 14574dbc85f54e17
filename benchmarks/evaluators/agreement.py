"""Our figures of a run and those of the field's tools on its export are the same numbers, to 1e-6 s."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.corpora.tones import tone_set
from benchmarks.corpora.utterance import Utterance
from benchmarks.evaluators.tools import call, last_number, program
from benchmarks.export import FORMS, export
from benchmarks.run import as_talk
from benchmarks.runs.folder import RunFolder, begin, digest
from benchmarks.runs.row import Clock
from benchmarks.runs.runner import measure
from benchmarks.runs.scoring import score
from benchmarks.systems.script import ScriptSystem
from pipeline.errors import ModelError

TOLERANCE_S = 1e-6
LOAD = 4.0  # of the scripted models, so that words wait: computation-aware figures differ from unaware ones


def check_sentences(folder: Path) -> None:
    """LAAL of recordings of one sentence each, computation-unaware: ours, and by each tool from its own export."""
    made = scripted_run(folder / "sentences", tone_set(folder / "data"), "cu")
    ours_s = score(made.manifest(), made.rows()).value("laal_cu_s")
    exported = exports(made, folder / "sentences")
    simuleval = call(
        [
            *(program("simuleval", "simuleval"), "--score-only", "--output", str(exported["simuleval"])),
            *("--latency-metrics", "LAAL"),
        ]
    )
    theirs = {
        "simuleval": last_number(simuleval, "LAAL") / 1000,
        "omnisteval": last_number(omnisteval(exported["omnisteval"], "jsonl"), "LongLAAL (CU)") / 1000,
        "omnisteval on the simulstream log": last_number(
            omnisteval(exported["simulstream"], "simulstream"), "LongLAAL (CU)"
        )
        / 1000,
        "simulstream": stream_laal_s(exported["simulstream"])[0],
    }
    compare("LAAL (CU)", ours_s, theirs)


def check_talk(folder: Path) -> None:
    """A talk of many sentences under load: StreamLAAL and LongYAAL, unaware and aware of computation; nothing erased."""
    talk = as_talk(tone_set(folder / "data"), folder / "talk", 60.0)
    made = scripted_run(folder / "talk", [talk], "virtual")
    ours = score(made.manifest(), made.rows())
    exported = exports(made, folder / "talk")
    unaware_s, aware_s = stream_laal_s(exported["simulstream"])
    compare("StreamLAAL (CU)", ours.value("streamlaal_cu_s"), {"simulstream": unaware_s})
    compare("StreamLAAL (CA)", ours.value("streamlaal_ca_s"), {"simulstream": aware_s})
    said = {
        "omnisteval": omnisteval(exported["omnisteval"], "jsonl"),
        "omnisteval on the simulstream log": omnisteval(exported["simulstream"], "simulstream"),
    }
    for clock in ("CU", "CA"):
        theirs = {name: last_number(text, f"LongYAAL ({clock})") / 1000 for name, text in said.items()}
        compare(f"LongYAAL ({clock})", ours.value(f"longyaal_{clock.lower()}_s"), theirs)
    compare("normalized erasure", 0.0, {"simulstream": erasure(exported["simulstream"])})


def compare(figure: str, ours: float, theirs: Mapping[str, float]) -> None:
    """Print; raises `ModelError` when a tool has another number."""
    for name, found in theirs.items():
        print(f"{figure}: ours {ours:.6f}, {name} {found:.6f}")
        if abs(found - ours) > TOLERANCE_S:
            raise ModelError(f"{name} gives {figure} {found} for our run, we {ours}")


def scripted_run(folder: Path, utterances: Sequence[Utterance], clock: Clock) -> RunFolder:
    """Scripted models in exact time."""
    settings = {"system": f"scripted:{LOAD:g}", "clock": clock, "data": {"name": "tones"}}
    about = {"v": 1, **settings, "digest": digest(settings, utterances)}
    made = begin(folder / "run", about, utterances, resume=True)
    measure(ScriptSystem(LOAD), utterances, made, clock, exact=clock == "virtual")
    return made


def exports(made: RunFolder, folder: Path) -> dict[str, Path]:
    """The run in every format, by the tool it is for."""
    for form in FORMS:
        export(made, folder / form, form)
    return {form: folder / form for form in FORMS}


def omnisteval(export_folder: Path, form: str) -> str:
    """Score an export with OmniSTEval."""
    hypotheses = export_folder / ("metrics.jsonl" if form == "simulstream" else "hypotheses.jsonl")
    config = ["--simulstream_config_file", str(export_folder / "config.yaml")] if form == "simulstream" else []
    return call(
        [
            *(program("simulstream", "omnisteval"), "longform", "--word_level", "--no_quality"),
            *("--hypothesis_format", form, "--hypothesis_file", str(hypotheses), *config),
            *("--speech_segmentation", str(export_folder / "segments.yaml")),
            *("--ref_sentences_file", str(export_folder / "references.txt")),
        ]
    )


def stream_laal_s(export_folder: Path) -> tuple[float, float]:
    """simulstream's own StreamLAAL 2.0 of its log, cut by mWER: computation-unaware and -aware."""
    said = call(
        [
            *(program("simulstream", "simulstream_score_latency"), "--scorer", "stream_laal"),
            *("--eval-config", str(export_folder / "config.yaml"), "--log-file", str(export_folder / "metrics.jsonl")),
            *("--audio-definition", str(export_folder / "segments.yaml")),
            *("--reference", str(export_folder / "references.txt")),
        ]
    )
    found = re.search(r"ideal_latency=([\d.e-]+), computational_aware_latency=([\d.e-]+)", said)
    if found is None:
        raise ModelError(f"no latency in what simulstream_score_latency says:\n{said[-1500:]}")
    return float(found[1]), float(found[2])


def erasure(export_folder: Path) -> float:
    """simulstream's normalized erasure of its log. Its real-time factor is not compared: it knows no queue, so the
    computation times of our log are waiting times as well.
    """
    said = call(
        [
            *(program("simulstream", "simulstream_stats"), "--eval-config", str(export_folder / "config.yaml")),
            *("--log-file", str(export_folder / "metrics.jsonl")),
        ]
    )
    found = re.search(r'"normalized_erasure".*?"value": ([\d.e-]+)', said, re.DOTALL)
    if found is None:
        raise ModelError(f"no normalized erasure in what simulstream_stats says:\n{said[-1500:]}")
    return float(found[1])
