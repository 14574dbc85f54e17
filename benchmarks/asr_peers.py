"""Other streaming recognizers on the clock of ours: the same weights, audio, blocks and steps; processor time counts alike.

Each is run by the Python of its own environment. As with ours, the detector of speech costs nothing on the clock.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.asr_clock import BLOCK_S, CORES, Heard
from benchmarks.asr_material import Recording
from benchmarks.other_python import Peer, run_script
from models.asr.vad import cleaned
from models.asr.whisper.log_mel import SAMPLE_RATE
from pipeline.errors import ModelError
from pipeline.events import Word

PEERS = {"whisperlivekit": Path(__file__).parent / "peers" / "whisper_live_kit.py"}
LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Weights and clock that a peer shares with ours."""

    model: str
    step_s: float
    language: str = "en"
    threads: int = 1
    block_s: float = BLOCK_S
    cores: int = CORES


def hear(peer: Peer, settings: Settings, recording: Recording) -> Heard:
    """Let a peer hear a recording; raises `ModelError` with why it cannot."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "recording.npy")
        np.save(file, cleaned(recording.samples))
        task = asdict(settings) | {"recording": str(file)}
        found = run_script(peer.python, peer.script, json.dumps(task), LIMIT_S)
    try:
        return Heard(
            len(recording.samples) / SAMPLE_RATE,
            [(Word(str(text), start, end, 1.0), float(at)) for text, start, end, at in found["words"]],
            updates=int(found["updates"]),
            cpu_s=float(found["cpu_s"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"its words cannot be read ({error!r}): {str(found)[:200]}") from error
