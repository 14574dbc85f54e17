"""VoxCPM2 as a backend: settings, what is missing, download, loading."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.downloads import length
from models.hub import hub_folder
from models.model_files import count_elements, number_bytes, on_gpu
from models.tts.checkpoint import checkpoint_folder, missing_checkpoint, pull_checkpoint
from models.tts.engines import turned
from models.tts.voxcpm.config import LANGUAGES, POSITIONS, VAE_FILES, WEIGHTS, read_model_config
from pipeline.contracts import Missing, Progress, Synthesizer
from pipeline.errors import BadInput
from pipeline.lane import Lane
from pipeline.speech_facts import SpeechFacts

_FILES = ("config.json", "tokenizer*.json", "special_tokens_map.json", "model*.safetensors*", "audiovae.*")
_STEPS = range(2, 65)
_LONGEST_STYLE = 200


@dataclass(frozen=True, slots=True)
class VoxCPM:
    """Settings of VoxCPM2, which streams speech in patches of 160 ms, each drawn by diffusion (arXiv:2509.24650)."""

    model: str = "openbmb/VoxCPM2"  # Hugging Face id or folder
    device: str = "auto"  # "auto", "cpu", "cuda" or "cuda:n"
    dtype: str = "auto"  # "auto" (bfloat16 on CUDA, float32 elsewhere), "bfloat16" or "float32"
    style: str = ""  # a voice or manner in words, as "a calm elderly woman"
    seed: int = 1
    steps: int = 10  # of diffusion for a patch, as upstream
    guidance: float = 2.0  # of diffusion by the text (cfg_value upstream)
    sessions: int = 4  # that speak at once; their memory is allocated when loading

    def missing(self) -> Sequence[Missing]:
        """List the packages and model files that this machine lacks."""
        return missing_checkpoint(self.model, WEIGHTS)

    def languages(self) -> frozenset[str]:
        """Give the ISO 639-1 codes of the thirty languages it speaks."""
        return LANGUAGES

    def presets(self) -> Collection[str]:
        """List its preset voices: it has none."""
        return ()

    def has_preset(self, name: str) -> bool:
        """Tell that it has no preset voice."""
        return False

    def check_cloning(self) -> None:
        """Do nothing: it learns voices."""

    def describe(self, language: str) -> SpeechFacts:
        """Describe its speech in a language: it clones voices, and streams."""
        return SpeechFacts("Apache-2.0" if self.model.startswith("openbmb/") else "", cloned=True)

    def gpu_memory(self) -> Mapping[str, int]:
        """Estimate the bytes of GPU memory it will take, by purpose; empty on a CPU."""
        if not on_gpu(self.device):
            return {}
        weights, remembered, source = _geometry(hub_folder(self.model, WEIGHTS), self.model, number_bytes(self.dtype))
        name = Path(self.model).name
        if not weights:
            return {f"an unknown size for {name}": 0}
        return {
            f"weights of {name}, from {source}": weights,
            f"caches of {self.sessions} sessions of {name}": self.sessions
            * POSITIONS
            * remembered
            * number_bytes(self.dtype),
        }

    def pull(self, progress: Progress) -> None:
        """Download the checkpoint from Hugging Face, unless it is there."""
        pull_checkpoint(self.model, _FILES, WEIGHTS, progress)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Synthesizer]:
        """Load the checkpoint and speak a little, so that the first session waits for nothing."""
        from models.tts.voxcpm.diffusion import Diffusion
        from models.tts.voxcpm.engine import EngineLoop
        from models.tts.voxcpm.loading import load_engine
        from models.tts.voxcpm.synthesizer import SynthesizerSettings, VoxCPMSynthesizer

        folder, diffusion = self._checked(), Diffusion(self.steps, self.guidance)
        with Lane("voxcpm") as lane:
            engine, text, encoder = await lane.run(load_engine, folder, self.device, self.dtype, self.sessions, diffusion)
            loop = EngineLoop(engine, lane)
            async with turned(loop.run(), lane, engine.close):
                yield VoxCPMSynthesizer(loop, text, encoder, SynthesizerSettings(self.style, self.seed))

    def _checked(self) -> Path:
        """Find the checkpoint's folder; raises what its settings and this machine do not allow."""
        if self.steps not in _STEPS or self.sessions < 1:
            raise BadInput(f"steps must be {_STEPS[0]} to {_STEPS[-1]} and sessions at least 1")
        if len(self.style) > _LONGEST_STYLE:
            raise BadInput(f"a style has at most {_LONGEST_STYLE} letters, this one has {len(self.style)}")
        return checkpoint_folder(self.model, WEIGHTS)


_PUBLISHED = "openbmb/VoxCPM2"
_PUBLISHED_NUMBERS, _PUBLISHED_VAE = 2_290_004_544, 94_213_954
_PUBLISHED_POSITION = (28 + 8) * 2 * 2 * 128
"""Numbers of the published weights, of its audio VAE, and of one position: keys and values of 36 layers, 2 heads of 128."""


def _geometry(folder: Path | None, model: str, number_bytes: int) -> tuple[int, int, str]:
    """Give the bytes of all weights, the numbers of a position, and the source of both; no bytes: unknown."""
    if folder is None:
        weights = _PUBLISHED_NUMBERS * number_bytes + _PUBLISHED_VAE * 4 if model == _PUBLISHED else 0
        return weights, _PUBLISHED_POSITION, "its published geometry"
    vae = next((size for name in VAE_FILES if (size := length(folder / name))), 0)  # float32, as it is computed
    numbers = count_elements(folder, without=("encoder.", "decoder."))
    return numbers * number_bytes + vae, read_model_config(folder).remembered, "its files"
