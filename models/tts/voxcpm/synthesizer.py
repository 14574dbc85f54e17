"""Loaded synthesizer: learns voices from a clip, opens sessions, and speaks the units of each as they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import numpy as np
import torch

from models.tts.engines import check_clip, lent, refuse_language, refuse_voice, refusing_when_full
from models.tts.silence import EdgeTrim, pause_s
from models.tts.spoken_text import spoken_text
from models.tts.streaming_loop import SpeechQueue
from models.tts.text_pieces import ATTEMPTS, cut, no_speech, speak_parts
from models.tts.voxcpm.audio_vae import AudioEncoder
from models.tts.voxcpm.config import LANGUAGES, ModelConfig
from models.tts.voxcpm.engine import DecodedPatch, EngineLoop, Utterance, budget
from models.tts.voxcpm.prompt import ContinuedSpeech, Patches, PromptTokenizer
from pipeline.contracts import Speaking, Voice
from pipeline.events import AudioChunk, ReadingUnit, Samples, SpeechChunk
from pipeline.languages import primary
from pipeline.scripts import SPACELESS

REFERENCE = "reference"
"""Name of the array of an enrolled `Voice`: the clip's latent frames, float32 [patches, patch * latent]."""

MOST_PATCHES = 250
"""Most patches of one utterance, 40 s; most texts are long over before."""

_LEAST_KEPT, _MOST_KEPT = 7, 90  # patches, 1 to 14 s: shorter tells too little of a voice, longer costs every unit


@dataclass(frozen=True, slots=True)
class SynthesizerSettings:
    """Settings of the profile that concern sessions."""

    style: str  # in words, or empty
    seed: int


class VoxCPMSynthesizer:
    """Synthesizer of thirty languages in enrolled voices, or one that the model makes up and a session then keeps."""

    def __init__(
        self, loop: EngineLoop, text: PromptTokenizer, encoder: AudioEncoder, settings: SynthesizerSettings
    ) -> None:
        self._loop, self._text, self._encoder, self._settings = loop, text, encoder, settings

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Learn a voice from 3 to 15 s of speech; what is said in it need not be known.

        Raises `BadInput` for a clip that is empty, silent, clipped, too short or too long, and `DeviceError` when the GPU's
        memory is full.
        """
        samples = check_clip(audio, self._encoder.config.heard_rate)
        with refusing_when_full("to learn a voice"):
            patches = await self._loop.call(_encode, self._encoder, samples, self._config.patch)
        return Voice("enrolled", {REFERENCE: patches.reshape(len(patches), -1)})

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        """Begin a session in one of the thirty languages; no voice: one that the model makes up.

        Raises `Refused` for another language or a voice of another model, `DeviceError` when as many sessions as there is
        memory for are open; those go on.
        """
        if primary(language) not in LANGUAGES:
            raise refuse_language("VoxCPM2", language, LANGUAGES)
        reference = self._reference(voice)
        engine = self._loop.engine
        async with lent(self._loop, engine.open_row, engine.close_row) as row:
            yield UnitSpeech(self._loop, self._text, SessionVoice(self._settings, row, language, reference))

    @property
    def _config(self) -> ModelConfig:
        return self._loop.engine.model.config

    def _reference(self, voice: Voice | None) -> Patches | None:
        if voice is None or not (voice.name or voice.arrays):
            return None
        config, flat = self._config, voice.arrays.get(REFERENCE)
        if flat is None or flat.ndim != 2 or flat.shape[1] != config.patch * config.latent:
            raise refuse_voice(voice, "VoxCPM2")
        return np.ascontiguousarray(flat, dtype=np.float32).reshape(-1, config.patch, config.latent)


def _encode(encoder: AudioEncoder, samples: Samples, patch: int) -> Patches:
    with torch.inference_mode():
        patches: Patches = encoder.encode(torch.from_numpy(samples), patch).cpu().numpy()
    return patches


@dataclass(slots=True)
class SessionVoice:
    """Voice of one session: a learned reference, or the first good speech of a voice that the model made up."""

    settings: SynthesizerSettings
    row: int
    language: str
    reference: Patches | None
    kept: ContinuedSpeech | None = None

    def styled(self, text: str) -> str:
        """Put the style before a text, as the model reads it; what the text itself says first is not taken for one."""
        plain = _plain(text)
        return f"({self.settings.style}){plain}" if self.settings.style and self.kept is None else plain

    def keep(self, text: str, utterance: Utterance) -> None:
        """Keep speech of ``text`` for later units to continue, if there is no other voice and it is of a good length."""
        if self.reference is None and self.kept is None and _LEAST_KEPT <= len(utterance.patches) <= _MOST_KEPT:
            plain = _plain(text)
            said = plain if primary(self.language) in SPACELESS else f"{plain} "
            self.kept = ContinuedSpeech(said, torch.stack(utterance.patches).numpy())


def _plain(text: str) -> str:
    """Drop the brackets at the beginning of a text, which the model would take for those of a style."""
    return text.lstrip("(（ ")  # noqa: RUF001


class UnitSpeech:
    """Speaker of a session's units, one after the other; their text is awaited, their speech comes patch by patch."""

    def __init__(self, loop: EngineLoop, text: PromptTokenizer, voice: SessionVoice) -> None:
        self._loop, self._text, self._voice = loop, text, voice
        self._rate = loop.engine.decoder.config.sample_rate
        self._one_at_a_time = asyncio.Lock()
        self._spoken = 0

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk]:
        """Speak one unit; closing the iterator stops it within a patch.

        Raises `ModelError` if no speech comes of it, `DeviceError` when the GPU's memory is full, and the error of ``text``
        once all text before it has been spoken.
        """

        def parts(whole: str) -> list[str]:
            return cut(spoken_text(whole, unit.language), self._length)

        async with self._one_at_a_time, aclosing(speak_parts(unit, text, parts, self._speak, self._rate)) as speech:
            async for chunk in speech:
                yield chunk

    def _length(self, text: str) -> int:
        return len(self._text.encode(text))

    async def _speak(self, text: str) -> AsyncGenerator[Samples]:
        """Speak a text; once more with other random numbers if no sound came."""
        said = self._voice.styled(text)
        limit = budget(self._length(text), MOST_PATCHES)
        for _ in range(ATTEMPTS):
            prompt = self._text.prompt(said, self._voice.reference, self._voice.kept)
            self._spoken += 1
            utterance = Utterance(prompt, self._voice.row, self._voice.settings.seed + self._spoken, limit)
            edges = EdgeTrim(self._rate)
            async with aclosing(self._listen(utterance, text, edges)) as speech:
                with refusing_when_full("to speak this"):
                    async for samples in speech:
                        yield samples
            if edges.begun:
                return
        raise no_speech(text)

    async def _listen(self, utterance: Utterance, text: str, edges: EdgeTrim) -> AsyncGenerator[Samples]:
        """Yield an utterance's samples without the silence around them; one that does not end is broken off."""
        queue: SpeechQueue[Utterance, DecodedPatch] = await self._loop.begin(utterance)
        ended = False
        try:
            last = False
            while not last:
                spoken = await queue.take()
                last, ended = spoken.last, spoken.ended
                if len(samples := edges.pass_on(spoken.samples)):
                    yield samples
                self._loop.taken(queue, 1)
        finally:
            await self._loop.end(queue)
        if ended and edges.begun:
            self._voice.keep(text, utterance)
        if len(samples := edges.finish(pause_s(text), broken_off=not ended)):
            yield samples
