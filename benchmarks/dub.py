"""A dubbed film, made by a whole session and checked by decoding it: sync, picture, loudness, captions, chapters.

The film is made here: moving bars around recordings with pauses between. Each unit is looked for in the decoded track of
speech, by correlation with the beginning of what the synthesizer said, wherever it lies: that gives its offset from the
first of its source words. Pace allows the source's time where the speech before it, hurried as far as may be from the
film's beginning on, has ended by then; of other units only the lateness is given.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.corpora.audio import CORPUS_HZ
from benchmarks.corpora.folder import load_folder
from benchmarks.corpora.talk import join
from benchmarks.dub_live import broadcast_figures
from benchmarks.dub_units import FOUND, Kept, Said, said_units
from benchmarks.film_made import best_place, described, loudness_lufs, make_film, picture_packets, track
from benchmarks.metrics.statistics import percentile
from pipeline.clock import LoopClock
from pipeline.engine import Engine
from pipeline.events import AudioChunk, Samples
from pipeline.policies.pace import unhurried
from pipeline.profiles.profile import Profile, load_profile, require, what_is_missing
from pipeline.request import SessionRequest
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.film import Film
from pipeline.sources.files import AudioFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to measure, on what."""
    parser.add_argument("folder", type=Path, nargs="?", default=Path("benchmarks/data/speech"), metavar="DIR")
    parser.add_argument("--profile", default="cpu", help="the profile to measure (cpu)")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a setting of the profile")
    parser.add_argument("--from", dest="source", default="en", metavar="XX", help="spoken language (en)")
    parser.add_argument("--to", dest="target", default="pt", metavar="XX", help="target language (pt)")
    parser.add_argument(
        "--slow",
        type=float,
        default=1.0,
        metavar="K",
        help="broadcast K times slower than real time, on a busy machine (1)",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the films here")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Dub into MP4 by a session of its own, into Matroska from the same events, and into live broadcasts."""
    profile = load_profile(arguments.profile, None, arguments.set)
    require(profile.name, what_is_missing(profile))
    utterances = load_folder(arguments.folder, arguments.source, arguments.target).utterances
    with tempfile.TemporaryDirectory() as folder:
        keep = arguments.keep or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        _, samples = join(utterances, "talk")
        film = keep / "talk.mp4"
        make_film(film, samples, CORPUS_HZ)
        figures = asyncio.run(_measure(film, profile, arguments.source, arguments.target))
        pair = arguments.source, arguments.target
        figures |= asyncio.run(broadcast_figures(film, keep, profile, *pair, slow=arguments.slow))
    for name, value in figures.items():
        print(f"{name:<32} {value:10.3f}")
    return figures


async def _measure(film: Path, profile: Profile, source: str, target: str) -> dict[str, float]:
    def dubbed(path: Path) -> Film:
        return Film(film, path, targets=[target], spoken=[target], language=source, pace=profile.pace)

    kept = Kept()
    file = AudioFile(film, realtime=False, clock=LoopClock())
    async with Engine.load(profile) as engine:
        asked = SessionRequest((target,), (source,), spoken=target, pace=unhurried(profile.pace))
        session = await engine.session(asked)
        began = time.perf_counter()
        out = film.with_suffix(f".{target}.mp4")
        outlets = [SinkQueue(dubbed(out)), SinkQueue(kept)]
        await session.run(file, outlets)
        wall_s = time.perf_counter() - began
    if outlets[0].error:
        raise outlets[0].error
    again = film.with_suffix(f".{target}.mkv")
    second = dubbed(again)
    for event in kept.events:
        await second.put(event)
    await second.close()
    length_s = max(event.end for event in kept.events if isinstance(event, AudioChunk))
    said = said_units(kept.events, profile.pace)
    figures = {"film_s": length_s, "wall_s_per_film_s": wall_s / length_s}
    return figures | _figures(film, out, said) | {f"{k}_mkv": v for k, v in _figures(film, again, said).items()}


def _figures(film: Path, out: Path, said: Sequence[Said]) -> dict[str, float]:
    spoken, original = track(out, 0, CORPUS_HZ), track(out, 1, CORPUS_HZ)
    shift_s = _shift_s(track(film, 0, CORPUS_HZ), original)
    places = [one.place_in(spoken) for one in said]
    offsets_ms = [1000 * (at_s - shift_s - one.unit.start) for (at_s, _), one in zip(places, said, strict=True)]
    found = [likeness >= FOUND for _, likeness in places]
    in_time = [
        abs(offset) if ok else math.inf for offset, ok, one in zip(offsets_ms, found, said, strict=True) if one.allowed
    ]
    before, after = picture_packets(film), picture_packets(out)
    about, was = described(out), described(film)
    equal = [(one[0], one[1]) for one in before] == [(one[0], one[1]) for one in after]
    moved_ms = [1000 * abs(one[2] - other[2]) for one, other in zip(before, after, strict=False)]
    return {
        "units_spoken": len(said),
        "units_found": sum(found),
        "units_pace_allows": len(in_time),
        "track_offset_ms_p50": percentile(in_time, 50),
        "track_offset_ms_p95": percentile(in_time, 95),
        "track_offset_ms_p95_of_all": percentile(offsets_ms, 95),
        "other_units_late_ms_max": max(
            (offset for offset, one in zip(offsets_ms, said, strict=True) if not one.allowed), default=0.0
        ),
        "picture_packets_equal": float(equal),
        "picture_moved_ms_max": max(moved_ms),
        "loudness_difference_lu": abs(loudness_lufs(spoken, CORPUS_HZ) - loudness_lufs(original, CORPUS_HZ)),
        "chapters_equal": float(about["chapters"] == was["chapters"]),
        "sound_tracks": len(about["sound"]),
        "caption_tracks": len(about["captions"]),
        "captions_fewest": min(about["texts"], default=0),
        "says_ai_generated": float("AI-generated" in about["comment"]),
    }


def _shift_s(before: Samples, after: Samples) -> float:
    """Seconds by which the container moved all tracks, found in the original sound."""
    loudest = int(np.argmax(np.abs(before)))
    first = max(0, loudest - CORPUS_HZ)
    at_s, _ = best_place(
        after, before[first : first + 2 * CORPUS_HZ], CORPUS_HZ, (first / CORPUS_HZ - 1, first / CORPUS_HZ + 1)
    )
    return at_s - first / CORPUS_HZ
