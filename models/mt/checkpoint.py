"""Checkpoints of Hugging Face models as backends: a folder, or a repository downloaded before, and its GPU memory.

Loading never uses the network.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

from models.cuda import choose_device, choose_dtype, leave_out_cudnn_attention, take_stream
from models.hub import fetch_snapshot, hub_folder
from models.model_files import count_elements, missing_packages, number_bytes
from models.mt.batching import BatchDecoder, BatchedTranslator, check_settings, ready_translator
from models.mt.catalog import CatalogEntry, entry_of
from pipeline.contracts import Missing, Progress
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, NetworkError, nearest

Loaded: TypeAlias = Any  # transformers is not analyzed
PACKAGES = ("torch", "transformers", "safetensors")
CHAT_MODEL = "a model that was trained to be asked in a chat, such as translator.model=lmt-60-1.7b"
_FILES, _LAST = ("*.json", "*.safetensors", "*.model", "*.spm", "*.txt", "*.jinja"), "config.json"
_UNITS = {"b": 1_000_000_000, "m": 1_000_000}


@dataclass(frozen=True, slots=True)
class CheckpointBackend(ABC):
    """A `TranslatorBackend` of one checkpoint; a class for each way to load one says what is its own.

    ``model`` is a name of `models.mt.catalog`, a folder or a repository; for the latter two ``prompt`` (one of the class's
    ``PROMPTS``) and ``languages`` say how to ask it and what it speaks. ``batch`` is how many texts are translated at once,
    ``beams`` the width of the search for units (drafts are greedy), ``window_ms`` how long a text waits for others where
    they are expected (`models.mt.batching`).
    """

    KIND: ClassVar[Literal["causal", "seq2seq"]]
    PROMPTS: ClassVar[Iterable[str]]
    NEEDS: ClassVar[Sequence[str]] = PACKAGES

    model: str
    prompt: str | None = None
    languages: tuple[str, ...] = ()
    beams: int = 4
    batch: int = 8
    longest_source: int = 512
    window_ms: float = 5.0

    def __post_init__(self) -> None:
        check_settings(self.beams, self.batch, self.longest_source, self.window_ms)

    def entry(self) -> CatalogEntry:
        """Describe the model; raises `BadInput`."""
        entry = entry_of(self.model, self.KIND, self.prompt, self.languages)
        if entry.prompt not in self.PROMPTS:
            raise BadInput(f"the prompt {entry.prompt!r} is unknown; {nearest(entry.prompt, self.PROMPTS)}")
        return entry

    def missing(self) -> Sequence[Missing]:
        """Name what this machine lacks to run it."""
        if packages := missing_packages(self.NEEDS):
            return packages
        repository = self.entry().repository
        return self.incomplete() if local_folder(repository) else [Missing(f"the model {repository}", FETCH_MODELS)]

    def incomplete(self) -> Sequence[Missing]:
        """Name what the checkpoint on this machine lacks."""
        return []

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Return the (source, target) languages it translates."""
        return self.entry().pairs()

    def pull(self, progress: Progress) -> None:
        """Download the checkpoint."""
        pull_checkpoint(self.entry().repository, progress)

    def load(self) -> AbstractAsyncContextManager[BatchedTranslator]:
        """Load the model into a thread of its own and warm it up."""
        entry = self.entry()
        return ready_translator(self.decoder, entry.name, [min(entry.pairs())], self.batch, self.window_ms)

    @abstractmethod
    def decoder(self) -> BatchDecoder:
        """Load the model; blocking. Raises `ModelError`."""


def missing_chat_template(repository: str) -> list[Missing]:
    """Name the chat template that a checkpoint on this machine lacks, without which it cannot be asked."""
    folder = local_folder(repository)
    if folder is None or (folder / "chat_template.jinja").is_file() or '"chat_template"' in _tokenizer_config(folder):
        return []
    return [Missing(f"a chat template in {repository}", CHAT_MODEL, fetchable=False)]


def _tokenizer_config(folder: Path) -> str:
    file = folder / "tokenizer_config.json"
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def local_folder(repository: str) -> Path | None:
    """Return the folder of a checkpoint that is all there: a configuration and weights; else None."""
    folder = hub_folder(repository, _LAST)
    weights = folder is not None and (any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin")))
    return folder if weights else None


def pull_checkpoint(repository: str, progress: Progress) -> None:
    """Download a checkpoint, unless it is there; raises `NetworkError`."""
    if local_folder(repository):
        return
    if Path(repository).is_absolute() or repository.count("/") != 1:
        raise BadInput(f"{repository!r} is neither a folder with a model nor a repository such as 'NiuTrans/LMT-60-0.6B'")
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise NetworkError(f"{repository} is not on this machine and HF_HUB_OFFLINE=1 forbids to download it")
    fetch_snapshot(repository, _FILES, _LAST, progress)


def load_checkpoint(repository: str, kind: str, device: str, dtype: str) -> tuple[Loaded, Loaded]:
    """Load a model (``causal`` or ``seq2seq``), for this thread to run, and its tokenizer; raises `ModelError`."""
    folder = local_folder(repository)
    if folder is None:
        raise ModelError(f"the model {repository} is not on this machine", hint=FETCH_MODELS)
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    chosen = choose_device(device)
    numbers = choose_dtype(dtype, chosen, ("bfloat16", "float16", "float32"))
    loader = AutoModelForCausalLM if kind == "causal" else AutoModelForSeq2SeqLM
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = loader.from_pretrained(folder, local_files_only=True, dtype=numbers)
        model = model.to(chosen).eval()
    except Exception as error:  # a damaged file raises whatever its parser raises
        raise ModelError(f"cannot load {folder}: {error}", hint=f"delete the folder, then {FETCH_MODELS}") from error
    leave_out_cudnn_attention()
    take_stream(model.device)
    return model, tokenizer


def gpu_memory(entry: CatalogEntry, dtype: str) -> Mapping[str, int]:
    """Return the bytes of the weights, with where the figure comes from; 0 where neither files nor name tell."""
    folder = local_folder(entry.repository)
    if folder is not None and (count := count_elements(folder)):
        return {f"weights of {entry.name}, from its files": count * number_bytes(dtype)}
    if (size := re.search(r"(\d+(?:\.\d+)?)([bm])$", entry.name)) is None:
        return {f"an unknown size for {entry.name}": 0}
    return {f"weights of {entry.name}, by its name": round(float(size[1]) * _UNITS[size[2]]) * number_bytes(dtype)}


def recorded_memory(entry: CatalogEntry, dtype: str, rows: int) -> Mapping[str, int]:
    """Return the bytes that the recorded steps of searches of up to ``rows`` rows keep: keys and values, and scores.

    0 before the model is downloaded, for its configuration tells. Raises `ModelError` for one that does not.
    """
    from models.mt.steps.fixed_steps import buckets, room  # of steps that are recorded, which few profiles have

    what = f"recorded steps of {entry.name}"
    if (folder := local_folder(entry.repository)) is None:
        return {f"an unknown size for the {what}": 0}
    try:
        shape = json.loads((folder / "config.json").read_text("utf-8"))
        heads = shape["num_attention_heads"]
        width = shape.get("head_dim") or shape["hidden_size"] // heads
        position = 2 * shape["num_hidden_layers"] * shape.get("num_key_value_heads", heads) * width
        most, positions = room(buckets(rows, shape["max_position_embeddings"]))
        scores = 4 * most * shape["vocab_size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        config = folder / "config.json"
        raise ModelError(f"{config} does not tell its geometry ({error!r})", hint="translator.graphs=false") from error
    return {f"{what}, from its configuration": positions * position * number_bytes(dtype) + scores}
