"""Loaded synthesizer: learns voices from a clip and its words, opens sessions, and speaks the units of each."""

from __future__ import annotations

import asyncio
import unicodedata
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from models.tts.engines import all_taken, check_clip, refuse_voice, refusing_when_full
from models.tts.omnivoice.config import MOST_FRAMES, POSITIONS, tag_of
from models.tts.omnivoice.engine import EngineLoop, Utterance
from models.tts.omnivoice.prompt import Codes, PromptTokenizer, Reference, closed, style_for
from models.tts.omnivoice.voice_encoder import VoiceEncoder
from models.tts.silence import EdgeTrim, pause_s
from models.tts.spoken_text import spoken_text
from models.tts.text_pieces import cut, speak_parts
from pipeline.contracts import Speaking, Voice
from pipeline.errors import BadInput, Refused
from pipeline.events import AudioChunk, ReadingUnit, Samples, SpeechChunk

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
            raise all_taken()
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
            raise refuse_voice(voice, "OmniVoice")
        text = "".join(chr(int(point)) for point in voice.arrays[_TEXT])
        return Reference(codes.astype(np.int64), text, float(voice.arrays[_RMS][0]))


def _encode(encoder: VoiceEncoder, samples: Samples) -> Codes:
    with torch.inference_mode():
        device = encoder.join[0].device
        codes: Codes = encoder.encode(torch.from_numpy(samples).to(device)).cpu().numpy()
    return codes


QUIET_RMS = 0.1  # quieter clips are raised to it before they are encoded, and speech lowered again
_PEAK = 0.5  # of a voice that the model makes up, whose loudness means nothing
_LEAST_ANCHOR, _MOST_ANCHOR = 25, 250  # frames, 1 to 10 s: shorter tells too little of a voice, longer costs every step
_WEIGHTS = (
    (0x058F, 1.0), (0x08FF, 1.5), (0x0DFF, 1.8), (0x0EFF, 1.5), (0x109F, 1.8), (0x10FF, 1.0), (0x11FF, 2.5),
    (0x139F, 3.0), (0x177F, 1.0), (0x17FF, 1.8), (0x18FF, 1.0), (0x1C7F, 1.8), (0x1CBF, 1.0), (0x1CFF, 1.8),
    (0x1EFF, 1.0), (0x30FF, 2.2), (0x312F, 3.0), (0x318F, 2.5), (0xA4CF, 3.0), (0xA7FF, 1.0), (0xA82F, 1.8),
    (0xA87F, 1.0), (0xA95F, 1.8), (0xA97F, 2.5), (0xAAFF, 1.8), (0xAB2F, 3.0), (0xABBF, 1.0), (0xABFF, 1.8),
    (0xD7AF, 2.5), (0xFAFF, 3.0), (0xFDFF, 1.5), (0xFE6F, 1.0), (0xFEFF, 1.5), (0xFFEF, 1.0),
)  # fmt: skip
"""Last code point of a range and the weight of its letters; ranges of one weight side by side are one."""

_ENDS = [end for end, _ in _WEIGHTS]
_IDEOGRAPHS_BEYOND = 0x20000
_BY_CATEGORY = {"M": 0.0, "P": 0.5, "S": 0.5, "Z": 0.2, "N": 3.5}
_TATWEEL = "\u0640"  # lengthens a written word, not the spoken one
_SHORT_FRAMES = 50.0
_USUAL = ("Nice to meet you.", 25)
"""Text and frames of speech at the pace that is assumed where there is no reference."""


def estimated_frames(text: str, reference: tuple[str, int] | None = None) -> int:
    """Estimate the frames of ``text``, at least 1, at the pace of the ``reference`` (text, frames), as upstream does.

    A character has a weight by its script: how long it takes to say beside a Latin letter. Short speech is slower than the
    ratio says, so short estimates are raised.
    """
    known, frames = reference if reference is not None and reference[1] and _weight(reference[0]) else _USUAL
    estimate = _weight(text) / (_weight(known) / frames)
    if estimate < _SHORT_FRAMES:
        estimate = _SHORT_FRAMES * (estimate / _SHORT_FRAMES) ** (1 / 3)
    return max(1, int(estimate))


def _weight(text: str) -> float:
    return sum(_of_character(character) for character in text)


@lru_cache(maxsize=4096)
def _of_character(character: str) -> float:
    if character == _TATWEEL:
        return 0.0
    of_category = _BY_CATEGORY.get(unicodedata.category(character)[0])
    if of_category is not None:
        return of_category
    place = bisect_left(_ENDS, ord(character))
    if place < len(_WEIGHTS):
        return _WEIGHTS[place][1]
    return 3.0 if ord(character) > _IDEOGRAPHS_BEYOND else 1.0


@dataclass(slots=True)
class SessionVoice:
    """Voice of one session: its language's tag, style and seed, and the speech whose voice its units take."""

    tag: str
    style: str
    seed: int
    reference: Reference | None
    gain: float | None = None  # of a voice that the model made up

    def loudness(self, samples: Samples) -> float:
        """Choose the factor for a unit's samples: the clip's loudness, or that of the first unit of a voice made up."""
        rms = self.reference.rms if self.reference is not None else None
        if rms is not None:
            return min(1.0, rms / QUIET_RMS)
        peak = float(np.abs(samples).max(initial=1e-6))
        self.gain = self.gain or _PEAK / peak
        return min(self.gain, 1 / peak)


class UnitSpeech:
    """Speaker of a session's units, one after the other; each is decoded as a whole, so its text is awaited first.

    Where no voice is given the model makes one up, and the first unit that is long enough becomes the reference of those
    after it, so that the voice stays.
    """

    def __init__(self, loop: EngineLoop, text: PromptTokenizer, voice: SessionVoice) -> None:
        self._loop, self._text, self._voice = loop, text, voice
        self._rate = loop.engine.decoder.config.sample_rate
        self._one_at_a_time = asyncio.Lock()
        self._spoken = 0

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk]:
        """Speak one unit; closing the iterator stops it after the step under way.

        Raises `ModelError` if speech fails, `DeviceError` when the GPU's memory is full, and the error of ``text`` once all
        text before it has been spoken.
        """

        def parts(whole: str) -> list[str]:
            return cut(spoken_text(whole, unit.language), self._length, MOST_FRAMES)

        async with self._one_at_a_time, aclosing(speak_parts(unit, text, parts, self._speak, self._rate)) as speech:
            async for chunk in speech:
                yield chunk

    def _length(self, text: str) -> int:
        """Tell how long a text is: its frames, or its tokens where they are more."""
        return max(self._frames(text), len(self._text.encode(text)))

    def _frames(self, text: str) -> int:
        reference = self._voice.reference
        return estimated_frames(text, reference.length if reference is not None else None)

    async def _speak(self, text: str) -> AsyncGenerator[Samples]:
        voice, frames = self._voice, min(self._frames(text), MOST_FRAMES)
        prompt = self._text.prompt(text, voice.tag, style_for(voice.style, text), voice.reference)
        self._spoken += 1
        with refusing_when_full("to speak this"):
            spoken = await self._loop.speak(Utterance(prompt, frames, voice.seed + self._spoken))
        samples = spoken.samples * np.float32(voice.loudness(spoken.samples))
        if voice.reference is None and _LEAST_ANCHOR <= frames <= _MOST_ANCHOR:
            voice.reference = Reference(spoken.codes, text, None)
        edges = EdgeTrim(self._rate)
        yield np.concatenate([edges.pass_on(samples), edges.finish(pause_s(text), broken_off=False)])
