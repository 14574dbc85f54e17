"""Shared device: how many sessions' translation and speech one device keeps up with, without a gap and within 100 ms.

Each session gets a unit of 20 tokens every 3 s. It is translated (beam search, in batches with the others') and spoken by
the engine, 36 frames that continue the session's own speech; loudspeakers play by the clock. So many sessions go well if no
unit's speech runs dry, all of it comes, and its first samples come within 100 ms of its committed text (p95). Weights are
random: they cost the time of trained ones, and know no silence, so that the first samples count as audible.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Generator, Mapping

from benchmarks.load_models import open_speech, open_translation, open_voices
from benchmarks.load_scripted import measure_sessions
from benchmarks.load_sessions import Trial, run_trial
from benchmarks.mt_speed import GEOMETRIES as TRANSLATORS
from benchmarks.tts_checkpoint import GEOMETRIES as SYNTHESIZERS
from models.cuda import choose_device
from pipeline.errors import BadInput

NONE = "none"
_FINEST_SHARE = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``python -m benchmarks load``."""
    parser.add_argument("--tts-geometry", default="1.7b", choices=sorted(SYNTHESIZERS), help="size of the speech model")
    parser.add_argument(
        "--mt-geometry", default="1.8b", choices=[*TRANSLATORS, NONE], help="size of the translator; none: speech only"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each model (1)")
    parser.add_argument("--least", type=int, default=1, help="sessions to begin with (1)")
    parser.add_argument("--most", type=int, default=256, help="most sessions to try; memory is taken for so many (256)")
    parser.add_argument("--graphs", action="store_true", help="both as CUDA graphs, recorded beforehand; on a GPU only")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long each number of sessions is watched (12)")
    parser.add_argument("--scripted", action="store_true", help="sessions of scripted models in one loop, without a device")
    parser.add_argument("--sessions", type=int, default=20, help="how many scripted sessions at once (20)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Measure, print a line for each number of sessions, give the figures."""
    if not 1 <= arguments.least <= arguments.most or arguments.seconds <= 0:
        raise BadInput("--least must be 1 to --most, and --seconds above 0")
    if arguments.scripted:
        return measure_sessions(arguments.sessions, arguments.seconds)
    try:
        return asyncio.run(_run(arguments))
    except BaseExceptionGroup as group:  # a border: what failed first, and not as a group
        raise _first(group) from group


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def _run(arguments: argparse.Namespace) -> Mapping[str, float]:
    device = str(choose_device(arguments.device))
    speech, translation = arguments.tts_geometry, arguments.mt_geometry
    figures: dict[str, float] = {}
    async with (
        open_speech(speech, device, arguments.threads, arguments.most, arguments.graphs) as (loop, text),
        open_translation(translation, device, arguments.threads, arguments.graphs) as translate,
    ):
        asking = trials(arguments.least, arguments.most)
        count = next(asking)
        while True:
            async with open_voices(loop, text, count) as voices:
                trial = await run_trial(voices, translate, arguments.seconds)
            figures |= figures_of(trial)
            arguments.save(figures)
            print(told(trial), flush=True)
            try:
                count = asking.send(trial.good)
            except StopIteration as found:
                figures[name_of(speech, translation)] = float(found.value)
                print(f"{found.value} sessions without a gap, speech {speech}, translation {translation}, on {device}")
                return figures


def trials(least: int, most: int) -> Generator[int, bool, int]:
    """Search the largest number that goes well: yields how many to try, is sent whether that went well; 0: none did.

    Exact up to 31; above, within a sixteenth: a finer answer is noise, and every trial takes its time.
    """
    good, bad, count = 0, most + 1, least
    while bad > most and good < most:
        if (yield count):
            good, count = count, min(2 * count, most)
        else:
            bad = count
    while bad <= most and bad - good > max(1, good // _FINEST_SHARE):
        middle = (good + bad) // 2
        if (yield middle):
            good = middle
        else:
            bad = middle
    return good


def name_of(speech: str, translation: str) -> str:
    """The figure that was looked for: streams of speech alone, or sessions of both."""
    return f"streams_{speech}" if translation == NONE else f"sessions_{speech}_{translation}"


def figures_of(trial: Trial) -> dict[str, float]:
    """Name the figures of one number of sessions."""
    return {
        f"ttfa_p50_ms_at_{trial.sessions}": trial.first_audio_s(50) * 1e3,
        f"ttfa_p95_ms_at_{trial.sessions}": trial.first_audio_s(95) * 1e3,
        f"underruns_at_{trial.sessions}": float(trial.underruns),
        f"unfinished_at_{trial.sessions}": float(trial.unfinished),
        f"translation_p95_ms_at_{trial.sessions}": trial.translation_s(95) * 1e3,
    }


def told(trial: Trial) -> str:
    """A line for people."""
    return (
        f"{trial.sessions:>5} sessions: first audio p95 {trial.first_audio_s(95) * 1e3:7.1f} ms, "
        f"{trial.underruns} underruns, {trial.unfinished} units not done, "
        f"translation p95 {trial.translation_s(95) * 1e3:7.1f} ms   {'good' if trial.good else 'too many'}"
    )
