"""Speech of one session: reading units in, samples out, continuous in voice and manner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from models.tts.engines import refusing_when_full
from models.tts.qwen3.engine import EngineLoop
from models.tts.qwen3.prompt import (
    GrowingText,
    Opening,
    Prompt,
    ReferenceHistory,
    SpokenUnit,
    TextTokenizer,
    streaming,
    whole,
)
from models.tts.qwen3.utterance import StopCriteria, Utterance
from models.tts.silence import EdgeTrim, pause_s
from models.tts.spoken_text import spoken_text
from models.tts.text_pieces import ATTEMPTS, MOST_TOKENS, TextFailed, TextPieces, cut, no_speech
from pipeline.events import ReadingUnit, Samples, SpeechChunk
from pipeline.scripts import speakable

MOST_FRAMES = 375
"""Most frames of one utterance, 30 s: a longer one would not end by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class VoicePrompt:
    """Voice of a session: the beginning of its prompts, the speaker's vector [hidden], and a seed."""

    opening: Opening
    speaker: Tensor | None
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class SpeechSession:
    """State of one session: its speech so far, its codec stream, and the task group its readers run in."""

    history: ReferenceHistory
    stream: int
    tasks: asyncio.TaskGroup


class StreamedSpeech:
    """Speaker of a session's units, one after the other.

    The first comes from the voice alone, with its text as it arrives; later ones continue the session's own speech, for
    which all of their text must be there. The codec's stream continues from unit to unit.
    """

    def __init__(self, loop: EngineLoop, text: TextTokenizer, voice: VoicePrompt, session: SpeechSession) -> None:
        self._loop, self._text, self._voice = loop, text, voice
        self._history, self._stream, self._tasks = session.history, session.stream, session.tasks
        self._rate = loop.engine.codec.config.sample_rate
        self._tokens = loop.engine.model.config.tokens
        self._plays_until_s = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk]:
        """Speak one unit; closing the iterator stops it within a frame.

        Raises `ModelError` if no speech comes of it, `DeviceError` when the GPU's memory is full, and the error of
        ``text`` once all text before it has been spoken.
        """
        async with self._one_at_a_time:
            pieces = TextPieces()
            reading = self._tasks.create_task(pieces.read(text))
            try:
                async with aclosing(self._speak(pieces, unit.language)) as speech:
                    with refusing_when_full("to speak this"):
                        async for samples in speech:
                            now_s = asyncio.get_running_loop().time()
                            self._plays_until_s = max(self._plays_until_s, now_s) + len(samples) / self._rate
                            yield SpeechChunk(unit.number, samples, self._rate, last=False)
                yield SpeechChunk(unit.number, np.zeros(0, dtype=np.float32), self._rate, last=True)
            except TextFailed as failed:
                raise failed.error from None
            finally:
                reading.cancel()

    async def _speak(self, pieces: TextPieces, language: str) -> AsyncGenerator[Samples]:
        begun = False
        while text := await pieces.take():
            if not pieces.ended and self._may_wait():
                text += await pieces.take_all()
            if pieces.ended and not begun:  # parts of an amount or of markup cannot be written out
                text = spoken_text(text, language)
            begun = True
            parts = cut(text, self._length)
            growing = parts.pop() + text[len(text.rstrip()) :] if parts and not pieces.ended else ""
            for speech in (*map(self._speak_whole, parts), self._speak_growing(growing, pieces)):
                async with aclosing(speech):
                    async for samples in speech:
                        yield samples

    def _may_wait(self) -> bool:
        """Tell if there is time to wait for the rest of the text: speech that it can continue is still playing."""
        playing = asyncio.get_running_loop().time() < self._plays_until_s
        return playing and self._history.reference(self._text.encode) is not None

    def _head(self, text: str) -> tuple[str, str]:
        """Split a long text into as much as fits an utterance, up to a good place to cut it, and the rest."""
        begin = len(text) - len(text.lstrip())
        end = begin + len((cut(text, self._length) or [""])[0])
        return text[:end], text[end:]

    def _length(self, text: str) -> int:
        return len(self._text.encode(text))

    async def _speak_whole(self, text: str) -> AsyncGenerator[Samples]:
        """Speak a complete text; once more with other random numbers if no sound came."""
        if not speakable(text):
            return
        ids = self._text.encode(text)
        for attempt in range(ATTEMPTS):
            edges = EdgeTrim(self._rate)
            prompt = whole(self._tokens, self._voice.opening, ids, self._history.reference(self._text.encode))
            utterance = self._utterance(prompt, ids, attempt)
            async with aclosing(self._listen(utterance, [text], edges)) as speech:
                async for samples in speech:
                    yield samples
            if edges.begun:
                return
            self._history.forget()
        raise no_speech(text)

    async def _speak_growing(self, text: str, pieces: TextPieces) -> AsyncGenerator[Samples]:
        """Begin with the first certain token of ``text`` and feed the rest as it comes, up to one utterance's worth."""
        growing, certain = GrowingText(self._text), list[int]()
        certain += growing.append(text)
        while not pieces.ended and not (certain and speakable(text)):
            more = await pieces.take()
            certain += growing.append(more if text else more.lstrip())
            text += more
        if pieces.ended:
            async with aclosing(self._speak_whole(text.strip())) as speech:
                async for samples in speech:
                    yield samples
            return
        prompt = streaming(self._tokens, self._voice.opening, certain, ended=False)
        utterance, said = self._utterance(prompt, certain, 0, text_ended=False), [text]
        feeding = self._tasks.create_task(self._feed(utterance, growing, pieces, said))
        try:
            async with aclosing(self._listen(utterance, said, EdgeTrim(self._rate))) as speech:
                async for samples in speech:
                    yield samples
            await feeding
        finally:
            feeding.cancel()

    async def _feed(self, utterance: Utterance, growing: GrowingText, pieces: TextPieces, said: list[str]) -> None:
        """Feed an utterance its text as it comes, up to one utterance's worth, and close it."""
        add = self._loop.engine.add_text
        with suppress(TextFailed):  # raised again where the text is read next; what came before is spoken
            while utterance.stop.tokens < MOST_TOKENS and (more := await pieces.take()):
                if self._length(more) > MOST_TOKENS:
                    more, rest = self._head(more)
                    pieces.put_back(rest)
                said.append(more)
                await self._loop.call(add, utterance, growing.append(more), False)
        await self._loop.call(add, utterance, growing.close(), True)

    def _utterance(self, prompt: Prompt, ids: list[int], attempt: int, text_ended: bool = True) -> Utterance:
        seed = self._voice.seed + attempt
        return Utterance(prompt, self._voice.speaker, self._stream, seed, text_ended, StopCriteria(MOST_FRAMES, len(ids)))

    async def _listen(self, utterance: Utterance, said: list[str], edges: EdgeTrim) -> AsyncGenerator[Samples]:
        """Yield an utterance's samples without the silence around them; add it to the history if it ended well."""
        queue = await self._loop.begin(utterance)
        over = False
        try:
            while not over:
                spoken = await queue.take()
                over = spoken.ending is not None
                if len(samples := edges.pass_on(spoken.samples)):
                    yield samples
                self._loop.taken(queue, spoken.frames)
        finally:
            await self._loop.end(queue)
            if not over:  # cut off in mid-speech: the next utterance must not begin with its echo
                await self._loop.free(self._loop.engine.renew_stream, self._stream)
        clean = utterance.ending is not None and utterance.ending.clean
        if clean and edges.begun:
            self._history.add(SpokenUnit("".join(said).strip(), utterance.frames))
        else:
            self._history.forget()
        if len(samples := edges.finish(pause_s("".join(said)), broken_off=not clean)):
            yield samples
