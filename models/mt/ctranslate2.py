"""Decoder-only translation models in 8 bits on the CPU, through CTranslate2; terms it misses are searched for exactly.

CTranslate2 has no step interface, so nothing can be forced into its search. A text that fails its check is looked for
among its eight best; if none passes, the same checkpoint translates it in torch, under the constrained search.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from models.mt.batching import BatchedTranslator, check_settings, ready_translator
from models.mt.catalog import Entry
from models.mt.causal_lm import CausalLM
from models.mt.checkpoint import local_folder, missing_packages
from models.mt.int8_decoding import Int8Decoder
from pipeline.contracts import Missing, Progress
from pipeline.errors import FETCH_MODELS, ModelError


@dataclass(frozen=True, slots=True)
class CTranslate2:
    """A `TranslatorBackend`; fields as of `models.mt.causal_lm.CausalLM`.

    ``converted`` is where the 8-bit model is kept (by default in the user's cache), ``threads`` 0 as many as it likes.
    """

    model: str = "lmt-60-0.6b"
    prompt: str | None = None
    languages: tuple[str, ...] = ()
    converted: str = ""
    beams: int = 4
    batch: int = 8
    threads: int = 0
    longest_source: int = 512
    window_ms: float = 5.0

    def __post_init__(self) -> None:
        check_settings(self.beams, self.batch, self.longest_source, self.window_ms)

    def exact(self) -> CausalLM:
        """Return the same checkpoint in torch."""
        return CausalLM(self.model, self.prompt, self.languages, "cpu", "float32", self.beams, 1, self.longest_source)

    def entry(self) -> Entry:
        """Describe the model; raises `BadInput`."""
        return self.exact().entry()

    def folder(self) -> Path:
        """Return the folder of the 8-bit model."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
        name = self.entry().name.strip("/").replace("/", "--")
        return Path(self.converted).expanduser() if self.converted else cache / "translate-live" / f"{name}-int8"

    def missing(self) -> Sequence[Missing]:
        """Name what this machine lacks to run it."""
        packages = missing_packages(("ctranslate2", "torch", "transformers", "safetensors"))
        if lacking := packages or self.exact().missing():
            return lacking
        ready = (self.folder() / "model.bin").is_file()
        return [] if ready else [Missing(f"the 8-bit form of {self.model}", FETCH_MODELS)]

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Return the (source, target) languages it translates."""
        return self.entry().pairs()

    def pull(self, progress: Progress) -> None:
        """Download the checkpoint and convert it to 8 bits."""
        self.exact().pull(progress)
        if not (self.folder() / "model.bin").is_file():
            from ctranslate2.converters import TransformersConverter

            progress(f"converting {self.model} to 8 bits", 0.0)
            self.folder().parent.mkdir(parents=True, exist_ok=True)
            TransformersConverter(str(local_folder(self.entry().repository))).convert(
                str(self.folder()), quantization="int8", force=True
            )
            progress(f"converted {self.model}", 1.0)

    def load(self) -> AbstractAsyncContextManager[BatchedTranslator]:
        """Load the 8-bit model into a thread of its own and warm it up; torch is loaded when a text first needs it."""
        return ready_translator(self._decoder, self.entry(), self.batch, self.window_ms)

    def _decoder(self) -> Int8Decoder:
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
