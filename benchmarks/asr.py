"""Streaming recognition: word errors and commit latency, policies, cost of an update, memory over hours.

``--toy`` needs nothing but this repository. ``--weights NAMES --speech DIR`` also hears recordings of your own.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from benchmarks import asr_cost, asr_redecoding, asr_scripted, asr_toy, asr_weights
from benchmarks.asr_clock import CORES, PEERS
from benchmarks.asr_scoring import summarize
from benchmarks.tone_language import SAMPLE_RATE
from models.asr.whisper.commit import POLICIES
from pipeline.errors import BadInput

PARTS = "--toy, --scripted, --soak HOURS, --quiet MINUTES, --cost SIZES or --weights NAMES"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the parts to measure and their options."""
    parser.add_argument("--toy", action="store_true", help="the toy Whisper end to end: errors and latency against offline")
    parser.add_argument("--streams", type=int, default=24, help="toy streams (default 24)")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of each (default 40)")
    parser.add_argument("--scripted", action="store_true", help="words lost and doubled with scripted acoustics")
    parser.add_argument("--soak", type=float, metavar="HOURS", help="memory and time per update over simulated hours")
    parser.add_argument("--quiet", type=float, metavar="MINUTES", help="silence, noise and tones: words and engine calls")
    parser.add_argument("--cost", metavar="SIZES", help="cost of one update at these sizes, random weights (tiny,small,…)")
    parser.add_argument("--weights", metavar="NAMES", help="trained weights beside the same fed whole (base,tiny.en,…)")
    parser.add_argument(
        "--weights-folder", type=Path, metavar="DIR", help="with --weights: where they lie (TRANSLATE_LIVE_MODELS)"
    )
    parser.add_argument("--speech", type=Path, metavar="DIR", help="with --weights: more recordings with transcripts.tsv")
    parser.add_argument(
        "--words", type=int, default=asr_weights.LEAST_WORDS, help="with --weights: words said (default 600)"
    )
    parser.add_argument(
        "--each", type=int, default=10, help="with --weights: recordings of each speaker in librispeech-other (default 10)"
    )
    parts = ",".join(asr_weights.PARTS)
    parser.add_argument("--parts", default=parts, metavar="NAMES", help=f"with --weights: of {parts} (default all)")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help=f"with --weights, part talks: another recognizer and its Python ({', '.join(PEERS)})",
    )
    parser.add_argument(
        "--cores",
        type=float,
        default=CORES,
        help="with --weights: that share the work; below 2, a slower machine (default 2)",
    )
    parser.add_argument("--jobs", type=int, default=1, help="with --weights: parts measured at a time (default 1)")
    parser.add_argument("--policy", choices=sorted(POLICIES), default="hybrid", help="with --toy: commit policy (hybrid)")
    parser.add_argument("--step", type=float, default=0.5, metavar="S", help="with --toy: between updates (default 0.5)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="with --cost")
    parser.add_argument("--compute-type", default="auto", help="with --cost: int8, float16, … (default auto)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Measure the chosen parts; raises `BadInput` when none is chosen."""
    figures: dict[str, float] = {}
    if arguments.toy:
        figures |= _toy(arguments)
    if arguments.scripted:
        figures |= asr_scripted.measure_errors()
    if arguments.soak:
        figures |= asr_scripted.soak(arguments.soak)
    if arguments.quiet:
        figures |= asr_scripted.quiet(arguments.quiet)
    if arguments.cost:
        figures |= asr_cost.measure(arguments.cost.split(","), arguments.device, arguments.compute_type)
    if arguments.weights:
        figures |= asr_weights.measure(arguments)
    if not figures:
        raise BadInput(f"nothing to measure: choose {PARTS}")
    return figures


def _toy(arguments: argparse.Namespace) -> dict[str, float]:
    streams = [asr_toy.toy_stream(seed, arguments.seconds) for seed in range(arguments.streams)]
    wer_offline = asr_toy.measure_offline(streams)
    scores, windows_s = asr_toy.hear_streams(asr_toy.toy_options(arguments.policy, arguments.step), streams)
    found = summarize(scores)
    again, again_decoded = asr_redecoding.measure_redecoding(streams, arguments.step)
    decoded = sum(windows_s) * SAMPLE_RATE / sum(len(stream.audio) for stream in streams)
    print(f"toy Whisper, {len(streams)} streams of {arguments.seconds:g} s, {arguments.policy}, step {arguments.step:g} s:")
    print(f"  WER offline {wer_offline:.1%}, streaming {found.wer:.1%}; longest window {max(windows_s):.2f} s")
    print(f"  commit latency after the word's end: mean {found.mean_s:.2f} s, p95 {found.p95_s:.2f} s")
    print(f"  whole windows decoded again (local agreement): WER {again.wer:.1%}, mean {again.mean_s:.2f} s, "
          f"p95 {again.p95_s:.2f} s; seconds decoded a second: {again_decoded:.1f}, streaming {decoded:.1f}")  # fmt: skip
    return {
        "wer_offline": wer_offline,
        "wer_streaming": found.wer,
        "wer_above_offline": found.wer - wer_offline,
        "commit_latency_mean_s": found.mean_s,
        "commit_latency_p95_s": found.p95_s,
        "longest_window_s": max(windows_s),
        "decoded_s_per_s": decoded,
        "wer_redecoding": again.wer,
        "redecoding_latency_mean_s": again.mean_s,
        "redecoding_latency_p95_s": again.p95_s,
        "redecoding_decoded_s_per_s": again_decoded,
    }
