"""One language's model as the package loads it, and what it is asked for; all but `learn` on one thread."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from models.tts.pocket.files import LanguageFiles
from models.tts.text_pieces import cut
from pipeline.errors import ModelError
from pipeline.events import Samples

MOST_TOKENS = 45
"""Most tokens of one utterance: the package cuts at 50, when it has added a full stop."""

_QUIET = logging.NullHandler()
_AGAIN = "fetch it again, or another version of pocket-tts"


@dataclass(frozen=True, slots=True, eq=False)
class LanguageModel:
    """A loaded model; ``voice_key`` names the arrays of voices that it learned, as no other encoder would."""

    language: str
    files: LanguageFiles
    tts: Any  # pocket_tts.TTSModel
    voice_key: str

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return int(self.tts.sample_rate)

    def learn(self, samples: Samples) -> NDArray[np.float32]:
        """Encode a clip as the prompt of a voice: latents [frames, width]."""
        import torch
        from pocket_tts.data.audio_utils import end_on_pause

        with torch.no_grad():
            clip = end_on_pause(torch.from_numpy(samples)[None], self.sample_rate)
            latents: NDArray[np.float32] = self.tts.mimi.encode_to_latent(clip[None])[0].float().numpy()
        return latents

    def fits(self, latents: NDArray[np.float32]) -> bool:
        """Tell if latents are such as `learn` gives."""
        width = self.tts.flow_lm.speaker_proj_weight.shape[1]
        return latents.ndim == 2 and len(latents) > 0 and latents.shape[1] == width and bool(np.isfinite(latents).all())

    def cloned(self, latents: NDArray[np.float32]) -> Any:  # noqa: ANN401 - a state of the package
        """Make the state in which the model speaks with a learned voice."""
        import torch
        from pocket_tts.modules.stateful_module import init_states

        lm = self.tts.flow_lm
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            prompt = torch.nn.functional.linear(
                torch.from_numpy(np.array(latents, np.float32))[None], lm.speaker_proj_weight
            )
            if lm.insert_bos_before_voice:
                prompt = torch.cat([lm.bos_before_voice, prompt], dim=1)
            state = init_states(lm, batch_size=1, sequence_length=prompt.shape[1])
            self.tts._run_flow_lm_and_increment_step(model_state=state, audio_conditioning=prompt)
        return state

    def preset(self, file: Path) -> Any:  # noqa: ANN401 - a state of the package
        """Read the state of one of the package's voices; raises `ModelError` for another model's or a damaged one."""
        from pocket_tts.modules.stateful_module import init_states

        empty = init_states(self.tts.flow_lm, batch_size=1, sequence_length=1)
        try:
            state = self.tts.get_state_for_audio_prompt(file)
            fits = state.keys() == empty.keys() and all(
                state[name]["cache"].shape[3:] == empty[name]["cache"].shape[3:] for name in empty
            )
        except Exception as error:  # the border to the package, whose errors have no class in common
            raise ModelError(f"{file} is no voice of Pocket TTS ({error})", hint=_AGAIN) from error
        if not fits:
            raise ModelError(f"{file} is a voice of another model of Pocket TTS", hint=_AGAIN)
        return state

    def utterances(self, text: str) -> list[str]:
        """Cut a text into parts that the model was trained to say at once."""
        tokenizer = self.tts.flow_lm.conditioner.tokenizer
        return cut(text, lambda part: len(tokenizer.encode(part)), MOST_TOKENS)

    def speak(self, state: Any, text: str, seed: int, stop: threading.Event, give: Callable[[Samples], None]) -> None:  # noqa: ANN401
        """Give the samples of one utterance as they are decoded, until its end or ``stop``; raises `ModelError`.

        The same seed gives the same samples, as the package draws from torch's random numbers.
        """
        import torch

        try:
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                for chunk in self.tts.generate_audio_stream(state, text, stop=stop):
                    give(np.clip(chunk.numpy(), -1, 1))
        except Exception as error:  # the border to the package, whose errors have no class in common
            raise ModelError(f"speech synthesis failed: {error}") from error


def load_model(language: str, files: LanguageFiles, *, int8: bool) -> LanguageModel:
    """Load a language's model with the package and say a sound; raises `ModelError` for files that do not fit."""
    logging.getLogger("pocket_tts").addHandler(_QUIET)
    logging.getLogger().addHandler(_QUIET)  # the package logs to the root, which would begin to write to standard error
    try:
        import torch
        from pocket_tts import TTSModel

        torch.set_num_threads(1)  # as the package does when it is first imported
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 8 bits: of torch about torch
            config = Path(folder) / "config.yaml"
            config.write_text(yaml.safe_dump(dict(files.config)), encoding="utf-8")
            tts = TTSModel.load_model(config=config, quantize=int8)
        tts.max_decoder_frames_per_call = 1  # several at once round otherwise, and how many there are is chance
        model = LanguageModel(language, files, tts, f"{language}-{_encoder_id(tts.mimi)}")
        _warm_up(model)
    except Exception as error:  # the border to the package, whose errors have no class in common
        raise ModelError(
            f"the files of Pocket TTS for {language!r} do not fit: {_first_line(error)}", hint=_AGAIN
        ) from error
    finally:
        logging.getLogger().removeHandler(_QUIET)
    return model


def _warm_up(model: LanguageModel) -> None:
    """Speak a frame in no voice and discard it: kernels are chosen now, not while someone waits."""
    stop = threading.Event()
    silence = np.zeros((2, model.tts.flow_lm.speaker_proj_weight.shape[1]), np.float32)
    model.speak(model.cloned(silence), "a", 0, stop, lambda _: stop.set())


def _encoder_id(mimi: Any) -> str:  # noqa: ANN401 - pocket_tts.models.mimi.MimiModel
    """Give a digest of what encodes clips: each language has an encoder of its own."""
    digest = hashlib.sha256()
    for name, tensor in mimi.state_dict().items():
        if name.startswith(("encoder.", "encoder_transformer.", "downsample.")):
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:3]) or type(error).__name__
