"""Any program as a system under test: 16 kHz mono PCM (s16le) on its input at real-time pace, text on its output.

Each line it writes is a piece of translation that stays; it ends when its input has ended.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import soxr

from benchmarks.clocks.feeder import Feeder
from benchmarks.corpora.audio import CORPUS_HZ
from benchmarks.corpora.utterance import Utterance
from benchmarks.runs.row import Clock
from benchmarks.systems.foreign import Reception, as_pcm16
from benchmarks.systems.in_process import Outcome, SourceAudio
from pipeline.clock import LoopClock
from pipeline.errors import ModelError

PATIENCE_S = 60.0  # after the end of the source


class CommandSystem:
    """A command line; ``{source}`` and ``{target}`` in it become the languages."""

    clocks: tuple[Clock, ...] = ("real",)

    def __init__(self, command: str) -> None:
        self._command = command

    def about(self) -> dict[str, Any]:
        """The command line."""
        return {"system": f"command:{self._command}"}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Each utterance starts the program anew."""
        yield

    async def interpret(self, utterance: Utterance, audio: SourceAudio, clock: Clock) -> Outcome:
        """Run the program on one utterance; raises `ModelError` if it fails, cannot be found or does not end."""
        words = [
            word.format(source=utterance.source_language, target=utterance.target_language)
            for word in shlex.split(self._command)
        ]
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        except OSError as error:
            raise ModelError(f"cannot start {words[0]!r}: {error.strerror}; give a program that can be run") from error
        samples = soxr.resample(audio.samples, audio.sample_rate, CORPUS_HZ)
        feeder = Feeder(samples, CORPUS_HZ, LoopClock(), live=True)
        reception = Reception(lambda: LoopClock().now() - feeder.origin_s, audio.duration_s)
        began = time.perf_counter()
        try:
            async with asyncio.timeout(audio.duration_s + PATIENCE_S), asyncio.TaskGroup() as group:
                group.create_task(_feed(process, feeder))
                group.create_task(_read(process, reception))
            if code := await process.wait():
                raise ModelError(f"{words[0]} ended with exit code {code}; run it by hand to see why")
        except TimeoutError as error:
            raise ModelError(f"{words[0]} did not end within {PATIENCE_S:.0f} s after its input") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return reception.outcome(audio, feeder, time.perf_counter() - began)


async def _feed(process: asyncio.subprocess.Process, feeder: Feeder) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):  # it has ended early; its exit code tells
        async for frame in feeder:
            process.stdin.write(as_pcm16(frame.samples))
            await process.stdin.drain()
        process.stdin.close()


async def _read(process: asyncio.subprocess.Process, reception: Reception) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        if text := line.decode("utf-8", errors="replace").strip():
            reception.text(text + " ")
