"""Loaded synthesizer: enrols voices and opens sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.tts.engines import check_clip, lent, refuse_language, refusing_when_full
from models.tts.qwen3.config import LANGUAGES, ModelConfig, refuse_cloning, refuse_preset
from models.tts.qwen3.engine import EngineLoop
from models.tts.qwen3.prompt import Opening, PromptSpeaker, ReferenceHistory, TextTokenizer
from models.tts.qwen3.speaker_encoder import SpeakerEncoder
from models.tts.qwen3.speaking import SpeechSession, StreamedSpeech, VoicePrompt
from pipeline.contracts import Speaking, Voice
from pipeline.errors import Refused
from pipeline.events import AudioChunk

SPEAKER = "speaker"
"""Name of the array of an enrolled `Voice`: the speaker's vector, float32 [talker's width]."""


@dataclass(frozen=True, slots=True)
class SynthesizerSettings:
    """Settings of the profile that concern sessions."""

    voice: str  # preset, or empty
    style: str  # instruction, or empty
    seed: int
    renew_after_s: float  # of speech, after which a session's voice is renewed from its vector


class Qwen3Synthesizer:
    """Synthesizer of ten languages in enrolled (Base), preset (CustomVoice) or described voices (VoiceDesign)."""

    def __init__(
        self,
        loop: EngineLoop,
        text: TextTokenizer,
        encoder: SpeakerEncoder | None,
        settings: SynthesizerSettings,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._loop, self._text, self._encoder = loop, text, encoder
        self._settings, self._tasks = settings, tasks
        self._config = loop.engine.model.config

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Learn a voice from 3 to 15 s of speech; only Base checkpoints can.

        Raises `BadInput` for a clip that is empty, silent, clipped, too short or too long, and
        `DeviceError` when the GPU's memory is full.
        """
        encoder = self._encoder
        if encoder is None:
            raise refuse_cloning(self._config.kind)
        samples = check_clip(audio, encoder.config.sample_rate)
        with refusing_when_full("to learn a voice"):
            vector = await self._loop.call(_encode, encoder, torch.from_numpy(samples))
        return Voice("enrolled", {SPEAKER: vector})

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        """Begin a session in one of the ten languages; no voice: the checkpoint's preset, or one that the model makes up.

        Raises `Refused` for another language or a voice this checkpoint cannot speak with, `DeviceError` when as many
        sessions as there is memory for are open; those go on.
        """
        with refusing_when_full("for another session"):
            prompt = self._voice_prompt(voice, language)
        history = ReferenceHistory(language, round(self._settings.renew_after_s * self._frame_rate))
        engine = self._loop.engine
        async with lent(self._loop, engine.open_stream, engine.close_stream) as stream:
            yield StreamedSpeech(self._loop, self._text, prompt, SpeechSession(history, stream, self._tasks))

    @property
    def _frame_rate(self) -> float:
        codec = self._loop.engine.codec.config
        return codec.sample_rate / codec.samples_per_frame

    def _voice_prompt(self, voice: Voice | None, language: str) -> VoicePrompt:
        name = LANGUAGES.get(language)
        if name is None or name not in self._config.languages:
            raise refuse_language("Qwen3-TTS", language, LANGUAGES)
        chosen = voice if voice is not None else Voice(self._settings.voice)
        preset = chosen.name.lower() if SPEAKER not in chosen.arrays else ""
        tag = self._config.languages[_dialect(self._config, preset, name)]
        instruction = self._text.instruction(self._settings.style) if self._settings.style else ()
        opening = Opening(self._text.role, tag, self._speaker(chosen, preset), instruction)
        return VoicePrompt(opening, self._vector(chosen), self._settings.seed)

    def _speaker(self, voice: Voice, preset: str) -> PromptSpeaker | None:
        if SPEAKER in voice.arrays:
            return PromptSpeaker()
        if not preset:
            presets = sorted(self._config.speakers)
            return PromptSpeaker(self._config.speakers[presets[0]]) if presets else None
        if preset not in self._config.speakers:
            raise refuse_preset(preset, self._config.speakers)
        return PromptSpeaker(self._config.speakers[preset])

    def _vector(self, voice: Voice) -> Tensor | None:
        if SPEAKER not in voice.arrays:
            return None
        vector = torch.from_numpy(np.asarray(voice.arrays[SPEAKER], dtype=np.float32))
        width = self._config.talker.hidden
        if self._encoder is None or vector.shape != (width,):
            raise Refused(
                f"the voice {voice.name!r} was enrolled with another model (vector of {vector.numel()} numbers, this one "
                f"takes {width if self._encoder else 'presets only'})",
                hint="enrol it again with this model",
            )
        return vector  # not yet on the device: what is asked of it is asked by the thread that owns the model


def _dialect(config: ModelConfig, preset: str, language: str) -> str:
    """Replace Chinese by the dialect of a preset that has a language tag of its own."""
    return config.dialects.get(preset, language) if language == "chinese" else language


def _encode(encoder: SpeakerEncoder, samples: Tensor) -> np.typing.NDArray[np.float32]:
    with torch.inference_mode():
        vector: np.typing.NDArray[np.float32] = encoder.encode(samples.to(encoder.fc.weight.device)).float().cpu().numpy()
    return vector
