"""Loaded synthesizer: learns voices from a clip and its words, and opens sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import torch

from models.tts.clip import check_clip
from models.tts.engines import refusing_when_full
from models.tts.omnivoice.config import MOST_FRAMES, POSITIONS
from models.tts.omnivoice.engine import EngineLoop
from models.tts.omnivoice.languages import tag_of
from models.tts.omnivoice.prompt import Codes, PromptTokenizer, Reference, closed
from models.tts.omnivoice.speaking import QUIET_RMS, SessionVoice, UnitSpeech
from models.tts.omnivoice.voice_encoder import VoiceEncoder
from pipeline.contracts import Speaking, Voice
from pipeline.errors import BadInput, DeviceError, Refused
from pipeline.events import AudioChunk, Samples

_CODES, _TEXT, _RMS = "codes", "text", "rms"
"""Arrays of an enrolled `Voice`, float32: codes [codebooks, frames], code points of the words [n], loudness [1]."""


@dataclass(frozen=True, slots=True)
class SynthesizerSettings:
    """Settings of the profile that concern sessions."""

    style: str  # attributes, or empty
    seed: int
    unmeasured: bool


class OmniVoiceSynthesizer:
    """Synthesizer in enrolled voices, described ones, or one that the model makes up and a session then keeps."""

    def __init__(
        self, loop: EngineLoop, text: PromptTokenizer, encoder: VoiceEncoder, settings: SynthesizerSettings
    ) -> None:
        self._loop, self._text, self._encoder, self._settings = loop, text, encoder, settings

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Refuse: the model was trained on clips with their words (k2-fsa/OmniVoice, issue 125)."""
        raise Refused(
            "OmniVoice learns a voice from a clip and the words in it, and these words are not known here",
            hint="to enrol the voice from a recording, in a language that the profile's recognizer hears",
        )

    async def enrol_said(self, audio: AudioChunk, words: str) -> Voice:
        """Learn a voice from 3 to 15 s of speech and its ``words``.

        Raises `BadInput` for a clip that is unfit or has too many words, and `DeviceError` when the GPU's memory is full.
        """
        samples = check_clip(audio, self._encoder.config.sample_rate)
        if not (said := closed(words)):
            raise BadInput("the reference clip has no words", hint="a clip in which the speaker says a sentence or two")
        rms = float(np.sqrt(np.square(samples, dtype=np.float64).mean()))
        raised = samples * (QUIET_RMS / rms) if rms < QUIET_RMS else samples
        with refusing_when_full("to learn a voice"):
            codes = await self._loop.call(_encode, self._encoder, raised)
        if len(self._text.encode(said)) + codes.shape[1] + MOST_FRAMES > POSITIONS:
            raise BadInput("the reference clip has too many words", hint="cut it: 3 to 10 s of speech are best")
        points = np.array([ord(letter) for letter in said], dtype=np.float32)
        arrays = {_CODES: codes.astype(np.float32), _TEXT: points, _RMS: np.array([rms], dtype=np.float32)}
        return Voice("enrolled", arrays)

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        """Begin a session in one of its languages.

        Raises `Refused` for another language or a voice of another model, `DeviceError` when as many sessions as there is
        memory for are open; those go on.
        """
        tag = tag_of(language, unmeasured=self._settings.unmeasured)
        session = SessionVoice(tag, self._settings.style, self._settings.seed, self._reference(voice))
        if not self._loop.engine.take_seat():
            raise DeviceError(
                "the speech model has memory for no further session", hint="close one, or a larger synthesizer.sessions"
            )
        try:
            yield UnitSpeech(self._loop, self._text, session)
        finally:
            self._loop.engine.leave_seat()

    def _reference(self, voice: Voice | None) -> Reference | None:
        if voice is None or not (voice.name or voice.arrays):
            return None
        config = self._encoder.config
        codes = voice.arrays.get(_CODES)
        if codes is None or _TEXT not in voice.arrays or codes.ndim != 2 or len(codes) != config.codebooks:
            what = "was enrolled with another model" if voice.arrays else "is no preset: OmniVoice has none"
            raise Refused(f"the voice {voice.name!r} {what}", hint="enrol it with this model")
        text = "".join(chr(int(point)) for point in voice.arrays[_TEXT])
        return Reference(codes.astype(np.int64), text, float(voice.arrays[_RMS][0]))


def _encode(encoder: VoiceEncoder, samples: Samples) -> Codes:
    with torch.inference_mode():
        device = encoder.join[0].device
        codes: Codes = encoder.encode(torch.from_numpy(samples).to(device)).cpu().numpy()
    return codes
