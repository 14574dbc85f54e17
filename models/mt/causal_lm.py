"""Decoder-only translation models with a chat template: Hy-MT2, LMT-60, or any other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.gpu_memory import on_gpu
from models.graph_capture import CudaRecorder, Recorder
from models.mt.batching import BatchedTranslator, check_settings, ready_translator
from models.mt.catalog import Entry, entry_of
from models.mt.checkpoint import (
    gpu_memory,
    load_checkpoint,
    missing_chat_template,
    missing_checkpoint,
    missing_packages,
    pull_checkpoint,
    recorded_memory,
)
from models.mt.decoding import Decoder, Prompt
from models.mt.prompts import PROMPTS, Chat
from models.mt.steps.fixed_steps import FixedSteps, buckets
from models.mt.steps.gpu_kernels import use_few_kernels
from models.mt.steps.prefill import Model
from models.mt.steps.step_models import CausalStepModel, end_tokens, never
from models.mt.terms.vocabulary import Tokenizer, Vocabulary, token_bytes
from pipeline.contracts import Missing, Progress, TranslationRequest
from pipeline.errors import BadInput, ModelError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from models.mt.search.model_interface import StepModel


@dataclass(frozen=True, slots=True)
class CausalLM:
    """A `TranslatorBackend`.

    ``model`` is a name of `models.mt.catalog`, a folder or a repository; for the latter two ``prompt`` (one of
    `models.mt.prompts.PROMPTS`) and ``languages`` say how to ask it and what it speaks. ``batch`` is how many texts are
    translated at once, ``beams`` the width of the search for units (drafts are greedy), ``window_ms`` how long a text waits
    for others where they are expected (`models.mt.batching`).

    ``graphs`` records the decoding steps as CUDA graphs when the model is loaded (`models.mt.steps.fixed_steps`); on a CPU
    it changes nothing. It is off because it has not run on a GPU yet: `python -m benchmarks mt --parts speed --device cuda`
    measures it, and `tests/gpu/test_mt_cuda.py` tests it.
    """

    model: str = "hy-mt2-1.8b"
    prompt: str | None = None
    languages: tuple[str, ...] = ()
    device: str = "auto"
    dtype: str = "auto"
    beams: int = 4
    batch: int = 8
    longest_source: int = 512
    window_ms: float = 5.0
    graphs: bool = False

    def __post_init__(self) -> None:
        check_settings(self.beams, self.batch, self.longest_source, self.window_ms)

    def entry(self) -> Entry:
        """Describe the model; raises `BadInput`."""
        entry = entry_of(self.model, "causal", self.prompt, self.languages)
        if entry.prompt not in PROMPTS:
            raise BadInput(f"the prompt {entry.prompt!r} is unknown; {nearest(entry.prompt, PROMPTS)}")
        return entry

    def missing(self) -> Sequence[Missing]:
        """Name what this machine lacks to run it."""
        repository = self.entry().repository
        return missing_packages() or missing_checkpoint(repository) or missing_chat_template(repository)

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Return the (source, target) languages it translates."""
        return self.entry().pairs()

    def gpu_memory(self) -> Mapping[str, int]:
        """Return the bytes that it will take of a GPU, by what takes them; none on a CPU."""
        if not on_gpu(self.device):
            return {}
        steps = recorded_memory(self.entry(), self.dtype, self.batch * self.beams) if self.graphs else {}
        return {**gpu_memory(self.entry(), self.dtype), **steps}

    def pull(self, progress: Progress) -> None:
        """Download the checkpoint."""
        pull_checkpoint(self.entry().repository, progress)

    def load(self) -> AbstractAsyncContextManager[BatchedTranslator]:
        """Load the model into a thread of its own and warm it up."""
        return ready_translator(self.decoder, self.entry(), self.batch, self.window_ms)

    def decoder(self) -> Decoder:
        """Load the model; blocking. Raises `ModelError`."""
        entry = self.entry()
        model, tokenizer = load_checkpoint(entry.repository, "causal", self.device, self.dtype)
        on_cuda = model.device.type == "cuda"
        if on_cuda:
            use_few_kernels(model)
        record = CudaRecorder(model.device) if self.graphs and on_cuda else None
        architecture = CausalArchitecture(model, tokenizer, entry, self.batch * self.beams, record)
        return Decoder(architecture, self.beams, self.longest_source)


class CausalArchitecture:
    """A decoder-only model as the decoder needs it: the chat prompt, then the forced prefix of the answer."""

    def __init__(
        self, model: Model, tokenizer: Tokenizer, entry: Entry, rows: int = 0, recorder: Recorder | None = None
    ) -> None:
        """Record the steps of searches of up to ``rows`` rows, if there is a ``recorder``; raises `ModelError`."""
        self._model, self._chat = model, Chat(tokenizer, entry)
        self.vocabulary = Vocabulary(token_bytes(tokenizer, model.get_output_embeddings().weight.shape[0]))
        self.ends = end_tokens(model, tokenizer)
        self._never = never(self.vocabulary, self.ends, model.device)
        self._fixed = _recorded(model, self._never, rows, recorder) if recorder else None

    def prompt(self, request: TranslationRequest) -> Prompt:
        """Return the request as tokens; raises `BadInput` for a pair the model does not translate."""
        return self._chat.prompt(request)

    def step_model(self, prompts: Sequence[Prompt], needed: Sequence[Collection[int]]) -> StepModel:
        """Return what continues these prompts."""
        tokens = [(*prompt.source, *prompt.target) for prompt in prompts]
        return CausalStepModel(self._model, tokens, self._never, self._fixed)


def _recorded(model: Model, bias: Tensor, rows: int, recorder: Recorder) -> FixedSteps:
    """Record the steps; raises `ModelError` for a model whose configuration does not say how long a text it reads."""
    if (positions := getattr(model.config, "max_position_embeddings", None)) is None:
        raise ModelError(f"{type(model).__name__} does not say how many positions it has", hint="translator.graphs=false")
    return FixedSteps(model, bias, buckets(rows, positions), recorder)
