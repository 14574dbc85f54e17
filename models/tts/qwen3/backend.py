"""Qwen3-TTS as a backend: settings, what is missing, download, loading."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.hub import hub_folder
from models.model_files import count_elements, number_bytes, on_gpu
from models.tts.checkpoint import checkpoint_folder, missing_checkpoint, pull_checkpoint
from models.tts.engines import turned
from models.tts.qwen3.config import (
    CODEC_ENCODER,
    LANGUAGES,
    POSITIONS,
    TEXT_CAPACITY,
    ModelConfig,
    read_codec_config,
    read_model_config,
    refuse_cloning,
    refuse_preset,
    refuse_style,
)
from pipeline.contracts import Missing, Progress, Synthesizer
from pipeline.lane import Lane
from pipeline.speech_facts import SpeechFacts

_CODEC_CONFIG = "speech_tokenizer/config.json"
_FILES = ("*.json", "*.txt", "*.safetensors", "speech_tokenizer/*")


@dataclass(frozen=True, slots=True)
class Qwen3TTS:
    """Settings of Qwen3-TTS 12 Hz, which streams speech frame by frame (arXiv:2601.15621)."""

    model: str = "Qwen/Qwen3-TTS-12Hz-1.7B-Base"  # Hugging Face id or folder
    device: str = "auto"  # "auto", "cpu", "cuda" or "cuda:n"
    dtype: str = "auto"  # "auto" (bfloat16 on CUDA, float32 elsewhere), "bfloat16" or "float32"
    voice: str = ""  # a preset of the checkpoint
    style: str = ""  # an instruction, for checkpoints that take one
    seed: int = 1
    greedy: bool = False  # for tests only: greedy speech loops
    sessions: int = 4  # that speak at once; their memory is allocated when loading
    renew_after_s: float = 300.0  # of speech, after which a session's voice is renewed from its vector
    graphs: bool = False  # capture all work as CUDA graphs when loading; off, for that has not been run on a GPU

    def missing(self) -> Sequence[Missing]:
        """List the packages and model files that this machine lacks."""
        return missing_checkpoint(self.model, _CODEC_CONFIG)

    def languages(self) -> frozenset[str]:
        """Give the ISO 639-1 codes of the ten languages it speaks."""
        return frozenset(LANGUAGES)

    def presets(self) -> Collection[str]:
        """List the voices of a CustomVoice checkpoint; a Base one has none, it speaks in enrolled voices."""
        return sorted(self._config().speakers)

    def has_preset(self, name: str) -> bool:
        """Tell if the checkpoint has a preset voice of this name, in any case."""
        return name.lower() in self._config().speakers

    def check_cloning(self) -> None:
        """Raise `Refused` unless this is a Base checkpoint."""
        if (kind := self._config().kind) != "base":
            raise refuse_cloning(kind)

    def describe(self, language: str) -> SpeechFacts:
        """Describe its speech in a language: it streams, and clones voices where the checkpoint's name says Base."""
        license_ = "Apache-2.0" if self.model.startswith("Qwen/") else ""
        return SpeechFacts(license_, cloned=self.model.endswith("-Base"))

    def check_style(self) -> None:
        """Raise `Refused` for a style that the checkpoint was not trained to follow."""
        config = self._config()
        if self.style and not config.takes_style:
            raise refuse_style(config.kind, config.size)

    def gpu_memory(self) -> Mapping[str, int]:
        """Estimate the bytes of GPU memory it will take, by purpose; empty on a CPU."""
        if not on_gpu(self.device):
            return {}
        return estimated_memory(self.model, hub_folder(self.model, _CODEC_CONFIG), self.sessions, number_bytes(self.dtype))

    def pull(self, progress: Progress) -> None:
        """Download the checkpoint from Hugging Face, unless it is there."""
        pull_checkpoint(self.model, _FILES, _CODEC_CONFIG, progress)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Synthesizer]:
        """Load the checkpoint and speak a few frames, so that the first session waits for nothing."""
        from models.tts.qwen3.engine import EngineLoop
        from models.tts.qwen3.loading import load_engine
        from models.tts.qwen3.synthesizer import Qwen3Synthesizer, SynthesizerSettings

        folder = self.folder()
        self.check_style()
        if self.voice and not self.has_preset(self.voice):
            raise refuse_preset(self.voice, self.presets())
        with Lane("qwen3-tts") as lane:
            engine, text, encoder = await lane.run(
                load_engine, folder, self.device, self.dtype, self.sessions, greedy=self.greedy, graphs=self.graphs
            )
            loop = EngineLoop(engine, lane)
            settings = SynthesizerSettings(self.voice, self.style, self.seed, self.renew_after_s)
            async with turned(loop.run(), lane, engine.close) as tasks:
                yield Qwen3Synthesizer(loop, text, encoder, settings, tasks)

    def folder(self) -> Path:
        """Find the checkpoint's folder; raises `ModelError` if it is not on this machine."""
        return checkpoint_folder(self.model, _CODEC_CONFIG)

    def _config(self) -> ModelConfig:
        return read_model_config(self.folder())


_CODEC = 114_323_137  # numbers of the codec's decoder
_PUBLISHED = {"0.6B": 914_643_008 + _CODEC, "1.7B": 1_928_677_440 + _CODEC}
"""Numbers of a Base checkpoint; the others lack the speaker encoder, half a percent."""
_PUBLISHED_SESSION = 28 * 2 * 8 * 128 * POSITIONS + 1_304_736
"""Numbers that a session keeps: keys and values of 28 layers with 8 heads of 128, and its codec stream."""


def estimated_memory(model: str, folder: Path | None, sessions: int, number_bytes: int) -> Mapping[str, int]:
    """Estimate the bytes of weights and of the memory for ``sessions``, named with the source of the figure.

    0 for a model that is not on this machine and whose name tells no published size.
    """
    if folder is not None:
        codec = count_elements(folder / "speech_tokenizer", without=CODEC_ENCODER)
        weights, session, source = count_elements(folder) + codec, _session(folder), "its files"
    else:
        weights = next((count for size, count in _PUBLISHED.items() if size in model), 0)
        session, source = _PUBLISHED_SESSION, "its published geometry"
    name = Path(model).name
    if not weights:
        return {f"an unknown size for {name}": 0}
    return {
        f"weights of {name}, from {source}": weights * number_bytes,
        f"caches of {sessions} sessions": sessions * session * number_bytes,
    }


def _session(folder: Path) -> int:
    """Count the numbers that a session keeps: keys and values of talker and codec, and its text."""
    talker, codec = read_model_config(folder).talker, read_codec_config(folder)
    window = codec.transformer
    said = 2 * talker.layers * talker.kv_heads * talker.head_dim * POSITIONS
    heard = 2 * window.layers * window.kv_heads * window.head_dim * (codec.window - 1)
    return said + heard + (TEXT_CAPACITY + 1) * talker.hidden
