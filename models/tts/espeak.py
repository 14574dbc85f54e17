"""eSpeak NG, a program of Debian: formant synthesis of a hundred languages on any CPU."""

from __future__ import annotations

import asyncio
import re
import shutil
import struct
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from models.model_files import check_present
from models.tts.engines import cannot_clone
from models.tts.phonemes import INSTALL, end_program, start_program
from models.tts.silence import SilenceTrim
from models.tts.spoken_text import own_script, spoken_text
from pipeline.contracts import Missing, Progress, Speaking, Synthesizer, Voice
from pipeline.errors import BadInput, ModelError, Refused, nearest, of_system
from pipeline.events import AudioChunk, ReadingUnit, Samples, SpeechChunk
from pipeline.speech_facts import SpeechFacts

RATE_HZ = 22_050  # of a unit without sound; otherwise what the program's WAV header says
CHUNK_S = 0.1
NAMES = {"cmn": "zh", "nb": "no"}  # eSpeak's name of a language: the usual one
UNREAD = {"hak", "ja", "zh"}  # read as "Chinese letter" or as pinyin in English, mostly: shown text serves better

VARIANTS = ("f2", "m3", "f4", "m7", "f5", "m1")
"""Of a voice, for several speakers."""


@dataclass(frozen=True, slots=True)
class Espeak:
    """Settings of eSpeak NG, which speaks at ``words_per_minute`` (80 to 450).

    ``program`` is looked for on ``search_path`` (none: the PATH of this process). Of the silence after a unit at most
    ``pause_s`` is kept.
    """

    words_per_minute: int = 175
    program: str = "espeak-ng"
    search_path: str | None = None
    pause_s: float = 0.08

    def missing(self) -> Sequence[Missing]:
        """List the program, if it is not there."""
        found = self._path() is not None
        return [] if found else [Missing(f"the program {self.program}", INSTALL)]

    def languages(self) -> frozenset[str]:
        """Return the languages of its voices that it can read, without their regions; none where the program is missing."""
        return frozenset(NAMES.get(base, base) for base in (code.partition("-")[0] for code in self._voices())) - UNREAD

    def presets(self) -> Collection[str]:
        """Return the voices by their language codes; each can have a variant, as ``es+f3``."""
        return self._voices()

    def has_preset(self, name: str) -> bool:
        """Tell if eSpeak has this voice, and its variant if one is named; the program itself ignores unknown variants."""
        base, plus, variant = name.partition("+")
        return base in self._voices() and (not plus or variant in _variants_of(str(self._path())))

    def voices_for(self, language: str) -> Sequence[str]:
        """List a language's voice, and then its variants."""
        code = self.voice_of(None, language)
        return [code, *(f"{code}+{variant}" for variant in VARIANTS if self.has_preset(f"{code}+{variant}"))]

    def check_cloning(self) -> None:
        """Raise `Refused`: eSpeak has presets only."""
        raise cannot_clone("eSpeak")

    def describe(self, language: str) -> SpeechFacts:
        """Describe its speech in a language: a formant voice that streams."""
        return SpeechFacts("GPL-3.0-or-later")

    def pull(self, progress: Progress) -> None:
        """Do nothing: there is nothing to download."""

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Synthesizer]:
        """Check the settings; a process is started for each unit (some milliseconds)."""
        if not 80 <= self.words_per_minute <= 450:
            raise BadInput(f"words_per_minute is {self.words_per_minute}; eSpeak speaks 80 to 450 words per minute")
        check_present(self.missing())
        yield _Synthesizer(self)

    def voice_of(self, voice: Voice | None, language: str) -> str:
        """Return the name for ``-v``; raises `Refused` for an enrolled voice, `BadInput` for one that is not there."""
        if voice is not None and voice.arrays:
            raise cannot_clone("eSpeak")
        voices = self._voices()
        if voice is not None and voice.name:
            if not self.has_preset(voice.name):
                raise BadInput(f"eSpeak has no voice {voice.name!r}; {nearest(voice.name, voices)}")
            return voice.name
        code = {usual: own for own, usual in NAMES.items()}.get(language, language)
        if language.partition("-")[0] in UNREAD or (code not in voices and language not in self.languages()):
            raise Refused(f"eSpeak does not speak {language!r}; {nearest(language, self.languages())}")
        return code

    def command(self, voice: str) -> list[str]:
        """Return the command that speaks UTF-8 text from its input, without a pause at the end."""
        path = self._path()
        if path is None:
            raise ModelError(f"the program {self.program} not found", hint=INSTALL)
        return [path, "-v", voice, "-s", str(self.words_per_minute), "-b", "1", "-z", "--stdin", "--stdout"]

    def _path(self) -> str | None:
        return shutil.which(self.program, path=self.search_path)

    def _voices(self) -> frozenset[str]:
        path = self._path()
        return _voices_of(path) if path is not None else frozenset()


@cache
def _voices_of(path: str) -> frozenset[str]:
    """List the language codes of the program's own voices (MBROLA voices need data that is not there)."""
    lines = (line.split() for line in _listed(path, "--voices"))
    return frozenset(fields[1] for fields in lines if len(fields) >= 5 and not fields[4].startswith("mb/"))


@cache
def _variants_of(path: str) -> frozenset[str]:
    """List the variants that a voice's name can have after a plus sign."""
    return frozenset(variant for line in _listed(path, "--voices=variant") for variant in re.findall(r"!v/(\S+)", line))


def _listed(path: str, option: str) -> list[str]:
    """List the lines of a table that the program prints, without its head."""
    try:
        said = subprocess.run([path, option], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        again = "apt-get install --reinstall espeak-ng"
        raise of_system(error) or ModelError(f"{path} does not list its voices ({error})", hint=again) from error
    return said.splitlines()[1:]


@dataclass(frozen=True, slots=True)
class _Synthesizer:
    backend: Espeak

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Refuse: eSpeak has presets only."""
        raise cannot_clone("eSpeak")

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        """Begin to speak; what still runs at the end is killed."""
        speaking = _Speaking(self.backend, self.backend.voice_of(voice, language), language)
        try:
            yield speaking
        finally:
            await speaking.close()


class _Speaking:
    """One session's speech, a process for each unit."""

    def __init__(self, backend: Espeak, voice: str, language: str) -> None:
        self._backend = backend
        self._voice = voice
        self._language = language
        self._running: set[asyncio.subprocess.Process] = set()

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        """Synthesize one unit; the whole text is awaited first, for eSpeak's intonation needs its end.

        Raises `ModelError` when the program fails or is killed, also in the middle.
        """
        whole = own_script("".join([piece async for piece in text]), self._language)
        spoken = spoken_text(whole, self._language)
        if not spoken:
            yield SpeechChunk(unit.number, np.zeros(0, np.float32), RATE_HZ, last=True)
            return
        program = await start_program(*self._backend.command(self._voice))
        self._running.add(program)
        try:
            rate = await self._send(program, spoken)
            trim = SilenceTrim(rate, self._backend.pause_s)
            async for samples in _pcm(program, int(CHUNK_S * rate)):
                if len(sound := trim.add(samples)):
                    yield SpeechChunk(unit.number, sound, rate, last=False)
            if (code := await program.wait()) != 0:
                raise _failed(program, f"it ended with code {code} before the unit did")
            yield SpeechChunk(unit.number, trim.end(), rate, last=True)
        finally:
            await self._end(program)

    async def _send(self, program: asyncio.subprocess.Process, text: str) -> int:
        """Give it the text, which it reads to its end before it speaks; gives the sample rate."""
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            program.stdin.write(text.encode(errors="replace"))
            await program.stdin.drain()
            program.stdin.close()
            header = await program.stdout.readexactly(44)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise _failed(program, "it ended without a sound") from error
        kind, rate, data = header[:4], struct.unpack_from("<I", header, 24)[0], header[36:40]
        if (kind, data) != (b"RIFF", b"data"):
            raise _failed(program, "its output is no plain WAV")
        return int(rate)

    async def _end(self, program: asyncio.subprocess.Process) -> None:
        self._running.discard(program)
        await end_program(program)

    async def close(self) -> None:
        """Kill what still speaks."""
        for program in list(self._running):
            await self._end(program)


async def _pcm(program: asyncio.subprocess.Process, count: int) -> AsyncIterator[Samples]:
    """Yield samples of the program's output, ``count`` at a time, as they come."""
    assert program.stdout is not None
    ended = False
    while not ended:
        try:
            data = await program.stdout.readexactly(2 * count)
        except asyncio.IncompleteReadError as end:
            data, ended = end.partial[: len(end.partial) // 2 * 2], True
        if data:
            yield np.frombuffer(data, "<i2").astype(np.float32) * np.float32(1 / 32768)


def _failed(program: asyncio.subprocess.Process, what: str) -> ModelError:
    return ModelError(f"eSpeak (process {program.pid}) failed: {what}", hint="echo hello | espeak-ng --stdin")
