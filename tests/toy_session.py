"""The program on toy models: a talk in the tone language, and the settings that put the toys into a profile.

The models are trained on a synthetic language (see benchmarks/toy_language.py), so the words can be checked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import soundfile
import yaml

from benchmarks.asr_toy import MODEL, toy_options, toy_stream
from benchmarks.mt_toy import LONGEST
from benchmarks.tone_language import SAMPLE_RATE

TOY_MT = Path(__file__).parent / "toy_mt"


def write_talk(folder: Path, seed: int, seconds: float) -> tuple[Path, list[str]]:
    """A recording in the tone language, and its words."""
    stream = toy_stream(seed, seconds)
    path = folder / "talk.wav"
    soundfile.write(path, stream.audio, SAMPLE_RATE)
    return path, [word.text.strip() for word in stream.words]


def toy_settings() -> dict[str, object]:
    """Toy Whisper, and the toy translation model with sentences no longer than it ever saw."""
    options = toy_options()
    return {
        "recognizer": {
            "use": "models.asr.whisper:FasterWhisper",
            "model": str(MODEL),
            "device": "cpu",
            "compute_type": "float32",
            "threads": 1,
            "voice": "loudness",
            "stream": {name: getattr(options, name) for name in ("step_s", "window_s", "keep_s", "stall_s")},
        },
        "translator": {
            "use": "models.mt.causal_lm:CausalLM",
            "model": str(TOY_MT),
            "languages": ["en>es"],
            "device": "cpu",
        },
        "units": {"agreement": {"max_sentence_words": LONGEST, "context_sentences": 0}},
    }


def translate(
    talk: Path, folder: Path, profile: str, settings: Mapping[str, object], *more: str, **environment: str
) -> list[dict]:
    """Run the program on ``talk``; its event log. Sound and captions are in ``folder`` as ``out.wav`` and ``out.vtt``."""
    config, events = folder / "toy.yaml", folder / "events.jsonl"
    config.write_text(yaml.safe_dump(dict(settings)))
    command = [sys.executable, "-m", "pipeline", str(talk), "--from", "en", "--to", "es", "--fast", "--profile", profile]
    outputs = ["--out", str(folder / "out.wav"), "--captions", str(folder / "out.vtt"), "--events", str(events)]
    done = subprocess.run(
        [*command, "--config", str(config), *outputs, *more],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        # the models are tiny: threads would only wait for each other
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in events.read_text().splitlines()]
