"""The step models of the two architectures of transformers that translate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.mt.search.model_interface import never_written
from models.mt.steps.key_values import Model, Prefilled, fork, log_probabilities, padded, prefill
from models.mt.terms.vocabulary import Tokenizer, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

    from models.mt.steps.fixed_steps import FixedStep, FixedSteps


class CausalStepModel:
    """A decoder-only model; its steps take place in fixed memory where that has room, else in memory of their own."""

    def __init__(
        self,
        model: Model,
        prompts: Sequence[Sequence[int]],
        bias: Tensor | None = None,
        fixed: FixedSteps | None = None,
    ) -> None:
        """Take the ``bias`` [vocabulary] of log-probabilities (minus infinity for tokens never to generate)."""
        self._model, self._prompts, self._bias, self._fixed = model, prompts, bias, fixed

    def start(self, beams: int, room: int) -> Tensor:
        """See `StepModel.start`."""
        prefilled = prefill(self._model, self._prompts)
        longest = max(map(len, self._prompts))
        step = self._fixed.fitting(len(self._prompts) * beams, longest, room) if self._fixed else None
        if step is None:
            self._step: GrowingStep | FixedStep = GrowingStep(self._model, self._bias, prefilled, beams, room)
        else:
            step.begin(prefilled, beams)
            self._step = step
        return log_probabilities(prefilled.logits, self._bias)

    def step(self, moves: Tensor) -> Tensor:
        """See `StepModel.step`."""
        return self._step.step(moves)


class GrowingStep:
    """The decoding step of one search: it attends to what is written and to nothing else, so it grows."""

    def __init__(self, model: Model, bias: Tensor | None, prefilled: Prefilled, beams: int, room: int) -> None:
        import torch

        self._model, self._bias = model, bias
        self._cache, self._layers = fork(prefilled.layers, beams, room)
        self._next = prefilled.next.repeat_interleave(beams, 0)
        seen = prefilled.hidden.new_zeros(len(prefilled.hidden), 1, 1, room)
        self._mask = torch.cat([prefilled.hidden, seen], -1).repeat_interleave(beams, 0)

    def step(self, moves: Tensor) -> Tensor:
        """See `StepModel.step`."""
        origins, tokens = moves
        for layer in self._layers:
            layer.reorder(origins)
        output = self._model(
            input_ids=tokens[:, None],
            attention_mask=self._mask[..., : self._layers[0].get_seq_length() + 1],
            position_ids=self._next,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._next = self._next + 1
        return log_probabilities(output.logits[:, -1], self._bias)


class Seq2SeqStepModel:
    """An encoder-decoder model: the encoder runs once, and its keys and values are shared by all steps.

    ``prefixes`` (the decoder's start tokens and the forced target prefix) must have one length: absolute positions of the
    decoder leave no room for padding.
    """

    def __init__(
        self,
        model: Model,
        sources: Sequence[Sequence[int]],
        prefixes: Sequence[Sequence[int]],
        bias: Tensor | None = None,
    ) -> None:
        if len({len(prefix) for prefix in prefixes}) != 1:
            raise ValueError(f"prefixes of one length are needed, not {[len(prefix) for prefix in prefixes]}")
        self._model, self._sources, self._prefixes, self._bias = model, sources, prefixes, bias

    def start(self, beams: int, room: int) -> Tensor:
        """See `StepModel.start`."""
        import torch
        from transformers import DynamicCache, EncoderDecoderCache
        from transformers.modeling_outputs import BaseModelOutput

        sources, mask = padded(self._sources, self._model.device, left=False)
        encoded = self._model.get_encoder()(input_ids=sources, attention_mask=mask).last_hidden_state
        output = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            attention_mask=mask,
            decoder_input_ids=torch.tensor(self._prefixes, device=self._model.device),
            past_key_values=EncoderDecoderCache(DynamicCache(), DynamicCache()),
            use_cache=True,
        )
        written = output.past_key_values.self_attention_cache.layers
        cache, self._layers = fork([(layer.keys, layer.values) for layer in written], beams, room)
        crossed = output.past_key_values.cross_attention_cache
        crossed.batch_repeat_interleave(beams)
        self._cache = EncoderDecoderCache(cache, crossed)
        self._encoded = BaseModelOutput(last_hidden_state=encoded.repeat_interleave(beams, 0))
        self._mask = mask.repeat_interleave(beams, 0)
        return log_probabilities(output.logits[:, -1], self._bias)

    def step(self, moves: Tensor) -> Tensor:
        """See `StepModel.step`."""
        origins, tokens = moves
        for layer in self._layers:
            layer.reorder(origins)
        output = self._model(
            encoder_outputs=self._encoded,
            attention_mask=self._mask,
            decoder_input_ids=tokens[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        return log_probabilities(output.logits[:, -1], self._bias)


def end_tokens(model: Model, tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the tokens that end a text, as the model's generation settings say."""
    ends = model.generation_config.eos_token_id
    ends = tokenizer.eos_token_id if ends is None else ends
    return tuple(ends) if isinstance(ends, list) else (ends,)


def never(vocabulary: Vocabulary, ends: Sequence[int], device: object) -> Tensor:
    """Return `models.mt.search.model_interface.never_written` as a tensor on the device."""
    import torch

    return torch.from_numpy(never_written(vocabulary, ends)).to(device)
