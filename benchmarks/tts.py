"""Speech synthesis: Qwen3-TTS against the official package, other peers and the memory's bandwidth, on random weights.

All speak the same text greedily from the same checkpoint and may not end before the last frame; on a CPU the official
package's codes must be equal. Random weights are taken to cost the time of trained ones. "Per frame" is the whole way from
text to samples, divided by frames. With ``--weights kokoro``: Kokoro, Piper and eSpeak with trained weights instead.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks import omnivoice_checkpoint, tts_omnivoice, tts_voxcpm, tts_weights, voxcpm_checkpoint
from benchmarks.other_python import parse_peer
from benchmarks.tts_checkpoint import GEOMETRIES, write_checkpoint
from benchmarks.tts_measures import (
    PEERS,
    Timing,
    measure_memory,
    measure_official,
    measure_peer,
    measure_streams,
    measure_utterance,
    open_pair,
    peer_figures,
)
from benchmarks.tts_roofline import bandwidth, weights
from models.cuda import choose_device
from models.tts.pocket.backend import INSTALL
from models.tts.qwen3.engine import Engine
from models.tts.qwen3.loading import load_engine
from pipeline.errors import BadInput, ModelError

_TINY = ("tiny", "tiny-equal")
_STREAMS = (1, 2, 4, 8, 16, 32, 64)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m benchmarks tts``."""
    parser.add_argument(
        "--engine", choices=("qwen3", "omnivoice", "voxcpm", "pocket"), default="qwen3", help="which speech model"
    )
    geometries = sorted({*GEOMETRIES, *omnivoice_checkpoint.GEOMETRIES, *voxcpm_checkpoint.GEOMETRIES, "real"})
    parser.add_argument(
        "--geometry", action="append", choices=geometries, help="size of the model; real: of pocket; may be repeated"
    )
    parser.add_argument("--steps", type=int, help="of omnivoice: steps of a unit (16); of voxcpm: of a patch (10)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--frames", type=int, default=50, help="frames per utterance (80 ms each)")
    parser.add_argument("--rounds", type=int, default=3, help="utterances of each system, taking turns; the median counts")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--units", type=int, default=1000, help="units of one session over which memory must stay flat")
    parser.add_argument(
        "--streams", type=int, action="append", help="utterances at once, may be repeated; 0: skip this part"
    )
    parser.add_argument("--graphs", action="store_true", help="ours as CUDA graphs, recorded beforehand; on a GPU only")
    parser.add_argument("--weights", metavar="kokoro", help="trained voices instead: recognized again, and their cost")
    parser.add_argument(
        "--weights-folder", type=Path, metavar="DIR", help="with --weights: where they lie (TRANSLATE_LIVE_MODELS)"
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help=f"a peer and its Python: {', '.join(PEERS)}; of omnivoice and voxcpm: their own names",
    )


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Measure, print a table, give the figures."""
    if arguments.weights:
        return tts_weights.measure(arguments.weights, arguments.weights_folder, arguments.save)
    if arguments.frames < 2 or arguments.rounds < 1:
        raise BadInput("--frames must be at least 2 and --rounds at least 1")
    if arguments.engine == "omnivoice":
        return tts_omnivoice.measure(arguments)
    if arguments.engine == "voxcpm":
        return tts_voxcpm.measure(arguments)
    if arguments.engine == "pocket":
        if find_spec("pocket_tts") is None:
            raise ModelError("the package pocket-tts is not installed", hint=INSTALL)
        from benchmarks import tts_pocket  # noqa: PLC0415 - needs the package

        return tts_pocket.measure(arguments)
    for peer in arguments.peer:
        parse_peer(peer, PEERS)  # a mistake must not be found after everything else was measured
    torch.set_num_threads(arguments.threads)
    on_gpu = choose_device(arguments.device).type == "cuda"
    device = "cuda" if on_gpu else "cpu"
    geometries = arguments.geometry or (["tiny", "0.6b", "1.7b"] if on_gpu else ["tiny", "0.6b"])
    if unknown := sorted({*geometries} - {*GEOMETRIES}):
        raise BadInput(f"geometry {unknown[0]!r}: of this engine there are {', '.join(GEOMETRIES)}")
    streams = arguments.streams or (_STREAMS if on_gpu else (1,))
    figures = {"bandwidth_gb_s": bandwidth(device) / 1e9}
    print(f"{'memory':>10} on {device}   {figures['bandwidth_gb_s']:9.1f} GB/s")
    for geometry in geometries:
        with tempfile.TemporaryDirectory() as folder:
            # Published checkpoints are bfloat16; on a CPU both systems compute with the same numbers in float32.
            checkpoint = write_checkpoint(Path(folder), geometry=geometry, dtype=torch.bfloat16)
            compared, text, mine = _compare(checkpoint, geometry, device, figures["bandwidth_gb_s"], arguments)
            figures |= compared
            arguments.save(figures)
            if any(streams):
                figures |= _serve(checkpoint, geometry, device, streams, arguments)
                arguments.save(figures)
            figures |= _ask_peers(checkpoint, text, mine, geometry, arguments)  # last: one that hangs takes nothing along
            arguments.save(figures)
            if geometry in _TINY and arguments.units:
                figures[f"memory_growth_mb_{geometry}"] = measure_memory(checkpoint, device, arguments.units)
                print(f"{geometry}: {figures[f'memory_growth_mb_{geometry}']:+.2f} MB over {arguments.units} units")
    return figures


def _compare(
    checkpoint: Path, geometry: str, device: str, gb_s: float, arguments: argparse.Namespace
) -> tuple[dict[str, float], list[int], Timing]:
    """One utterance at a time, ours and the official package's in turn, and the roofline; what was said, and our times."""
    pair = open_pair(checkpoint, device, arguments.frames, arguments.graphs)
    ours, theirs = [], []
    for _ in range(arguments.rounds + 1):  # the first of each warms up
        ours.append(measure_utterance(pair.engine, pair.text, pair.role))
        if pair.official is not None:
            theirs.append(measure_official(pair))
    mine = _median(ours[1:])
    print(f"{geometry:>10} on {device}   first audio      per frame ({len(mine.codes)} frames)")
    _print_timing("this", mine)
    figures = {
        f"own_ms_per_frame_{geometry}": mine.per_frame_s * 1e3,
        f"own_first_audio_ms_{geometry}": mine.first_audio_s * 1e3,
        f"spread_per_frame_{geometry}": _spread(ours[1:]),
    }
    if theirs:
        if device == "cpu" and ours[0].codes != theirs[0].codes:
            raise BadInput(f"{geometry}: the codes are not those of the official package; the figures would mean nothing")
        figures |= _beside_official(mine, theirs[1:], geometry)
    return figures | _roofline(pair.engine, mine, geometry, gb_s), pair.text, mine


def _beside_official(mine: Timing, theirs: list[Timing], geometry: str) -> dict[str, float]:
    """The official package's times, how many times faster ours are, and how many frames have the same codes."""
    other = _median(theirs)
    _print_timing("official", other)
    same = next(
        (index for index, (a, b) in enumerate(zip(mine.codes, other.codes, strict=True)) if a != b), len(mine.codes)
    )
    return {
        f"speedup_first_audio_{geometry}": other.first_audio_s / mine.first_audio_s,
        f"speedup_per_frame_{geometry}": other.per_frame_s / mine.per_frame_s,
        f"official_ms_per_frame_{geometry}": other.per_frame_s * 1e3,
        f"official_first_audio_ms_{geometry}": other.first_audio_s * 1e3,
        f"official_spread_per_frame_{geometry}": _spread(theirs),
        f"equal_frames_{geometry}": float(same),
    }


def _print_timing(name: str, timing: Timing) -> None:
    print(f"{name:>10}        {timing.first_audio_s * 1e3:9.1f} ms   {timing.per_frame_s * 1e3:9.2f} ms")


def _roofline(engine: Engine, mine: Timing, geometry: str, gb_s: float) -> dict[str, float]:
    """Compare one stream with the time that reading its weights takes."""
    try:
        read = weights(engine)
    except ModelError as error:
        print(f"the roofline was not reckoned: {error}")
        return {}
    megabytes = read.per_frame(len(mine.codes)) / 1e6
    least_ms = megabytes / gb_s
    share = least_ms / (mine.per_frame_s * 1e3)
    print(f"{'roofline':>10}        {megabytes:9.1f} MB a frame      {least_ms:9.2f} ms   {share:.1%} reached "
          f"(talker {read.talker / 1e6:.1f}, predictor {read.predictor / 1e6:.1f}, a codec call {read.codec / 1e6:.1f} MB)"
    )  # fmt: skip
    return {
        f"weights_mb_per_frame_{geometry}": megabytes,
        f"roofline_ms_per_frame_{geometry}": least_ms,
        f"roofline_share_{geometry}": share,
    }


def _ask_peers(
    checkpoint: Path, text: list[int], mine: Timing, geometry: str, arguments: argparse.Namespace
) -> dict[str, float]:
    """Each peer's figures; one that cannot speak here is named with its reason, and the other figures stand."""
    figures: dict[str, float] = {}
    for peer in (parse_peer(text, PEERS) for text in arguments.peer):
        try:
            theirs = measure_peer(peer, checkpoint, text, arguments.frames, arguments.rounds)
        except ModelError as error:
            print(f"{peer.name} was not measured: {error}")
            continue
        print(f"{peer.name:>16}  {theirs.first_audio_s * 1e3:9.1f} ms   {theirs.per_frame_s * 1e3:9.2f} ms")
        figures |= peer_figures(peer, mine, theirs, geometry)
    return figures


def _serve(
    checkpoint: Path, geometry: str, device: str, streams: tuple[int, ...], arguments: argparse.Namespace
) -> dict[str, float]:
    """Several utterances at once."""
    engine, text, _ = load_engine(checkpoint, device, "auto", max(streams), greedy=False, graphs=arguments.graphs)
    figures: dict[str, float] = {}
    for count in streams:
        served = measure_streams(engine, text.role, count, arguments.frames, arguments.rounds)
        figures |= {
            f"ms_per_frame_{geometry}_s{count}": served.per_frame_s * 1e3,
            f"ttfa_p50_ms_{geometry}_s{count}": served.first_audio_p50_s * 1e3,
            f"ttfa_p95_ms_{geometry}_s{count}": served.first_audio_p95_s * 1e3,
        }
        print(f"{geometry:>10}, {count} at once: {served.per_frame_s * 1e3:.1f} ms per frame of all, first audio "
              f"p50 {served.first_audio_p50_s * 1e3:.1f} ms, p95 {served.first_audio_p95_s * 1e3:.1f} ms")  # fmt: skip
    return figures


def _median(timings: list[Timing]) -> Timing:
    """The median of each over the rounds."""
    first = statistics.median(timing.first_audio_s for timing in timings)
    return Timing(first, statistics.median(timing.per_frame_s for timing in timings), timings[0].codes)


def _spread(timings: list[Timing]) -> float:
    """From the fastest to the slowest round, as a share of the median time per frame."""
    times = [timing.per_frame_s for timing in timings]
    return (max(times) - min(times)) / statistics.median(times)
