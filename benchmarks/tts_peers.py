"""Other implementations of Qwen3-TTS, each run by the Python of its own environment on the same checkpoint and text."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.other_python import Peer, run_script
from benchmarks.tts_measures import Timing
from pipeline.errors import ModelError

PEERS = {"faster-qwen3-tts": Path(__file__).parent / "peers" / "faster_qwen3.py"}
LIMIT_S = 300.0


def measure_peer(peer: Peer, checkpoint: Path, text: Sequence[int], frames: int, rounds: int) -> Timing:
    """Let a peer speak, and give the medians of its rounds; raises `ModelError` with why it cannot.

    ``text`` are ids of the checkpoint's tokenizer below 128, where an id is the letter it stands for.
    """
    task = {"checkpoint": str(checkpoint), "text": "".join(map(chr, text)), "frames": frames, "rounds": rounds}
    found = run_script(peer.python, peer.script, json.dumps(task), LIMIT_S)
    try:
        first, per_frame = (_median(found[name]) for name in ("first_audio_s", "per_frame_s"))
        return Timing(first, per_frame, [list(map(int, frame)) for frame in found["codes"]])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"its figures cannot be read ({error!r}): {str(found)[:200]}") from error


def peer_figures(peer: Peer, ours: Timing, theirs: Timing, geometry: str) -> dict[str, float]:
    """Its times, how many times faster ours are, and how many frames from the first one on have the same codes."""
    same = [a == b for a, b in zip(ours.codes, theirs.codes, strict=False)]
    short = peer.name.partition("-")[0]
    return {
        f"{peer.figure}_first_audio_ms_{geometry}": theirs.first_audio_s * 1e3,
        f"{peer.figure}_ms_per_frame_{geometry}": theirs.per_frame_s * 1e3,
        f"{peer.figure}_equal_frames_{geometry}": float([*same, False].index(False)),
        f"speedup_first_audio_vs_{short}_{geometry}": theirs.first_audio_s / ours.first_audio_s,
        f"speedup_per_frame_vs_{short}_{geometry}": theirs.per_frame_s / ours.per_frame_s,
    }


def _median(values: Any) -> float:  # noqa: ANN401 - read from JSON
    return statistics.median(map(float, values))
