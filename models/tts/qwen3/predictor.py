"""The code predictor: the fifteen remaining codes of a frame, one after another, from the talker's state and first code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.tts.qwen3.attention import attend_masked, mask_of
from models.tts.qwen3.checkpoint import Tensors
from models.tts.qwen3.config import CODE_GROUPS, CODES, ModelConfig
from models.tts.qwen3.generation_config import Sampling
from models.tts.qwen3.linear import Linear, pack_linear
from models.tts.qwen3.rows import Memory
from models.tts.qwen3.sampler import draw
from models.tts.qwen3.talker import Talker
from models.tts.qwen3.transformer import Stack, load_stack


@dataclass(frozen=True, slots=True)
class Predictor:
    """The loaded predictor. Every frame is an utterance of its own of 16 positions, so nothing outlives a frame."""

    stack: Stack
    heads: Sequence[Linear]
    project: Linear | None  # from the talker's width; None where the widths are equal
    input_table: Tensor  # the talker's code table, projected
    code_offsets: Tensor
    sampling: Sampling
    first_mask: Tensor  # of the two positions that begin a frame

    def complete(self, hidden: Tensor, first: Tensor, uniform: Tensor, memory: Memory) -> Tensor:
        """Codes [rows, 16] of a frame, from ``hidden`` [rows, talker's width], its first code and ``uniform`` [rows, 16].

        ``memory`` is scratch for at least as many rows, of 16 positions.
        """
        start = hidden if self.project is None else self.project(hidden)
        inputs = torch.stack([start, self.input_table[first]], 1)
        codes = [first]
        begin = 0
        for group, head in enumerate(self.heads, 1):
            last = self._run(inputs, begin, memory)[:, -1]
            codes.append(draw(head(last).float(), uniform[:, group], self.sampling))
            begin += inputs.shape[1]
            inputs = self.input_table[codes[-1] + self.code_offsets[group]].unsqueeze(1)
        return torch.stack(codes, 1)

    def _run(self, inputs: Tensor, begin: int, memory: Memory) -> Tensor:
        rows, steps, _ = inputs.shape
        end = begin + steps
        mask = self.first_mask if steps > 1 else None  # a single step sees all that is there

        def attend(layer: int, queries: Tensor, both: Tensor) -> Tensor:
            keys, values, new = memory.part(layer, rows, begin, end)
            new.copy_(both)
            return attend_masked(queries, keys, values, mask)

        angles = self.stack.cosines[begin:end, None], self.stack.sines[begin:end, None]
        return self.stack.forward(inputs, angles, attend)


def load_predictor(tensors: Tensors, config: ModelConfig, talker: Talker, sampling: Sampling) -> Predictor:
    """Take the predictor from a checkpoint; its input tables are the talker's, projected once for all."""
    prefix, shape = "talker.code_predictor", config.predictor
    project, table = None, talker.code_table
    if shape.hidden != config.talker.hidden:
        weight = tensors.take(f"{prefix}.small_to_mtp_projection.weight", shape.hidden, config.talker.hidden)
        project = pack_linear(weight, tensors.take(f"{prefix}.small_to_mtp_projection.bias", shape.hidden))
        table = project(table)
    first_visible = torch.ones(1, 2, 2, dtype=torch.bool, device=table.device).tril()
    names = [f"{prefix}.lm_head.{group}.weight" for group in range(CODE_GROUPS - 1)]
    return Predictor(
        stack=load_stack(tensors, f"{prefix}.model", shape, CODE_GROUPS),
        heads=[pack_linear(tensors.take(name, CODES, shape.hidden)) for name in names],
        project=project,
        input_table=table,
        code_offsets=talker.code_offsets,
        sampling=sampling,
        first_mask=mask_of(first_visible, shape.groups, table.dtype),
    )
