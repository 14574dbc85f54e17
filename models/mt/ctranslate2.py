"""Decoder-only translation models in 8 bits on the CPU, through CTranslate2; terms it misses are searched for exactly.

CTranslate2 has no step interface, so nothing can be forced into its search. A text that fails its check is looked for
among its eight best; if none passes, the same checkpoint translates it in torch, under the constrained search.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.mt.causal_lm import CausalLM
from models.mt.checkpoint import PACKAGES, CheckpointBackend, local_folder, missing_chat_template, pull_checkpoint
from models.mt.int8_decoding import Int8Decoder
from models.mt.prompts import PROMPTS
from pipeline.contracts import Missing, Progress
from pipeline.errors import FETCH_MODELS, ModelError


@dataclass(frozen=True, slots=True)
class CTranslate2(CheckpointBackend):
    """A `TranslatorBackend`; ``prompt`` is one of `models.mt.prompts.PROMPTS`.

    ``converted`` is where the 8-bit model is kept (by default in the user's cache), ``threads`` 0 as many as it likes.
    Torch is loaded when a text first needs it.
    """

    KIND = "causal"
    PROMPTS = PROMPTS
    NEEDS = ("ctranslate2", *PACKAGES)

    model: str = "lmt-60-0.6b"
    converted: str = ""
    threads: int = 0

    def exact(self) -> CausalLM:
        """Return the same checkpoint in torch."""
        same = {name: getattr(self, name) for name in ("model", "prompt", "languages", "beams", "longest_source")}
        return CausalLM(**same, batch=1, device="cpu", dtype="float32")

    def folder(self) -> Path:
        """Return the folder of the 8-bit model."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        name = self.entry().name.strip("/").replace("/", "--")
        return Path(self.converted).expanduser() if self.converted else cache / "translate-live" / f"{name}-int8"

    def incomplete(self) -> Sequence[Missing]:
        """Name the chat template if the checkpoint lacks it, or the 8-bit form."""
        ready = (self.folder() / "model.bin").is_file()
        form = [] if ready else [Missing(f"the 8-bit form of {self.model}", FETCH_MODELS)]
        return missing_chat_template(self.entry().repository) or form

    def pull(self, progress: Progress) -> None:
        """Download the checkpoint and convert it to 8 bits."""
        pull_checkpoint(self.entry().repository, progress)
        if not (self.folder() / "model.bin").is_file():
            from ctranslate2.converters import TransformersConverter

            progress(f"converting {self.model} to 8 bits", 0.0)
            self.folder().parent.mkdir(parents=True, exist_ok=True)
            TransformersConverter(str(local_folder(self.entry().repository))).convert(
                str(self.folder()), quantization="int8", force=True
            )
            progress(f"converted {self.model}", 1.0)

    def decoder(self) -> Int8Decoder:
        """Load the model; blocking. Raises `ModelError`."""
        if lacking := self.missing():
            raise ModelError("; ".join(f"{one.what} is missing: {one.fix}" for one in lacking))
        import ctranslate2
        from transformers import AutoTokenizer

        try:
            settings = {"device": "cpu", "compute_type": "int8", "intra_threads": self.threads}
            generator = ctranslate2.Generator(str(self.folder()), **settings)
            tokenizer = AutoTokenizer.from_pretrained(local_folder(self.entry().repository), local_files_only=True)
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(f"cannot load {self.folder()}: {error}", hint=f"delete it, then {FETCH_MODELS}") from error
        limits = {"beams": self.beams, "longest_source": self.longest_source}
        return Int8Decoder(generator, tokenizer, self.entry(), **limits, exact=self.exact().decoder)
