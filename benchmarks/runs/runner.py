"""Runs a system over a manifest: one row per utterance, failures included, and nothing measured twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.clocks.virtual import run_on
from benchmarks.corpora.audio import read_audio, speech_bounds_s, write_audio
from benchmarks.corpora.utterance import Utterance
from benchmarks.runs.folder import RunFolder
from benchmarks.runs.row import Clock, Row, physics
from benchmarks.systems.in_process import SourceAudio, failed, named
from benchmarks.systems.system import System
from pipeline.errors import BadInput, DeviceError, ModelError, TranslateLiveError

FAILURES_IN_A_ROW = 5


class Impossible(TranslateLiveError):
    """A measurement that breaks physics; nothing of it can be believed."""


def measure(system: System, utterances: Sequence[Utterance], folder: RunFolder, clock: Clock, exact: bool = False) -> None:
    """Measure every utterance that has no row yet, each written as soon as it is known.

    Raises `Impossible` for a row that breaks physics, and the last error after five failures in a row. ``exact`` leaves
    the time this program needs out of a virtual run, for scripted models.
    """
    if clock not in system.clocks:
        raise BadInput(f"this system cannot run on the {clock} clock; it can on: {', '.join(system.clocks)}")
    done = {row.utterance for row in folder.rows()}
    todo = [utterance for utterance in utterances if utterance.name not in done]
    run_on("exact" if exact else clock, _measure(system, todo, folder, clock))


async def _measure(system: System, todo: Sequence[Utterance], folder: RunFolder, clock: Clock) -> None:
    failures = 0
    async with system.open():
        for index, utterance in enumerate(todo, 1):
            try:
                row = await _row(system, utterance, folder, clock)
                failures = 0
            except DeviceError:
                raise
            except Exception as error:  # the border to systems under test: a failure is a row
                row = failed(utterance.name, utterance.document, utterance.duration_s, clock, error)
                failures += 1
            if faults := physics(row):
                raise Impossible(f"{len(faults)} impossible stamps, the first: {faults[0]}. The row was not kept")
            folder.append(row)
            print(f"{index}/{len(todo)} {utterance.name}: {row.error or row.hypothesis or '(nothing)'}", flush=True)
            if failures == FAILURES_IN_A_ROW:
                raise ModelError(f"{failures} utterances in a row failed, the last with: {row.error}")


async def _row(system: System, utterance: Utterance, folder: RunFolder, clock: Clock) -> Row:
    samples, rate = read_audio(Path(utterance.audio))
    bounds = _bounds(utterance) or speech_bounds_s(samples, rate)
    outcome = await system.interpret(utterance, SourceAudio(samples, rate, *bounds), clock)
    audio = None
    if len(outcome.speech):
        write_audio(folder.audio_file(utterance.name), outcome.speech, outcome.speech_hz)
        audio = f"audio/{utterance.name}.wav"
    return named(outcome, utterance.name, utterance.document, audio).row


def _bounds(utterance: Utterance) -> tuple[float, float] | None:
    """Return where speech begins and ends when the set knows its words; a synthetic set begins after 0.2 s of silence."""
    return (min(0.2, utterance.word_ends_s[0]), utterance.word_ends_s[-1]) if utterance.word_ends_s else None
