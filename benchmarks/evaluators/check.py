"""`make test-evaluators`: SimulEval, simulstream and OmniSTEval, each in an environment of its own, agree with us.

Not part of `make test`: it downloads their packages (simulstream wants torch) into ``build/evaluators``.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import yaml

from benchmarks.corpora.audio import CORPUS_HZ, write_audio
from benchmarks.evaluators.agreement import check_sentences, check_talk
from benchmarks.evaluators.tools import BUILD, ROOT, call, program
from pipeline.errors import ModelError


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
            *(program("simuleval", "simuleval"), "--output", str(out), "--profile", "scripted"),
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
            *(program("simulstream", "simulstream_inference"), "--speech-processor-config", str(config)),
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


def main() -> int:
    """All checks, on fresh runs; 0 when they pass."""
    folder = BUILD / "runs"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for check in (check_sentences, check_talk, check_live):
            check(folder)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print("SimulEval, simulstream and OmniSTEval agree with us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
