"""Checkpoints of Pocket TTS of random weights in the package's own format, tiny or of the published sizes.

For tests and speed figures: nothing that is measured or proved with them needs trained weights. The model is built by the
package from one of its own configurations. Needs ``pip install 'translate-live[pocket]'``.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from pocket_tts import export_model_state
from pocket_tts.models.mimi import build_mimi
from pocket_tts.models.tts_model import TTSModel, stamp_state_names
from pocket_tts.utils.config import Config
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from models.tts.pocket.files import config_path

GEOMETRIES = ("tiny", "real")
_TINY: Mapping[str, Mapping[str, Any]] = {
    "flow_lm.transformer": {"d_model": 64, "num_heads": 4, "num_layers": 2, "hidden_scale": 2},
    "flow_lm.flow": {"dim": 32, "depth": 2},
    "flow_lm.lookup_table": {"dim": 64, "n_bins": 300},
    "mimi": {"inner_dim": 8, "outer_dim": 32},
    "mimi.seanet": {"dimension": 32, "n_filters": 4},
    "mimi.transformer": {
        "d_model": 32, "num_heads": 4, "num_layers": 1, "dim_feedforward": 64,
        "input_dimension": 32, "output_dimensions": [32],
    },
    "mimi.quantizer": {"dimension": 8, "output_dimension": 32},
}  # fmt: skip


def write_checkpoint(
    folder: Path,
    geometry: str = "tiny",
    *,
    language: str = "es",
    seed: int = 0,
    endless: bool = False,
    words: Sequence[str] = (),
) -> Path:
    """Write the model of a language, with a voice called ana, into a folder as `Pocket` takes one, and give the folder.

    Speech of random weights ends at once, or if it is ``endless`` at the package's limit of frames, which is reckoned from
    the tokens of its text; ``words`` have a token each.
    """
    place = folder / language
    (place / "voices").mkdir(parents=True, exist_ok=True)
    settings = _settings(geometry) | {"default_eos_threshold": 1e9 if endless else -1e9}
    _write_tokenizer(place / "tokenizer.json", settings["flow_lm"]["lookup_table"]["n_bins"], words)
    (place / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    settings["flow_lm"]["lookup_table"]["tokenizer_path"] = str(place / "tokenizer.json")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        config = Config(**settings)
        tts = TTSModel._from_pydantic_config(config, 0.3, 1, None, 0.0, None)
        tts.mimi = build_mimi(config.mimi)
        width = config.mimi.inner_dim or config.mimi.seanet.dimension
        projection = torch.randn(config.flow_lm.transformer.d_model, width) / width**0.5
        tts.flow_lm.speaker_proj_weight = torch.nn.Parameter(projection)
        stamp_state_names(tts)
        save_file(tts.state_dict(), place / "model.safetensors")
        voice = tts.get_state_for_audio_prompt(torch.randn(1, 3 * tts.sample_rate) * 0.1)
        export_model_state(voice, place / "voices" / "ana.safetensors")
    return folder


def _settings(geometry: str) -> dict[str, Any]:
    """Read the package's English configuration, made small where that is asked for, with files beside it."""
    path = config_path("en", "")
    assert path is not None, "pip install 'translate-live[pocket]'"
    settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, values in (_TINY if geometry == "tiny" else {}).items():
        place = settings
        for key in section.split("."):
            place = place[key]
        place.update(values)
    settings.pop("weights_path_without_voice_cloning")
    settings["weights_path"] = "model.safetensors"
    settings["flow_lm"]["lookup_table"]["tokenizer_path"] = "tokenizer.json"
    return settings


def _write_tokenizer(path: Path, size: int, words: Sequence[str]) -> None:
    """Write a tokenizer of characters and whole words, filled up to ``size``."""
    letters = [*filter(str.isprintable, string.printable.replace(" ", "")), *"áéíóúñüàèìòùâêôãõç¿¡"]
    pieces = ["<unk>", "▁", *letters, "...", *(f"▁{word}" for word in words)]
    scores = [(piece, -2.0 if len(piece) > 1 else -4.0) for piece in pieces]
    scores += [(f"<filler {number}>", -99.0) for number in range(size - len(scores))]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.save(str(path))
