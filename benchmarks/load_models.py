"""The models that share the device: speech by the product's engine and translation by its search, both of random weights.

Each runs on a thread of its own, as in the product, and on a GPU on a CUDA stream of its own.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.load_sessions import EVERY_S, Piece, Translate
from benchmarks.mt_speed import loaded_model, random_prompts, record_steps, search_units
from benchmarks.tts_checkpoint import write_checkpoint
from models.cuda import take_stream
from models.mt.batching import BatchedTranslator
from models.mt.steps.fixed_steps import FixedSteps
from models.tts.qwen3.engine import EngineLoop
from models.tts.qwen3.loading import load_engine
from models.tts.qwen3.prompt import Opening, PromptSpeaker, ReferenceHistory, SpokenUnit, TextTokenizer, whole
from models.tts.qwen3.utterance import StopCriteria, Utterance
from pipeline.contracts import Term, Translation, TranslationRequest
from pipeline.errors import ModelError
from pipeline.lane import Lane

FRAMES = int(0.96 * EVERY_S * 12.5)
"""A unit's frames, 36: a little less than the time to the next, so that speech does not fall behind by itself."""

UNIT_TEXT = "".join(map(chr, range(33, 53)))
"""20 tokens of the checkpoints' byte-level BPE."""

_RENEW_FRAMES = 3750  # 300 s, the product's default
_BATCH = 8  # the product's default
_REQUEST = TranslationRequest("", "en", "de")


@dataclass(slots=True)
class EngineVoice:
    """One session of the speech engine: units of `FRAMES` frames, each continuing the session's own speech.

    The prompts are the product's. Speech of random weights may end anywhere, so the text is left open, with padding for
    the frames' text, which is what the model reads after a text's end.
    """

    loop: EngineLoop
    text: TextTokenizer
    stream: int
    history: ReferenceHistory = field(default_factory=lambda: ReferenceHistory("en", _RENEW_FRAMES))

    async def say(self) -> AsyncIterator[Piece]:
        """See `Voice.say`; raises `ModelError` if the unit has other than `FRAMES` frames."""
        codec = self.loop.engine.codec.config
        utterance = self._utterance()
        queue = await self.loop.begin(utterance)
        try:
            over = False
            while not over:
                spoken = await queue.take()
                over = spoken.ending is not None
                length_s = len(spoken.samples) / codec.sample_rate
                frames = spoken.frames
                yield Piece(length_s, over, lambda frames=frames: self.loop.taken(queue, frames))  # type: ignore[misc]
        finally:
            await self.loop.end(queue)
        if len(utterance.codes) != FRAMES:
            raise ModelError(f"a unit ended ({utterance.ending}) after {len(utterance.codes)} of {FRAMES} frames")
        self.history.add(SpokenUnit(UNIT_TEXT, utterance.frames))

    def _utterance(self) -> Utterance:
        config = self.loop.engine.model.config
        opening = Opening(self.text.role, config.languages["english"], PromptSpeaker())
        ids = self.text.encode(UNIT_TEXT)
        prompt = whole(config.tokens, opening, ids, self.history.reference(self.text.encode))
        padded = replace(prompt, trailing=(config.tokens.tts_pad,) * FRAMES)
        speaker = torch.ones(config.talker.hidden)  # not on the device yet: what is asked of it is asked by its thread
        return Utterance(padded, speaker, self.stream, self.stream, False, StopCriteria(FRAMES, len(ids)))


@dataclass(frozen=True, slots=True)
class SearchingDecoder:
    """A `BatchDecoder` that searches 20 tokens at beam 4 for each request, whatever it asks."""

    model: Any
    fixed: FixedSteps | None = None

    def translate(self, requests: Sequence[TranslationRequest]) -> Sequence[Translation]:
        """One translation a request; blocking."""
        return [Translation(str(tokens)) for tokens in search_units(self.model, random_prompts(len(requests)), self.fixed)]

    def check(self, terms: Iterable[Term], language: str) -> None:
        """There are no terms."""


@asynccontextmanager
async def open_speech(
    geometry: str, device: str, threads: int, sessions: int, graphs: bool
) -> AsyncIterator[tuple[EngineLoop, TextTokenizer]]:
    """The engine with memory for so many sessions, turning."""
    with Lane("speech") as lane, tempfile.TemporaryDirectory() as folder:
        checkpoint = write_checkpoint(Path(folder), geometry=geometry, dtype=torch.bfloat16)
        await lane.run(torch.set_num_threads, threads)
        engine, text, _ = await lane.run(load_engine, checkpoint, device, "auto", sessions, greedy=False, graphs=graphs)
        loop = EngineLoop(engine, lane)
        async with asyncio.TaskGroup() as tasks:
            turning = tasks.create_task(loop.run())
            try:
                yield loop, text
            finally:
                turning.cancel()
                await lane.free(engine.close)


@asynccontextmanager
async def open_translation(geometry: str, device: str, threads: int, graphs: bool) -> AsyncIterator[Translate]:
    """A translator of units, warm; for ``none`` units are translated already when they arrive."""
    if geometry == "none":
        yield lambda: asyncio.sleep(0)
        return
    with Lane("translation") as lane:
        decoder = await lane.run(load_decoder, geometry, device, threads, graphs)
        for batch in range(1, _BATCH + 1):
            await lane.run(decoder.translate, [_REQUEST] * batch)
        translator = BatchedTranslator(lane, decoder, _BATCH)
        yield lambda: translator.translate(_REQUEST)


@asynccontextmanager
async def open_voices(loop: EngineLoop, text: TextTokenizer, count: int) -> AsyncIterator[list[EngineVoice]]:
    """Sessions of the engine; raises `ModelError` for more than it has memory for."""
    engine = loop.engine
    voices: list[EngineVoice] = []
    try:
        for _ in range(count):
            stream = await loop.call(engine.open_stream)
            if stream is None:
                raise ModelError(f"the engine has memory for {len(voices)} sessions, not {count}")
            voices.append(EngineVoice(loop, text, stream))
        yield voices
    finally:
        for voice in voices:
            await loop.call(engine.close_stream, voice.stream)


def load_decoder(geometry: str, device: str, threads: int, graphs: bool) -> SearchingDecoder:
    """A translator of random weights on this thread, its steps recorded on a GPU if ``graphs``.

    On a CPU its operators take ``threads`` threads: more than there are cores for both models would wait for each other.
    """
    torch.set_num_threads(threads)
    model = loaded_model(geometry, device)
    take_stream(model.device)
    return SearchingDecoder(model, record_steps(model, _BATCH) if graphs and device.startswith("cuda") else None)
