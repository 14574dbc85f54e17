"""Write a run in the formats of SimulEval, simulstream and OmniSTEval, so that their own scorers can judge it.

Computation-aware stamps are the clock's, queue included. simulstream computes its own as audio heard + computation time
and knows no queue, so that time is written as emission - audio heard: then its figures are ours.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.atomic import write_text
from benchmarks.corpora.utterance import Utterance
from benchmarks.runs.folder import RunFolder
from benchmarks.runs.row import Row
from benchmarks.runs.scoring import emission
from pipeline.scripts import SPACELESS

Pair = tuple[Utterance, Row]


def export(folder: RunFolder, out: Path, form: str) -> list[Path]:
    """Write a run in one of `FORMS` into a folder; gives the files."""
    rows = {row.utterance: row for row in folder.rows()}
    pairs = [(utterance, rows[utterance.name]) for utterance in folder.manifest() if utterance.name in rows]
    return FORMS[form](pairs, out)


def to_simuleval(pairs: Sequence[Pair], out: Path) -> list[Path]:
    """``instances.log`` for ``simuleval --score-only`` and ``omnisteval shortform``, with references and a config."""
    instances = [_instance(index, *pair) for index, pair in enumerate(pairs)]
    language = pairs[0][0].target_language if pairs else ""
    config = {
        "source_type": "speech",
        "target_type": "text",
        "eval_latency_unit": "char" if language in SPACELESS else "word",
    }
    return [
        _write(out / "instances.log", _lines(instances)),
        _write(out / "references.txt", "".join(f"{instance['reference']}\n" for instance in instances)),
        _write(out / "config.yaml", yaml.safe_dump(config)),
    ]


def to_omnisteval(pairs: Sequence[Pair], out: Path) -> list[Path]:
    """``hypotheses.jsonl`` with a ``spoken`` stamp per word, ``segments.yaml`` and ``references.txt`` for longform.

    ``omnisteval longform --emission_ca_key spoken`` then gives the latency of what is heard.
    """
    rows = []
    segments = []
    references = []
    for utterance, row in pairs:
        made = emission(utterance, row)
        rows.append({**_instance(0, utterance, row), "source": _wav(utterance), "spoken": list(made.spoken_ms)})
        for sentence in utterance.sentences:
            segments.append({"wav": _wav(utterance), "offset": sentence.offset_s, "duration": sentence.duration_s})
            references.append(" ".join(sentence.reference.split()))
    return [
        _write(out / "hypotheses.jsonl", _lines(rows)),
        _write(out / "segments.yaml", yaml.safe_dump(segments)),
        _write(out / "references.txt", "".join(f"{reference}\n" for reference in references)),
    ]


def to_simulstream(pairs: Sequence[Pair], out: Path) -> list[Path]:
    """``metrics.jsonl`` with one line per unit, and the YAML that its scorers ask for."""
    language = pairs[0][0].target_language if pairs else ""
    config = {"latency_unit": "char" if language in SPACELESS else "word", "detokenizer_type": "simuleval"}
    events = [event for number, pair in enumerate(pairs, 1) for event in _stream(number, *pair)]
    return [
        *to_omnisteval(pairs, out)[1:],
        _write(out / "metrics.jsonl", _lines(events)),
        _write(out / "config.yaml", yaml.safe_dump(config)),
    ]


FORMS: dict[str, Callable[[Sequence[Pair], Path], list[Path]]] = {
    "simuleval": to_simuleval,
    "omnisteval": to_omnisteval,
    "simulstream": to_simulstream,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run, the format and the folder."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("--format", dest="form", choices=sorted(FORMS), required=True, help="whose format")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Export; the figure is the number of files."""
    folder = RunFolder(arguments.run)
    folder.about()
    files = export(folder, arguments.out, arguments.form)
    for file in files:
        print(file)
    return {"files": float(len(files))}


def _instance(index: int, utterance: Utterance, row: Row) -> dict[str, Any]:
    made = emission(utterance, row)
    return {
        "index": index,
        "prediction": made.text,
        "delays": list(made.delays_ms),
        "elapsed": list(made.elapsed_ms),
        "prediction_length": len(made.units),
        "reference": " ".join(utterance.reference.split()),
        "source": [utterance.audio, f"samplerate: {16_000}"],
        "source_length": made.source_ms,
    }


def _stream(number: int, utterance: Utterance, row: Row) -> Iterator[dict[str, Any]]:
    """The lines of one recording: a step per moment at which units were cut, and one for the whole audio at its end."""
    made = emission(utterance, row)
    yield {"id": number, "metadata": {"wav_name": _wav(utterance)}}
    steps: dict[tuple[float, float], list[str]] = {}
    for unit, delay_ms, elapsed_ms in zip(made.units, made.delays_ms, made.elapsed_ms, strict=True):
        steps.setdefault((delay_ms, elapsed_ms), []).append(unit)
    for (delay_ms, elapsed_ms), units in steps.items():
        yield _step(number, delay_ms, elapsed_ms, units)
    if not steps or max(delay for delay, _ in steps) < made.source_ms:
        yield _step(number, made.source_ms, made.source_ms, [])


def _step(number: int, delay_ms: float, elapsed_ms: float, units: Sequence[str]) -> dict[str, Any]:
    return {
        "id": number,
        "total_audio_processed": delay_ms / 1000,
        "computation_time": max(0.0, elapsed_ms - delay_ms) / 1000,
        "generated_tokens": list(units),
        "deleted_tokens": [],
    }


def _wav(utterance: Utterance) -> str:
    return f"{utterance.name}.wav"


def _lines(items: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)


def _write(file: Path, text: str) -> Path:
    write_text(file, text)
    return file
