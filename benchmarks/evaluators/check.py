"""`make test-evaluators`: SimulEval and simulstream, each in an environment of its own, agree with us about our runs.

Not part of `make test`: it downloads their packages (simulstream wants torch) into ``build/evaluators``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from benchmarks.corpora.audio import CORPUS_HZ, write_audio
from benchmarks.corpora.tones import tone_set
from benchmarks.corpora.utterance import Utterance
from benchmarks.exporters import FORMS, export
from benchmarks.runs.folder import RunFolder, begin, digest
from benchmarks.runs.runner import measure
from benchmarks.runs.scoring import score
from benchmarks.systems.script import ScriptSystem
from pipeline.errors import ModelError

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "evaluators"
PACKAGES = {
    "simuleval": ["simuleval==1.1.4", "setuptools<81"],
    "simulstream": ["simulstream==1.0.0", "omnisteval>=0.1.10"],
}
OURS = ["numpy>=2", "soxr", "soundfile", "PyYAML", "msgspec", "python-stretch", "psutil"]
TOLERANCE_S = 1e-6


def environment(name: str) -> Path:
    """The environment's Python, made and filled on first use."""
    folder = BUILD / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        call([str(python), "-m", "pip", "install", "-q", *PACKAGES[name]])
        call([str(python), "-m", "pip", "install", "-q", *OURS])
        (folder / "ready").touch()
    return python


def call(command: Sequence[str], folder: Path = ROOT) -> str:
    """Run a program with our packages importable; raises `ModelError` with what it said."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=_paths(command[0]))
    if done.returncode:
        raise ModelError(f"{' '.join(map(str, command[:4]))} … failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def our_run(folder: Path) -> tuple[RunFolder, Sequence[Utterance]]:
    """Scripted models over the tone set, computation-unaware."""
    utterances = tone_set(folder / "data")
    settings = {"system": "scripted", "clock": "cu", "data": {"name": "tones"}}
    made = begin(folder / "run", {"v": 1, **settings, "digest": digest(settings, utterances)}, utterances, resume=True)
    measure(ScriptSystem(), utterances, made, "cu")
    return made, utterances


def check_exports(folder: Path) -> None:
    """LAAL of our export is the same here, in SimulEval and through simulstream's log in OmniSTEval."""
    made, utterances = our_run(folder)
    ours_s = score(utterances, made.rows()).value("laal_cu_s")
    for form in FORMS:
        export(made, folder / form, form)
    simuleval = environment("simuleval")
    said = call(
        [
            str(simuleval.parent / "simuleval"),
            "--score-only",
            "--output",
            str(folder / "simuleval"),
            "--latency-metrics",
            "LAAL",
        ]
    )
    theirs = {"simuleval": last_number(said, "LAAL") / 1000}
    stream = folder / "simulstream"
    said = call(
        [
            *(str(environment("simulstream").parent / "omnisteval"), "longform", "--word_level", "--no_quality"),
            *("--hypothesis_format", "simulstream", "--hypothesis_file", str(stream / "metrics.jsonl")),
            *("--simulstream_config_file", str(stream / "config.yaml")),
            *("--speech_segmentation", str(stream / "segments.yaml")),
            *("--ref_sentences_file", str(stream / "references.txt")),
        ]
    )
    theirs["simulstream log"] = last_number(said, "LongLAAL (CU)") / 1000
    for name, found_s in theirs.items():
        print(f"LAAL (CU): ours {ours_s:.6f} s, {name} {found_s:.6f} s")
        if abs(found_s - ours_s) > TOLERANCE_S:
            raise ModelError(f"{name} gives LAAL {found_s} s for our run, we {ours_s} s")


def check_live(folder: Path) -> None:
    """Our pipeline runs inside both: every recording is translated whole, at the same points of the audio."""
    waves = [folder / f"live-{seconds:g}.wav" for seconds in (7.3, 5.0)]
    for wave, seconds in zip(waves, (7.3, 5.0), strict=True):
        write_audio(wave, np.full(round(seconds * CORPUS_HZ), 0.01, np.float32), CORPUS_HZ)
    (folder / "waves.txt").write_text("".join(f"{wave}\n" for wave in waves))
    (folder / "references.txt").write_text("w0 w1 w2\nw0 w1\n")
    theirs = {"simuleval": _through_simuleval(folder), "simulstream": _through_simulstream(folder)}
    print(json.dumps(theirs, indent=1))
    if theirs["simuleval"] != theirs["simulstream"]:
        raise ModelError(f"the evaluators disagree about when our words came: {theirs}")


def _through_simuleval(folder: Path) -> list[list[float]]:
    """The delays in ms of each recording's words."""
    out = folder / "simuleval-live"
    call(
        [
            *(str(environment("simuleval").parent / "simuleval"), "--output", str(out), "--profile", "scripted"),
            *("--agent", str(ROOT / "benchmarks/evaluators/simuleval_agent.py"), "--source-segment-size", "500"),
            *("--source", str(folder / "waves.txt"), "--target", str(folder / "references.txt")),
            *("--quality-metrics", "BLEU", "--latency-metrics", "LAAL"),
        ]
    )
    lines = (out / "instances.log").read_text().splitlines()
    return [[round(delay, 3) for delay in json.loads(line)["delays"]] for line in lines]


def _through_simulstream(folder: Path) -> list[list[float]]:
    settings = {
        "type": "benchmarks.evaluators.simulstream_processor.TranslateLiveProcessor",
        "profile": "scripted",
        "speech_chunk_size": 0.5,
        "latency_unit": "word",
        "detokenizer_type": "simuleval",
    }
    config, log = folder / "processor.yaml", folder / "live.jsonl"
    config.write_text(yaml.safe_dump(settings))
    log.unlink(missing_ok=True)
    call(
        [
            *(str(environment("simulstream").parent / "simulstream_inference"), "--speech-processor-config", str(config)),
            *("--wav-list-file", str(folder / "waves.txt"), "--src-lang", "en", "--tgt-lang", "es"),
            *("--metrics-log-file", str(log)),
        ]
    )
    delays: dict[int, list[float]] = {}
    for line in log.read_text().splitlines():
        step = json.loads(line)
        if "generated_tokens" in step:
            heard_ms = round(1000 * step["total_audio_processed"], 3)
            delays.setdefault(step["id"], []).extend([heard_ms] * len(step["generated_tokens"]))
    return list(delays.values())


def last_number(text: str, name: str) -> float:
    """The number in or under the column or row ``name`` of a tool's table."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        words = line.split()
        if name in line and line.split(name)[-1].strip():
            return float(line.split(name)[-1].split()[0])
        if name in words and index + 1 < len(lines):
            return float(lines[index + 1].split()[words.index(name) - len(words)])
    raise ModelError(f"no {name} in:\n{text[-1500:]}")


def _paths(program: str) -> dict[str, str]:
    return {"PATH": f"{Path(program).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(Path.home())}


def main() -> int:
    """Both checks; 0 when they pass."""
    folder = BUILD / "runs"
    try:
        check_exports(folder)
        check_live(folder)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print("SimulEval, simulstream and OmniSTEval agree with us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
