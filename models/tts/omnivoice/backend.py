"""OmniVoice as a backend: settings, license, what is missing, download, loading."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from models.hub import hub_folder
from models.model_files import count_elements, number_bytes, on_gpu
from models.tts.checkpoint import checkpoint_folder, missing_checkpoint, pull_checkpoint
from models.tts.engines import turned
from models.tts.omnivoice.config import AUDIO_TOKENIZER, MEASURED, MOST_FRAMES, POSITIONS, UNMEASURED, read_model_config
from models.tts.omnivoice.prompt import attributes
from pipeline.contracts import Missing, Progress, Synthesizer
from pipeline.errors import BadInput, Refused
from pipeline.lane import Lane
from pipeline.speech_facts import SpeechFacts

LICENSE = (
    "OmniVoice's weights are CC-BY-NC (no commercial use), and its audio tokenizer, Higgs Audio v2, stands under the Boson "
    "Higgs Audio 2 Community License (attribution, the terms of Meta Llama 3, and none of it above 100,000 users a year "
    "without a license of one's own)"
)
"""Limits of the checkpoint's licenses: the weights' by their authors (k2-fsa/OmniVoice, issues 235 and 258), the other
as quoted in boson-ai/higgs-audio, issue 184; its text lies in the tokenizer's folder. The package's code is Apache-2.0."""

_CONSENT = "the setting accept_license=true of this synthesizer, if they allow your use"
_LAST = f"{AUDIO_TOKENIZER}/model.safetensors"
_FILES = ("config.json", "tokenizer*.json", "model*.safetensors*", f"{AUDIO_TOKENIZER}/*")
_STEPS = range(4, 65)


@dataclass(frozen=True, slots=True)
class OmniVoice:
    """Settings of OmniVoice, which speaks a unit at once in 16 steps (arXiv:2604.00688). It is in no profile: `LICENSE`."""

    accept_license: bool = False  # you have read both licenses, and your use is one that they allow
    enrols_words: ClassVar[bool] = True
    model: str = "k2-fsa/OmniVoice"  # Hugging Face id or folder
    device: str = "auto"  # "auto", "cpu", "cuda" or "cuda:n"
    dtype: str = "auto"  # "auto" (bfloat16 on CUDA, float32 elsewhere), "bfloat16" or "float32"
    style: str = ""  # attributes of a voice that the model makes up, as "female, low pitch, british accent"
    seed: int = 1
    steps: int = 16  # of a unit; 32, upstream's default, takes twice the time
    sessions: int = 4  # that speak at once; their memory is allocated when loading
    unmeasured: bool = False  # also the languages of which nobody has published how well it speaks them
    graphs: bool = False  # capture steps as CUDA graphs when loading; off, for that has not been run on a GPU

    def missing(self) -> Sequence[Missing]:
        """List the packages and model files that this machine lacks, and first your consent to the licenses."""
        if not self.accept_license:
            return [
                Missing(f"consent to licenses that limit use: {LICENSE}", f"read them, and {_CONSENT}", fetchable=False)
            ]
        return missing_checkpoint(self.model, _LAST)

    def languages(self) -> frozenset[str]:
        """Give the languages it speaks: those that were measured, and with ``unmeasured`` all."""
        return MEASURED | UNMEASURED if self.unmeasured else MEASURED

    def presets(self) -> Collection[str]:
        """List its preset voices: it has none."""
        return ()

    def has_preset(self, name: str) -> bool:
        """Tell that it has no preset voice."""
        return False

    def check_cloning(self) -> None:
        """Do nothing: it learns voices."""

    def describe(self, language: str) -> SpeechFacts:
        """Describe its speech in a language: it clones voices, and makes a unit at once."""
        return SpeechFacts("CC-BY-NC and Boson Higgs Audio 2", cloned=True, streamed=False)

    def check_style(self) -> None:
        """Raise `Refused` for a style with an attribute that the model does not know."""
        attributes(self.style)

    def gpu_memory(self) -> Mapping[str, int]:
        """Estimate the bytes of GPU memory it will take, by purpose; empty on a CPU."""
        if not on_gpu(self.device):
            return {}
        if (folder := hub_folder(self.model, _LAST)) is None:
            return {f"an unknown size for {Path(self.model).name}": 0}
        config = read_model_config(folder)
        session = POSITIONS * config.transformer.hidden + (self.steps + 4) * config.codebooks * MOST_FRAMES
        weights, tokenizer = count_elements(folder), count_elements(folder / AUDIO_TOKENIZER)
        return {
            f"weights of {Path(self.model).name}, from its files": weights * number_bytes(self.dtype) + tokenizer * 4,
            f"prompts and frames of {self.sessions} sessions": self.sessions * session * 4,
        }

    def pull(self, progress: Progress) -> None:
        """Download the checkpoint from Hugging Face, unless it is there; refused without consent to its licenses."""
        self._check_license()
        pull_checkpoint(self.model, _FILES, _LAST, progress)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Synthesizer]:
        """Load the checkpoint and speak a unit, so that the first session waits for nothing."""
        from models.tts.omnivoice.engine import EngineLoop
        from models.tts.omnivoice.loading import load_engine
        from models.tts.omnivoice.synthesizer import OmniVoiceSynthesizer, SynthesizerSettings

        folder = self._checked()
        with Lane("omnivoice") as lane:
            engine, text, encoder = await lane.run(
                load_engine, folder, self.device, self.dtype, self.sessions, self.steps, graphs=self.graphs
            )
            loop = EngineLoop(engine, lane)
            settings = SynthesizerSettings(self.style, self.seed, self.unmeasured)
            async with turned(loop.run(), lane, engine.close):
                yield OmniVoiceSynthesizer(loop, text, encoder, settings)

    def _checked(self) -> Path:
        """Find the checkpoint's folder; raises what its settings and this machine do not allow."""
        self._check_license()
        if self.steps not in _STEPS or self.sessions < 1:
            raise BadInput(f"steps must be {_STEPS[0]} to {_STEPS[-1]} and sessions at least 1")
        self.check_style()
        return checkpoint_folder(self.model, _LAST)

    def _check_license(self) -> None:
        if not self.accept_license:
            raise Refused(LICENSE, hint=_CONSENT, code="license")
