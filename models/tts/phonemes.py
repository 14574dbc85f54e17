"""Phonemes of text from the program eSpeak NG, which is started, never linked: it is GPL-3.0-or-later.

One process a session stays warm and reads a line at a time, so that a unit costs 2 to 10 ms, not a program's start. Text
goes to it between its punctuation, which is put back afterwards, for a voice model reads pauses and intonation from it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

from pipeline.errors import ModelError, of_system

INSTALL = "apt-get install espeak-ng"
PUNCTUATION = ';:,.!?¡¿—…"«»“”()'
MOST_CHARACTERS = 240  # of a line: the program reads up to 999 bytes, 4 a character
_ASK = "[[ttttttttt]]"  # phonemes in eSpeak's own notation, which no text says
_ANSWER = "ttttttttt"
_SAME = str.maketrans({"।": ".", "॥": ".", "–": "—"})  # noqa: RUF001  (marks that voice models know by another sign)
_SWITCH = re.compile(r"\([a-z]{2,3}(?:-[a-z0-9-]+)?\)")  # "(en)": a word that it read in another language
_MARKS = re.compile(rf"((?:(?!(?<=\d)[.,:](?=\d))[{re.escape(PUNCTUATION)}])+\s*)")  # but not that inside a number


async def start_program(*command: str) -> asyncio.subprocess.Process:
    """Start eSpeak NG with pipes; raises `ModelError` where it cannot be started."""
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            process_group=0,  # a Ctrl-C of the terminal is for the session, which drains first
        )
    except OSError as error:
        raise of_system(error) or ModelError(f"{command[0]} could not be started ({error})", hint=INSTALL) from error


async def end_program(process: asyncio.subprocess.Process) -> None:
    """Kill a program that `start_program` started, if it still runs."""
    if process.returncode is None:
        process.kill()
    assert process.stdout is not None
    await process.stdout.read()  # `wait` waits for the pipe's end, which a full one hides: cpython#119710
    await process.wait()


class Phonemizer:
    """Phonemes in the International Phonetic Alphabet, from one process of ``program`` with the voice ``language``."""

    def __init__(self, program: str, language: str) -> None:
        self._command = [program, "-q", "--ipa", "-b", "1", "-v", language]
        self._process: asyncio.subprocess.Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def phonemes(self, text: str) -> str:
        """Return phonemes of text, with its punctuation; raises `ModelError` where the program fails, which ends it."""
        async with self._one_at_a_time:
            return await self._phonemes(text)

    async def _phonemes(self, text: str) -> str:
        said = ""
        try:
            for piece in _MARKS.split(text.translate(_SAME)):
                if not piece.strip() or piece[0] in PUNCTUATION:
                    said += piece
                else:
                    lines = [await self._line(line) for line in _lines(piece)]
                    said += f"{' ' if piece[0].isspace() else ''}{' '.join(lines)}{' ' if piece[-1].isspace() else ''}"
        except BaseException:  # also cancelled: what the process still says belongs to no text
            await self.close()
            raise
        return re.sub(r"\s+", " ", said).strip()

    async def start(self) -> None:
        """Start the process; raises `ModelError` where it cannot be started."""
        self._process = await start_program(*self._command)

    async def close(self) -> None:
        """End the process, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            await end_program(process)

    async def _line(self, text: str) -> str:
        """Return phonemes of one line: all that the program says before it answers the mark that follows the text."""
        if self._process is None:
            await self.start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        clauses: list[str] = []
        try:
            process.stdin.write(f"{text}\n{_ASK}\n".encode(errors="replace"))
            await process.stdin.drain()
            while (clause := (await process.stdout.readuntil()).decode().strip()) != _ANSWER:
                clauses.append(clause)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            what = f"eSpeak (process {process.pid}) gave no phonemes with the voice {self._command[-1]}"
            raise ModelError(what, hint=f"echo hello | {self._command[0]} -q --ipa") from error
        return _SWITCH.sub("", " ".join(filter(None, clauses))).replace("\u200d", "")


def _lines(text: str) -> Iterator[str]:
    """Cut text into lines that the program takes whole, at blanks, else anywhere."""
    rest = " ".join(text.split())
    while len(rest) > MOST_CHARACTERS:
        at = rest.rfind(" ", 1, MOST_CHARACTERS)
        at = at if at > 0 else MOST_CHARACTERS
        yield rest[:at].strip()
        rest = rest[at:].strip()
    if rest:
        yield rest


def cut(phonemes: str, most: int) -> list[str]:
    """Cut phonemes into pieces of about ``most`` symbols, after clauses; within one only above ``2 * most``, at a blank."""
    pieces, rest = [], phonemes
    while len(rest) > most * 1.25:
        ends = [mark.end() for mark in re.finditer(r"[;:,.!?…—]+\s", rest[: 2 * most])]
        ends = [end for end in ends if most // 3 <= end <= len(rest) - most // 4]
        if not ends and len(rest) <= 2 * most:
            break
        at = min(ends, key=lambda end: abs(end - most)) if ends else rest.rfind(" ", most // 3, 2 * most) + 1 or 2 * most
        pieces.append(rest[:at].strip())
        rest = rest[at:].strip()
    return [piece for piece in (*pieces, rest) if piece]
