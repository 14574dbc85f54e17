"""Masked decoding: all frames of a unit at once, the surest codes first, in a fixed number of steps.

A step reads the prompt and the unit's frames with full attention, and the frames alone; the difference of the two guides
the choice (classifier-free guidance, arXiv:2207.12598). The best of the places still masked, lower codebooks before higher,
receive their likeliest code (MaskGIT, arXiv:2202.04200; OmniVoice, arXiv:2604.00688). Units in progress have a row each, in
buffers that are allocated once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.blocks.kernels import Attend, Linear, attend_masked, mask_of, pack_linear
from models.tts.blocks.transformer import Stack, load_stack
from models.tts.checkpoint import Tensors
from models.tts.omnivoice.config import MOST_FRAMES, POSITIONS, ModelConfig
from models.tts.omnivoice.prompt import Prompt

# As upstream:
GUIDANCE = 2.0
TIME_SHIFT = 0.1
LAYER_PENALTY = 5.0
TEMPERATURE = 5.0  # of the order in which places are decided; codes themselves are the likeliest


def schedule(places: int, steps: int) -> list[int]:
    """Plan how many of the ``places`` each of the ``steps`` decides: few at first, while little is known."""
    times = torch.linspace(0.0, 1.0, steps + 1)
    times = (TIME_SHIFT * times / (1 + (TIME_SHIFT - 1) * times)).tolist()
    counts, left = [], places
    for step in range(steps):
        wanted = left if step == steps - 1 else math.ceil(places * (times[step + 1] - times[step]))
        counts.append(min(wanted, left))
        left -= counts[-1]
    return counts


def draw_noise(steps: int, codebooks: int, frames: int, seed: int) -> Tensor:
    """Draw Gumbel noise float32 [steps, codebooks, frames] on the CPU: the same wherever the model runs."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([torch.rand(codebooks, frames, generator=generator) for _ in range(steps)])
    return -torch.log(-torch.log(drawn + 1e-10) + 1e-10)


@dataclass(frozen=True, slots=True)
class Rows:
    """Static buffers [rows, ...] of units in progress; nothing of a row is read by another."""

    prefix: Tensor  # [rows, positions, hidden]: the prompt, embedded
    prefix_length: Tensor  # int64 [rows]
    codes: Tensor  # int64 [rows, codebooks, frames]: the mask where nothing is decided
    length: Tensor  # int64 [rows]: frames of the unit
    noise: Tensor  # float32 [rows, steps, codebooks, frames]
    counts: Tensor  # int64 [rows, steps]: places that each step decides; none in a row without a unit
    step: Tensor  # int64 [rows]


def allocate_rows(config: ModelConfig, rows: int, steps: int, like: Tensor) -> Rows:
    """Allocate buffers for ``rows`` units of the device and type of ``like``."""

    def integers(*size: int, value: int = 0) -> Tensor:
        return torch.full((rows, *size), value, dtype=torch.int64, device=like.device)

    places = (config.codebooks, MOST_FRAMES)
    return Rows(
        prefix=torch.zeros(rows, POSITIONS, config.transformer.hidden, dtype=like.dtype, device=like.device),
        prefix_length=integers(value=1),
        codes=integers(*places, value=config.mask),
        length=integers(value=1),
        noise=torch.zeros(rows, steps, *places, device=like.device),
        counts=integers(steps),
        step=integers(),
    )


@dataclass(frozen=True, slots=True)
class MaskedModel:
    """Loaded speech model."""

    config: ModelConfig
    steps: int  # of a unit
    stack: Stack
    text_table: Tensor  # [vocabulary, hidden]
    code_table: Tensor  # [codebooks * codes, hidden]
    heads: Linear  # to [..., codebooks * codes]
    offsets: Tensor  # int64 [codebooks, 1]: of each codebook's rows in the table
    penalties: Tensor  # float32 [codebooks, 1]: of each codebook's places

    def embed_codes(self, codes: Tensor) -> Tensor:
        """Embed ``codes`` [..., codebooks, frames] as [..., frames, hidden]: the sum over the codebooks."""
        return self.code_table[codes + self.offsets].sum(-3)

    def begin(self, rows: Rows, row: int, prompt: Prompt, frames: int, seed: int) -> int:
        """Write a unit's prompt and its masked ``frames`` into ``row``; gives the steps that decide them."""
        device = rows.codes.device
        rows.prefix[row, : len(prompt.text)] = self.text_table[torch.tensor(prompt.text, device=device)]
        if prompt.codes.shape[1]:
            rows.prefix[row, len(prompt.text) : len(prompt)] = self.embed_codes(torch.from_numpy(prompt.codes).to(device))
        rows.prefix_length[row].fill_(len(prompt))
        rows.codes[row].fill_(self.config.mask)
        rows.length[row].fill_(frames)
        rows.noise[row, :, :, :frames] = draw_noise(self.steps, self.config.codebooks, frames, seed).to(device)
        counts = schedule(frames * self.config.codebooks, self.steps)
        rows.counts[row] = torch.tensor(counts, device=device)
        rows.step[row].zero_()
        return sum(count > 0 for count in counts)

    def step(self, rows: Rows, chosen: Tensor, prefix: int, frames: int, *, padded: bool = True) -> None:
        """Decide the next places of the ``chosen`` rows (int64 [n]), of which ``prefix`` positions and ``frames`` are read.

        ``padded``: a row may be shorter than that. The line is frames, prompt, and the frames again, alone; a position's
        place is told by its rotary angle.
        """
        codes, lengths, prefixes = rows.codes[chosen, :, :frames], rows.length[chosen], rows.prefix_length[chosen]
        within, prompt = _below(lengths, frames), _below(prefixes, prefix)
        embedded = self.embed_codes(codes)
        line = torch.cat([embedded, rows.prefix[chosen, :prefix], embedded], 1)
        attend = self._attention([within, prompt], line.dtype) if padded else self._attention([within, prompt], None)
        hidden = self.stack.forward(line, self.stack.angles(_places(prefixes, prefix, frames)), attend)
        guided = self._guided(hidden[:, :frames], hidden[:, frames + prefix :])
        guided[..., self.config.mask].fill_(-torch.inf)  # an assigned number would be copied from the host
        sureness, likeliest = guided.max(-1)
        step = rows.step[chosen]
        # Sure places and lower codebooks come first.
        order = (sureness - self.penalties) / TEMPERATURE + rows.noise[chosen, step, :, :frames]
        order = order.masked_fill(~(within.unsqueeze(1) & (codes == self.config.mask)), -torch.inf).flatten(1)
        decided = _best(order, rows.counts[chosen, step]).view_as(codes)
        rows.codes[:, :, :frames].index_copy_(0, chosen, torch.where(decided, likeliest, codes))
        rows.step.index_copy_(0, chosen, (step + 1).clamp(max=self.steps - 1))

    def _attention(self, seen: list[Tensor], dtype: torch.dtype | None) -> Attend:
        """Make the attention of a step: frames and prompt see each other, the frames alone only themselves.

        ``seen`` is bool [rows, frames] and [rows, prefix]: what is padding is seen by nobody, and what it sees does not
        matter. No ``dtype``: nothing is padding.
        """
        shape = self.config.transformer
        end = seen[0].shape[1] + seen[1].shape[1]
        both, alone = None, None
        if dtype is not None:
            both = mask_of(torch.cat(seen, 1).unsqueeze(1), shape.groups, dtype)
            alone = mask_of(seen[0].unsqueeze(1), shape.groups, dtype)

        def attend(_: int, queries: Tensor, keys_values: Tensor) -> Tensor:
            keys, values = keys_values.chunk(2, 2)
            together = attend_masked(queries[:, :end], keys[:, :end], values[:, :end], both)
            return torch.cat([together, attend_masked(queries[:, end:], keys[:, end:], values[:, end:], alone)], 1)

        return attend

    def _guided(self, with_prompt: Tensor, alone: Tensor) -> Tensor:
        """Give log-probabilities float32 [rows, codebooks, frames, codes] of the frames, guided by the prompt."""
        rows, frames, _ = with_prompt.shape
        shape = (rows, frames, self.config.codebooks, self.config.codes)
        scores = functional.log_softmax(self.heads(with_prompt).view(shape).float(), -1)
        unguided = functional.log_softmax(self.heads(alone).view(shape).float(), -1)
        return functional.log_softmax(torch.lerp(unguided, scores, 1 + GUIDANCE), -1).transpose(1, 2)


def load_masked_model(tensors: Tensors, config: ModelConfig, steps: int, device: torch.device) -> MaskedModel:
    """Take the speech model's tensors from a checkpoint."""
    hidden, codes = config.transformer.hidden, config.codebooks * config.codes
    codebooks = torch.arange(config.codebooks, device=device).unsqueeze(1)
    return MaskedModel(
        config=config,
        steps=steps,
        stack=load_stack(tensors, "llm", config.transformer, POSITIONS + MOST_FRAMES),
        text_table=tensors.take("llm.embed_tokens.weight", config.text_vocabulary, hidden),
        code_table=tensors.take("audio_embeddings.weight", codes, hidden),
        heads=pack_linear(tensors.take("audio_heads.weight", codes, hidden)),
        offsets=codebooks * config.codes,
        penalties=codebooks * LAYER_PENALTY,
    )


def _below(lengths: Tensor, size: int) -> Tensor:
    """Tell of each position below ``size`` if it is within each row's length: bool [rows, size]."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def _places(prefixes: Tensor, prefix: int, frames: int) -> Tensor:
    """Give the place of each position of a step's line: the frames behind the prompt, the prompt, the frames alone."""
    count = torch.arange(frames, device=prefixes.device)
    prompt = torch.arange(prefix, device=prefixes.device)
    alone = torch.cat([prompt, count]).expand(len(prefixes), -1)
    return torch.cat([prefixes.unsqueeze(1) + count, alone], 1)


def _best(scores: Tensor, counts: Tensor) -> Tensor:
    """Mark each row's best ``counts`` [rows] of its scores [rows, places]."""
    best_first = scores.argsort(1, descending=True)
    marks = torch.arange(scores.shape[1], device=scores.device) < counts.unsqueeze(1)
    return torch.zeros_like(marks.expand_as(scores)).scatter(1, best_first, marks.expand_as(best_first))
