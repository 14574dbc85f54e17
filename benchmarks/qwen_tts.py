"""The official ``qwen-tts`` package as a backend: whole text in, whole audio out.

Slower than `models.tts.qwen3` and without its continuity from unit to unit: the oracle of tests, and for comparison.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from models.tts.clip import check_clip
from models.tts.qwen3.backend import Qwen3TTS
from models.tts.qwen3.config import LANGUAGES, refuse_cloning, refuse_language
from models.tts.text_pieces import speakable
from pipeline.contracts import Missing, Progress, Speaking, Synthesizer, Voice
from pipeline.errors import ModelError, Refused
from pipeline.events import AudioChunk, ReadingUnit, SpeechChunk
from pipeline.lane import Lane

_ENCODER_RATE = 24_000
_SPEAKER = "speaker"


@dataclass(frozen=True, slots=True)
class QwenTTS:
    """Settings of the official package's backend, named as in `Qwen3TTS`."""

    model: str = "Qwen/Qwen3-TTS-12Hz-1.7B-Base"
    device: str = "cpu"
    dtype: str = "float32"
    voice: str = ""
    most_frames: int = 375  # of a unit, 12.5 a second

    def missing(self) -> Sequence[Missing]:
        """List the packages and model files that this machine lacks."""
        lacking = [name for name in ("qwen_tts", "librosa") if find_spec(name) is None]
        if lacking:
            return [Missing(f"Python packages {', '.join(lacking)}", "pip install 'translate-live[qwen-tts]'")]
        return Qwen3TTS(self.model).missing()

    def languages(self) -> frozenset[str]:
        """Give the ISO 639-1 codes of the ten languages it speaks."""
        return frozenset(LANGUAGES)

    def presets(self) -> Collection[str]:
        """See `Qwen3TTS.presets`."""
        return Qwen3TTS(self.model).presets()

    def has_preset(self, name: str) -> bool:
        """See `Qwen3TTS.has_preset`."""
        return Qwen3TTS(self.model).has_preset(name)

    def check_cloning(self) -> None:
        """See `Qwen3TTS.check_cloning`."""
        Qwen3TTS(self.model).check_cloning()

    def pull(self, progress: Progress) -> None:
        """Download the checkpoint from Hugging Face, unless it is there."""
        Qwen3TTS(self.model).pull(progress)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Synthesizer]:
        """Load the checkpoint as the official package does."""
        folder = Qwen3TTS(self.model).folder()
        with Lane("qwen-tts") as lane:
            model = await lane.run(_load, folder, self.device, self.dtype)
            yield OfficialSynthesizer(model, lane, self.voice, self.most_frames)


class OfficialSynthesizer:
    """Synthesizer of the official model; sessions take turns on it."""

    def __init__(self, model: Any, lane: Lane, preset: str, most_frames: int) -> None:  # noqa: ANN401 - untyped package
        self._model, self._lane, self._preset, self._most_frames = model, lane, preset, most_frames

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Learn a voice from 3 to 15 s of speech; only Base checkpoints can."""
        if self._model.model.speaker_encoder is None:
            raise refuse_cloning(self._model.model.tts_model_type)
        samples = check_clip(audio, _ENCODER_RATE)
        vector = await self._lane.run(self._model.model.extract_speaker_embedding, samples, _ENCODER_RATE)
        return Voice("enrolled", {_SPEAKER: vector.float().cpu().numpy()})

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        """Begin a session in one of the ten languages, in an enrolled or a preset voice."""
        if language not in LANGUAGES:
            raise refuse_language(language)
        chosen = voice or Voice(self._preset)
        if _SPEAKER not in chosen.arrays and self._model.model.tts_model_type != "custom_voice":
            raise Refused("the official package speaks a Base checkpoint in enrolled voices only", hint="enrol one")
        yield OfficialSpeaking(self._model, self._lane, chosen, LANGUAGES[language], self._most_frames)


class OfficialSpeaking:
    """Speaker of one session; every unit is spoken on its own."""

    def __init__(self, model: Any, lane: Lane, voice: Voice, language: str, most_frames: int) -> None:  # noqa: ANN401
        self._model, self._lane, self._voice = model, lane, voice
        self._language, self._most_frames = language, most_frames

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk]:
        """Wait for the whole text, then give all of its speech at once."""
        whole = "".join([piece async for piece in text]).strip()
        samples, sample_rate = np.zeros(0, dtype=np.float32), _ENCODER_RATE
        if speakable(whole):
            samples, sample_rate = await self._lane.run(self._generate, whole)
        yield SpeechChunk(unit.number, samples, sample_rate, last=True)

    def _generate(self, text: str) -> tuple[np.typing.NDArray[np.float32], int]:
        limit = {"max_new_tokens": self._most_frames, "language": self._language.capitalize()}
        if _SPEAKER not in self._voice.arrays:
            speaker = self._voice.name or sorted(self._model.get_supported_speakers())[0]
            waves, sample_rate = self._model.generate_custom_voice(text, speaker, **limit)
        else:
            prompt = {
                "ref_code": [None],
                "ref_spk_embedding": [torch.from_numpy(self._voice.arrays[_SPEAKER])],
                "x_vector_only_mode": [True],
                "icl_mode": [False],
            }
            waves, sample_rate = self._model.generate_voice_clone(text, voice_clone_prompt=prompt, **limit)
        return waves[0], sample_rate


def import_official() -> ModuleType:
    """Import ``qwen_tts`` without its 25 Hz codec, the only part that needs torchaudio and sox."""
    name = "qwen_tts.core.tokenizer_25hz.modeling_qwen3_tts_tokenizer_v1"
    if name not in sys.modules:
        stub = ModuleType(name)
        stub.Qwen3TTSTokenizerV1Model = type("Qwen3TTSTokenizerV1Model", (), {})  # type: ignore[attr-defined]
        sys.modules[name] = stub
    return import_module("qwen_tts")


def _load(folder: Path, device: str, dtype: str) -> Any:  # noqa: ANN401 - untyped package
    try:
        return import_official().Qwen3TTSModel.from_pretrained(str(folder), device_map=device, dtype=getattr(torch, dtype))
    except (OSError, ValueError, RuntimeError, ImportError, AttributeError) as error:
        raise ModelError(f"the official package cannot load {folder} ({error})", hint="transformers 4.57.3") from error
