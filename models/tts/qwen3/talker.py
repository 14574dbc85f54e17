"""The talker: from the text lane and the codec lane to the first code of each frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.qwen3.attention import attend_flash, attend_masked, has_flash, mask_of
from models.tts.qwen3.checkpoint import Tensors
from models.tts.qwen3.config import CODE_GROUPS, CODES, ModelConfig
from models.tts.qwen3.linear import Linear, pack_linear
from models.tts.qwen3.prompt import ABSENT, Prompt
from models.tts.qwen3.rows import Memory, keys_and_values
from models.tts.qwen3.transformer import Stack, load_stack


@dataclass(frozen=True, slots=True)
class Talker:
    """The loaded talker with every embedding table of both lanes."""

    stack: Stack
    head: Linear
    text_table: Tensor  # [text vocabulary, text width]
    text_inner: Linear
    text_outer: Linear
    code_table: Tensor  # [vocabulary + 15 * 2048, hidden]: the talker's codes, then those of each predicted codebook
    code_offsets: Tensor  # [16], where each codebook begins in it

    def embed_text(self, tokens: Tensor) -> Tensor:
        """Text ids [n] as rows of the talker's width [n, hidden]."""
        return self.text_outer(functional.silu(self.text_inner(self.text_table[tokens])))

    def embed_frames(self, codes: Tensor) -> Tensor:
        """Whole frames [..., 16] as the sum of their codes' embeddings [..., hidden]."""
        return self.code_table[codes + self.code_offsets].sum(-2)

    def embed_prompt(self, prompt: Prompt, speaker: Tensor | None) -> Tensor:
        """A prompt as embeddings [positions, hidden]; ``speaker`` [hidden], from any
        device, goes where the prompt leaves room for it.
        """
        device = self.code_table.device
        text = torch.as_tensor(prompt.text, device=device)
        codes = torch.as_tensor(prompt.codes, device=device)
        embedded = torch.where((text == ABSENT).unsqueeze(1), 0, self.embed_text(text.clamp(min=0)))
        looked_up = self.code_table[codes.clamp(min=0) + self.code_offsets]
        embedded = embedded + torch.where((codes == ABSENT).unsqueeze(2), 0, looked_up).sum(1)
        if prompt.speaker_at is not None and speaker is not None:
            embedded[prompt.speaker_at] += speaker.to(embedded)
        return embedded

    def prefill(self, embedded: Tensor, memory: Memory, row: Tensor) -> Tensor:
        """Run a prompt [positions, hidden] on the empty ``row`` int64 [1]; gives the hidden states [positions, hidden]."""
        count = embedded.shape[0]
        visible = torch.ones(1, count, count, dtype=torch.bool, device=embedded.device).tril()
        mask = mask_of(visible, self.stack.shape.groups, embedded.dtype)

        def attend(layer: int, queries: Tensor, both: Tensor) -> Tensor:
            memory.layers[layer].narrow(1, 0, count).index_copy_(0, row, both)
            return attend_masked(queries, *keys_and_values(both), mask)

        angles = self.stack.angles(torch.arange(count, device=embedded.device).unsqueeze(0))
        return self.stack.forward(embedded.unsqueeze(0), angles, attend)[0]

    def step(self, inputs: Tensor, positions: Tensor, memory: Memory, length: int) -> Tensor:
        """One position of each row: ``inputs`` [rows, hidden] at ``positions`` [rows]; gives hidden states [rows, hidden].

        Only the first ``length`` positions of ``memory`` are looked at: all of ``positions`` are below it. Writes every
        row's keys and values at its position, which is harmless where a row does not advance: the next write is there too.
        """
        count = inputs.shape[0]
        rows = torch.arange(count, device=inputs.device)
        lengths = mask = None
        if has_flash(inputs.device, inputs.dtype):
            lengths = (positions + 1).int()
        else:
            visible = torch.arange(length, device=inputs.device) <= positions.unsqueeze(1)
            mask = mask_of(visible.unsqueeze(1), self.stack.shape.groups, inputs.dtype)

        def attend(layer: int, queries: Tensor, both: Tensor) -> Tensor:
            memory.layers[layer][rows, positions] = both[:, 0]
            keys, values = keys_and_values(memory.layers[layer][:count, :length])
            if lengths is not None:
                return attend_flash(queries, keys, values, lengths)
            return attend_masked(queries, keys, values, mask)

        return self.stack.forward(inputs.unsqueeze(1), self.stack.angles(positions.unsqueeze(1)), attend)[:, 0]


def load_talker(tensors: Tensors, config: ModelConfig, positions: int) -> Talker:
    """Take the talker from a checkpoint; ``positions`` is the longest utterance, its prompt included."""
    hidden, width = config.talker.hidden, config.text_width
    tables = [tensors.take("talker.model.codec_embedding.weight", config.vocabulary, hidden)]
    for group in range(CODE_GROUPS - 1):
        tables.append(tensors.take(f"talker.code_predictor.model.codec_embedding.{group}.weight", CODES, hidden))
    offsets = [0, *range(config.vocabulary, config.vocabulary + CODES * (CODE_GROUPS - 1), CODES)]

    def linear(name: str, outputs: int, inputs: int) -> Linear:
        return pack_linear(tensors.take(f"{name}.weight", outputs, inputs), tensors.take(f"{name}.bias", outputs))

    return Talker(
        stack=load_stack(tensors, "talker.model", config.talker, positions),
        head=pack_linear(tensors.take("talker.codec_head.weight", config.vocabulary, hidden)),
        text_table=tensors.take("talker.model.text_embedding.weight", config.text_vocabulary, width),
        text_inner=linear("talker.text_projection.linear_fc1", width, width),
        text_outer=linear("talker.text_projection.linear_fc2", hidden, width),
        code_table=torch.cat(tables),
        code_offsets=torch.tensor(offsets).to(tables[0].device),
    )
