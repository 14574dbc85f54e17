"""Decoder-only translation models with a chat template: Hy-MT2, LMT-60, or any other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from models.cuda import CudaRecorder, Recorder
from models.model_files import on_gpu
from models.mt.catalog import CatalogEntry
from models.mt.checkpoint import CheckpointBackend, gpu_memory, load_checkpoint, missing_chat_template, recorded_memory
from models.mt.decoding import Decoder, Prompt
from models.mt.prompts import PROMPTS, Chat
from models.mt.steps.fixed_steps import FixedSteps, buckets
from models.mt.steps.key_values import Model
from models.mt.steps.step_models import CausalStepModel, end_tokens, never
from models.mt.terms.vocabulary import Tokenizer, Vocabulary, token_bytes
from pipeline.contracts import Missing, TranslationRequest
from pipeline.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from models.mt.search.model_interface import StepModel


_GROUPED = "sdpa_grouped"


@dataclass(frozen=True, slots=True)
class CausalLM(CheckpointBackend):
    """A `TranslatorBackend`; ``prompt`` is one of `models.mt.prompts.PROMPTS`.

    ``graphs`` records the decoding steps as CUDA graphs when the model is loaded (`models.mt.steps.fixed_steps`); on a CPU
    it changes nothing. It is off because it has not run on a GPU yet: `python -m benchmarks mt --parts speed --device cuda`
    measures it, and `tests/gpu/test_mt_cuda.py` tests it.
    """

    KIND = "causal"
    PROMPTS = PROMPTS

    model: str = "hy-mt2-1.8b"
    device: str = "auto"
    dtype: str = "auto"
    graphs: bool = False

    def incomplete(self) -> Sequence[Missing]:
        """Name the chat template if the checkpoint lacks it."""
        return missing_chat_template(self.entry().repository)

    def gpu_memory(self) -> Mapping[str, int]:
        """Return the bytes that it will take of a GPU, by what takes them; none on a CPU."""
        if not on_gpu(self.device):
            return {}
        steps = recorded_memory(self.entry(), self.dtype, self.batch * self.beams) if self.graphs else {}
        return {**gpu_memory(self.entry(), self.dtype), **steps}

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
        self, model: Model, tokenizer: Tokenizer, entry: CatalogEntry, rows: int = 0, recorder: Recorder | None = None
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


def use_few_kernels(model: Model) -> None:
    """Let ``model``, which is on a GPU that runs its steps faster than it starts them, do the same with fewer operations.

    Of the 1,951 operations in a step of Hy-MT2-1.8B more than half are norms: transformers writes an RMSNorm
    (arXiv:1910.07467) as eight operations, torch has one kernel for all, which rounds once where they round twice. And
    under a mask transformers 4 copies keys and values for every head of a group (arXiv:2305.13245), in each layer.
    """
    from torch.nn import functional
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
            weight, eps = module.weight, module.variance_epsilon
            module.forward = partial(functional.rms_norm, normalized_shape=weight.shape, weight=weight, eps=eps)
    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(_GROUPED, _attend)
        AttentionMaskInterface.register(_GROUPED, sdpa_mask)
        model.set_attn_implementation(_GROUPED)


def _attend(  # noqa: PLR0917 - as transformers calls it
    module: Any,  # noqa: ANN401
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **given: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """Attend over [rows, heads, steps, width]: for one step the heads of a group become steps of their key head."""
    from torch.nn import functional
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, steps, width = query.shape
    if steps > 1:
        several: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **given
        )
        return several
    grouped = query.reshape(rows, key.shape[1], -1, width)
    attended = functional.scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return attended.reshape(rows, 1, heads, width), None
