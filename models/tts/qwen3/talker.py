"""Talker, which gives the first code of each frame, code predictor, which draws the fifteen others; the frame they make.

A frame of a batch of rows is a fixed sequence of tensor operations. Nothing in it depends on values: no ``.item()``, no
loop over rows, no shape but the number of rows and the attended cache length. So one CUDA graph per such pair can hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.blocks.kernels import Linear, attend_masked, mask_of, pack_linear
from models.tts.blocks.key_values import KeyValueCache, prefill, step
from models.tts.blocks.transformer import Stack, load_stack
from models.tts.checkpoint import Tensors
from models.tts.qwen3.config import CODE_GROUPS, CODES, ModelConfig
from models.tts.qwen3.prompt import ABSENT, Prompt
from models.tts.qwen3.rows import Rows
from models.tts.qwen3.sampler import FirstCodeRules, GenerationConfig, Sampling, draw, first_code_rules, uniforms


@dataclass(frozen=True, slots=True)
class Talker:
    """Loaded talker with every embedding table of both lanes."""

    stack: Stack
    head: Linear
    text_table: Tensor  # [text vocabulary, text width]
    text_inner: Linear
    text_outer: Linear
    code_table: Tensor  # [vocabulary + 15 * 2048, hidden]: the talker's codes, then those of each predicted codebook
    code_offsets: Tensor  # [16]: first row of each codebook in it

    def embed_text(self, tokens: Tensor) -> Tensor:
        """Embed text ids [n] in the talker's width, [n, hidden]."""
        return self.text_outer(functional.silu(self.text_inner(self.text_table[tokens])))

    def embed_frames(self, codes: Tensor) -> Tensor:
        """Embed whole frames [..., 16] as the sum of their codes' embeddings [..., hidden]."""
        return self.code_table[codes + self.code_offsets].sum(-2)

    def embed_prompt(self, prompt: Prompt, speaker: Tensor | None) -> Tensor:
        """Embed a prompt, [positions, hidden]; ``speaker`` [hidden], from any device, is added at its position."""
        device = self.code_table.device
        text = torch.as_tensor(prompt.text, device=device)
        codes = torch.as_tensor(prompt.codes, device=device)
        embedded = torch.where((text == ABSENT).unsqueeze(1), 0, self.embed_text(text.clamp(min=0)))
        looked_up = self.code_table[codes.clamp(min=0) + self.code_offsets]
        embedded = embedded + torch.where((codes == ABSENT).unsqueeze(2), 0, looked_up).sum(1)
        if prompt.speaker_at is not None and speaker is not None:
            embedded[prompt.speaker_at] += speaker.to(embedded)
        return embedded


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


@dataclass(frozen=True, slots=True)
class Predictor:
    """Loaded predictor. Every frame is a sequence of its own of 16 positions, so no state outlives a frame."""

    stack: Stack
    heads: Sequence[Linear]
    project: Linear | None  # from the talker's width; None where the widths are equal
    input_table: Tensor  # the talker's code table, projected
    code_offsets: Tensor
    sampling: Sampling
    first_mask: Tensor  # of the two positions that begin a frame

    def complete(self, hidden: Tensor, first: Tensor, uniform: Tensor, memory: KeyValueCache) -> Tensor:
        """Draw codes [rows, 16] of a frame from ``hidden`` [rows, talker's width], first code and ``uniform`` [rows, 16].

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

    def _run(self, inputs: Tensor, begin: int, memory: KeyValueCache) -> Tensor:
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


END_BIAS_PER_FRAME = 1.0
"""Added to the end's logit for each frame past a row's ``overstay``: an end that the model has all but excluded (1e-14, as
reported for utterances that never end) is still reached within 3 seconds."""


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """Talker and predictor: from a prompt and text rows to frames of 16 codes."""

    config: ModelConfig
    generation: GenerationConfig
    talker: Talker
    predictor: Predictor
    rules: FirstCodeRules

    def begin(self, rows: Rows, row: Tensor, embedded: Tensor, last: Tensor) -> None:
        """Read an embedded prompt [positions, hidden] into the cleared ``row`` int64 [1] and draw its first frame.

        ``last`` int64 [1] is the prompt's last position; what follows it is padding.
        """
        hidden = prefill(self.talker.stack, embedded, rows.memory, row).index_select(0, last)
        rows.position[row] = last + 1
        rows.stepping.index_fill_(0, row, True)
        self._emit(rows, row, hidden)

    def step(self, rows: Rows, count: int, length: int) -> None:
        """Draw the next frame of the first ``count`` rows, of those that are ``stepping``; the others stay as they are.

        ``length`` bounds the positions of all rows in use, also of those that rest.
        """
        here = slice(0, count)
        index = (rows.frame[here] - 1).clamp(0, rows.text_capacity)
        text = rows.text[here][torch.arange(count, device=index.device), index]
        position = rows.position[here].clamp(max=length - 1)
        hidden = step(self.talker.stack, rows.pending[here] + text, position, rows.memory, length)
        rows.position[here] += rows.stepping[here]
        self._emit(rows, here, hidden)

    def _emit(self, rows: Rows, here: slice | Tensor, hidden: Tensor) -> None:
        """Draw a frame from the talker's hidden states [rows, hidden] and commit it where the rows are stepping."""
        frame, stepping = rows.frame[here], rows.stepping[here]
        uniform = uniforms(rows.seed[here], frame)
        end_bias = (frame - rows.overstay[here]).clamp(min=0) * END_BIAS_PER_FRAME
        seen = rows.seen[here]
        scores = self.rules.apply(self.talker.head(hidden), seen, frame >= rows.end_floor[here], end_bias)
        first = draw(scores, uniform[:, 0], self.generation.talker)
        codes = self.predictor.complete(hidden, first, uniform, rows.scratch)
        keep = stepping.unsqueeze(1)
        rows.codes[here] = torch.where(keep, codes, rows.codes[here])
        rows.pending[here] = torch.where(keep, self.talker.embed_frames(codes), rows.pending[here])
        drawn = first.unsqueeze(1)
        rows.seen[here] = seen.scatter(1, drawn, seen.gather(1, drawn) | keep)
        rows.frame[here] = frame + stepping


def is_end(code: int) -> bool:
    """Tell if a drawn first code ends speech: it is the only one beyond the codebook that is ever drawn."""
    return code >= CODES


def load_speech_model(
    tensors: Tensors, config: ModelConfig, generation: GenerationConfig, positions: int, device: torch.device
) -> SpeechModel:
    """Take talker and predictor from a checkpoint."""
    talker = load_talker(tensors, config, positions)
    predictor = load_predictor(tensors, config, talker, generation.predictor)
    penalty = generation.talker.repetition_penalty
    rules = first_code_rules(config.vocabulary, config.tokens.eos, penalty, device)
    return SpeechModel(config, generation, talker, predictor, rules)
