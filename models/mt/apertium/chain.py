"""A pipeline of null-flushing programs that stays open: text goes in, text comes out, NUL by NUL."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from pathlib import Path

END = b"\0"
END_OF_TEXT = "[][\n]"  # as `apertium-destxt` ends a text: nothing is held back in the hope of a longer match
CLOSE_S = 1.0


class ChainBroken(Exception):
    """A program died or did not answer in time."""


def commands_of(mode: Path) -> list[list[str]]:
    """The commands of a mode file, as the ``apertium`` program would run them for plain text.

    ``$1`` is the generator's option, ``-n``: unknown words without the mark ``*``, which after ``-g`` could not be told
    from one that was in the text. ``$2`` (show ambiguity) stays empty.
    """
    lexer = shlex.shlex(mode.read_text(encoding="utf-8"), posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    for token in lexer:
        match token:
            case "|":
                commands.append([])
            case "$1":
                commands[-1].append("-n")
            case "$2":
                pass
            case _:
                commands[-1].append(token)
    return [command for command in commands if command]


class Chain:
    """The running programs of one pair. One request at a time: its owner holds a lock.

    They read from our end of a pipe, so they end with this process even if it is killed. A process group of their own
    keeps the terminal's Ctrl-C from them: the session drains first.
    """

    def __init__(self, commands: list[list[str]], search_path: str | None) -> None:
        self._commands = commands
        self._search_path = search_path
        self._programs: list[asyncio.subprocess.Process] = []
        self.answers = 0

    @property
    def pids(self) -> list[int]:
        """The process ids, in the order of the pipeline."""
        return [program.pid for program in self._programs]

    async def start(self) -> None:
        """Start all programs; raises `ChainBroken` when one cannot be started."""
        source: int = asyncio.subprocess.PIPE
        for name, *options in self._commands[:-1]:
            read_end, write_end = os.pipe()
            try:
                await self._start(name, options, source, write_end)
            except BaseException:
                os.close(read_end)
                raise
            finally:
                _close(source, write_end)
            source = read_end
        name, *options = self._commands[-1]
        try:
            await self._start(name, options, source, asyncio.subprocess.PIPE)
        finally:
            _close(source)

    async def _start(self, name: str, options: list[str], source: int, sink: int) -> None:
        if (program := shutil.which(name, path=self._search_path)) is None:
            raise ChainBroken(f"{name} is not installed")
        try:
            started = await asyncio.create_subprocess_exec(
                program,
                "-z",
                *options,
                stdin=source,
                stdout=sink,
                stderr=asyncio.subprocess.DEVNULL,
                process_group=0,
            )
        except OSError as error:
            raise ChainBroken(f"{name} could not be started ({error})") from error
        self._programs.append(started)

    async def ask(self, text: str, timeout_s: float) -> str:
        """Send text in Apertium's stream format, give back what comes out; raises `ChainBroken`."""
        try:
            async with asyncio.timeout(timeout_s):
                reply = (await self._exchange((text + END_OF_TEXT).encode() + END)).decode(errors="replace")
        except TimeoutError as late:
            raise ChainBroken(f"no answer within {timeout_s:.1f} s") from late
        if not reply.endswith(END_OF_TEXT):  # the programs after one that died end theirs with a NUL, too
            raise ChainBroken("its answer has no end")
        self.answers += 1
        return reply.removesuffix(END_OF_TEXT)

    async def _exchange(self, message: bytes) -> bytes:
        """Write and read at once: a long text fills every pipe before its end is written."""
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._send(message))
                reply = both.create_task(self._receive())
        except* (OSError, ChainBroken) as broken:
            raise ChainBroken(f"a program of its pipeline ended ({broken.exceptions[0]})") from broken
        return reply.result()

    async def _send(self, message: bytes) -> None:
        stdin = self._programs[0].stdin
        assert stdin is not None
        stdin.write(message)
        await stdin.drain()

    async def _receive(self) -> bytes:
        stdout = self._programs[-1].stdout
        assert stdout is not None
        reply = bytearray()
        while not reply.endswith(END):
            if not (piece := await stdout.read(1 << 16)):
                raise ChainBroken("its output ended")
            reply += piece
        return bytes(reply[:-1])

    async def close(self) -> None:
        """End the programs: by the end of their input, or by force after a second. Not left before they are gone."""
        programs, self._programs = self._programs, []
        if programs and (stdin := programs[0].stdin) is not None:
            stdin.close()
        ended = asyncio.gather(*(program.wait() for program in programs))
        try:
            await asyncio.wait_for(asyncio.shield(ended), CLOSE_S)
        except TimeoutError:
            pass
        finally:
            for program in programs:
                if program.returncode is None:
                    program.kill()
            await ended


def _close(*ends: int) -> None:
    """Close our copies of pipe ends; those that asyncio made for us are negative."""
    for end in ends:
        if end >= 0:
            os.close(end)
