"""The step interface of the search for the two architectures that translate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from models.mt.beam_cache import fork
from models.mt.token_bytes import Tokenizer
from models.mt.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

Model: TypeAlias = Any  # transformers is not analyzed


class CausalStepper:
    """A decoder-only model: prompts are padded on the left and computed once, without copies for the beams."""

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], bias: Tensor | None = None) -> None:
        """``bias`` [vocabulary] is added to the log-probabilities (minus infinity for tokens never to generate)."""
        self._model, self._prompts, self._bias = model, prompts, bias

    def start(self, beams: int, room: int) -> Tensor:
        """See `Stepper.start`."""
        import torch
        from transformers import DynamicCache

        tokens, mask = _padded(self._prompts, self._model.device, left=True)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        output = self._model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=DynamicCache(),
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache, self._layers = fork(output.past_key_values, beams, room)
        self._next = (positions[:, -1:] + 1).repeat_interleave(beams, 0)
        self._mask = self._hidden(torch.cat([mask, mask.new_ones(len(mask), room)], 1)).repeat_interleave(beams, 0)
        return log_probabilities(output.logits[:, -1], self._bias)

    def _hidden(self, mask: Tensor) -> Tensor:
        """The mask [rows, keys] as attention adds it [rows, 1, 1, keys], computed once instead of in every step."""
        import torch

        dtype = self._model.dtype
        return torch.where(mask.bool(), 0.0, torch.finfo(dtype).min).to(dtype)[:, None, None]

    def step(self, tokens: Tensor) -> Tensor:
        """See `Stepper.step`."""
        end = self._layers[0].get_seq_length() + 1
        output = self._model(
            input_ids=tokens[:, None],
            attention_mask=self._mask[..., :end],
            position_ids=self._next,
            past_key_values=self._cache,
            use_cache=True,
        )
        self._next = self._next + 1
        return log_probabilities(output.logits[:, -1], self._bias)

    def reorder(self, origins: Tensor) -> None:
        """See `Stepper.reorder`."""
        for layer in self._layers:
            layer.reorder(origins)


class Seq2SeqStepper:
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
        """See `Stepper.start`."""
        import torch
        from transformers import DynamicCache, EncoderDecoderCache
        from transformers.modeling_outputs import BaseModelOutput

        sources, mask = _padded(self._sources, self._model.device, left=False)
        encoded = self._model.get_encoder()(input_ids=sources, attention_mask=mask).last_hidden_state
        output = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            attention_mask=mask,
            decoder_input_ids=torch.tensor(self._prefixes, device=self._model.device),
            past_key_values=EncoderDecoderCache(DynamicCache(), DynamicCache()),
            use_cache=True,
        )
        cache, self._layers = fork(output.past_key_values.self_attention_cache, beams, room)
        crossed = output.past_key_values.cross_attention_cache
        crossed.batch_repeat_interleave(beams)
        self._cache = EncoderDecoderCache(cache, crossed)
        self._encoded = BaseModelOutput(last_hidden_state=encoded.repeat_interleave(beams, 0))
        self._mask = mask.repeat_interleave(beams, 0)
        return log_probabilities(output.logits[:, -1], self._bias)

    def step(self, tokens: Tensor) -> Tensor:
        """See `Stepper.step`."""
        output = self._model(
            encoder_outputs=self._encoded,
            attention_mask=self._mask,
            decoder_input_ids=tokens[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        return log_probabilities(output.logits[:, -1], self._bias)

    def reorder(self, origins: Tensor) -> None:
        """See `Stepper.reorder`."""
        for layer in self._layers:
            layer.reorder(origins)


def log_probabilities(logits: Tensor, bias: Tensor | None) -> Tensor:
    """Log-probabilities float32 of ``logits`` [rows, vocabulary]."""
    scores = logits.float().log_softmax(-1)
    return scores if bias is None else scores + bias


def _padded(sequences: Sequence[Sequence[int]], device: object, left: bool) -> tuple[Tensor, Tensor]:
    """The sequences as one tensor [n, longest], and its mask; padding repeats token 0, which the mask hides."""
    import torch

    longest = max(map(len, sequences))
    tokens = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, sequence in enumerate(sequences):
        place = slice(longest - len(sequence), None) if left else slice(len(sequence))
        tokens[row, place] = torch.tensor(sequence)
        mask[row, place] = 1
    return tokens.to(device), mask.to(device)


def end_tokens(model: Model, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens that end a text, as the model's generation settings say."""
    ends = model.generation_config.eos_token_id
    ends = tokenizer.eos_token_id if ends is None else ends
    return tuple(ends) if isinstance(ends, list) else (ends,)


def never(vocabulary: Vocabulary, ends: Sequence[int], device: object) -> Tensor:
    """A bias [vocabulary] that keeps out tokens which write no text, but for the ends."""
    import torch

    bias = torch.zeros(len(vocabulary))
    bias[vocabulary.silent] = -torch.inf
    bias[list(ends)] = 0
    return bias.to(device)
