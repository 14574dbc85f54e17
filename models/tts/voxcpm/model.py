"""Model of VoxCPM2: language models that read text and patches, a local encoder of patches, and what ends speech.

A patch becomes one position (local encoder). The text-semantic language model reads it, and its state is rounded to a few
levels (finite scalar quantization, arXiv:2309.15505). The residual acoustic one adds what that lost, and from both the next
patch is drawn by diffusion (arXiv:2509.24650; the package voxcpm 2.0.3, Apache-2.0).

A step of a batch of rows is a fixed sequence of tensor operations, in which nothing depends on values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.tts.blocks.kernels import Linear, pack_linear
from models.tts.blocks.key_values import KeyValueCache, allocate_cache, prefill, step
from models.tts.blocks.transformer import Stack, load_layers, rotary_tables
from models.tts.checkpoint import Tensors, TransformerShape
from models.tts.voxcpm.config import POSITIONS, ModelConfig
from models.tts.voxcpm.diffusion import Diffusion, PatchDecoder, attend_all, load_patch_decoder
from models.tts.voxcpm.prompt import ABSENT, SpeechPrompt


@dataclass(frozen=True, slots=True)
class Rows:
    """Static buffers [rows, ...] of utterances in progress; nothing of a row is read by another."""

    language: KeyValueCache
    residual: KeyValueCache
    position: Tensor  # int64 [rows]: of the next step
    said: Tensor  # [rows, hidden]: state of the language model
    sounded: Tensor  # [rows, hidden]: state of the residual one
    patch: Tensor  # float32 [rows, patch, latent]: the newest
    noise: Tensor  # float32, as ``patch``: of the next
    ends: Tensor  # bool [rows]: the newest patch is the last
    stepping: Tensor  # bool [rows]: the next step counts

    def clear(self, row: int) -> None:
        """Reset a row: it must leave no trace."""
        for values in (self.position, self.said, self.sounded, self.patch, self.noise, self.ends, self.stepping):
            values[row].zero_()
        for memory in (self.language, self.residual):
            memory.clear(row, 0, memory.positions)


def allocate_rows(config: ModelConfig, rows: int, positions: int, like: Tensor) -> Rows:
    """Allocate buffers for utterances of at most ``positions``, of the device and type of ``like``."""

    def zeros(*size: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros((rows, *size), dtype=dtype, device=like.device)

    states, patches = (config.language.hidden,), (config.patch, config.latent)
    return Rows(
        language=allocate_cache(config.language, rows, positions, like),
        residual=allocate_cache(config.residual, rows, positions, like),
        position=zeros(dtype=torch.int64),
        said=zeros(*states, dtype=like.dtype),
        sounded=zeros(*states, dtype=like.dtype),
        patch=zeros(*patches, dtype=torch.float32),
        noise=zeros(*patches, dtype=torch.float32),
        ends=zeros(dtype=torch.bool),
        stepping=zeros(dtype=torch.bool),
    )


@dataclass(frozen=True, slots=True)
class Quantizer:
    """Rounding of a state to a few levels, in a narrow layer."""

    enter: Linear
    leave: Linear
    levels: int

    def __call__(self, states: Tensor) -> Tensor:
        """Map [..., hidden] to the same shape."""
        return self.leave(torch.round(torch.tanh(self.enter(states)) * self.levels) / self.levels)


@dataclass(frozen=True, slots=True)
class PatchEncoder:
    """Loaded local encoder: what one added position sees of a patch becomes a position of the language models."""

    stack: Stack
    enter: Linear
    reader: Tensor  # [1, 1, hidden]
    leave: Linear
    angles: tuple[Tensor, Tensor]

    def __call__(self, patches: Tensor) -> Tensor:
        """Map [n, patch, latent] to [n, language model's hidden]."""
        line = torch.cat([self.reader.expand(len(patches), -1, -1), self.enter(patches.to(self.reader.dtype))], 1)
        return self.leave(self.stack.forward(line, self.angles, attend_all)[:, 0])


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """Loaded model."""

    config: ModelConfig
    language: Stack
    residual: Stack
    text_table: Tensor  # [vocabulary, hidden]
    encoder: PatchEncoder
    quantizer: Quantizer
    fuse: Linear
    narrow_said: Linear
    narrow_sounded: Linear
    decoder: PatchDecoder
    judge: Linear
    ending: Linear

    def begin(self, rows: Rows, row: int, prompt: SpeechPrompt) -> None:
        """Read a prompt into the cleared ``row``; its next step draws the first patch."""
        device, at = self.text_table.device, torch.tensor([row], device=self.text_table.device)
        tokens = torch.tensor(prompt.tokens, device=device)
        places = torch.tensor([place for place, token in enumerate(prompt.tokens) if token == ABSENT], device=device)
        patches = torch.from_numpy(prompt.patches).to(device)
        embedded = self.text_table[tokens.clamp(min=0)]
        heard = torch.zeros_like(embedded)
        if len(prompt.patches):
            heard[places] = self.encoder(patches)
        spoken = (tokens == ABSENT).unsqueeze(1)
        states = prefill(self.language, torch.where(spoken, heard, embedded), rows.language, at)
        states = torch.where(spoken, self.quantizer(states), states)
        sounds = prefill(self.residual, self.fuse(torch.cat([states, heard], -1)), rows.residual, at)
        rows.said[row], rows.sounded[row] = states[-1], sounds[-1]
        if prompt.continued:
            rows.patch[row] = patches[-1]
        rows.position[row].fill_(len(prompt))

    def step(self, rows: Rows, count: int, length: int) -> None:
        """Draw the next patch of the first ``count`` rows, of those that are ``stepping``; the others stay as they are.

        ``length`` bounds the positions of all rows in use, also of those that rest. A patch is the last where the state
        that it was drawn from says so.
        """
        here, keep = slice(0, count), rows.stepping[:count]
        said, sounded = rows.said[here], rows.sounded[here]
        hidden = torch.stack([self.narrow_said(said), self.narrow_sounded(sounded)], 1)
        patch = self.decoder.draw(hidden, rows.patch[here], rows.noise[here])
        ends = self.ending(functional.silu(self.judge(said))).argmax(-1) == 1
        heard, position = self.encoder(patch), rows.position[here].clamp(max=length - 1)
        said_next = self.quantizer(step(self.language, heard, position, rows.language, length))
        fused = self.fuse(torch.cat([said_next, heard], -1))
        sounded_next = step(self.residual, fused, position, rows.residual, length)
        for buffer, new in (
            (rows.said, said_next),
            (rows.sounded, sounded_next),
            (rows.patch, patch),
            (rows.ends, ends),
        ):
            kept = keep.view(-1, *[1] * (new.dim() - 1))
            buffer[here] = torch.where(kept, new, buffer[here])
        rows.position[here] += keep


def load_speech_model(tensors: Tensors, config: ModelConfig, diffusion: Diffusion, device: torch.device) -> SpeechModel:
    """Take the model from a checkpoint."""
    tables = _rotary_tables(config)
    unrotated = torch.ones_like(tables[0]), torch.zeros_like(tables[1])
    wide = config.language.hidden

    def stack(prefix: str, shape: TransformerShape, angles: tuple[Tensor, Tensor]) -> Stack:
        norm = tensors.take(f"{prefix}.norm.weight", shape.hidden)
        layers = load_layers(tensors, prefix, shape, normed=False)
        return Stack(shape, layers, norm, angles[0].to(device), angles[1].to(device))

    def linear(name: str, outputs: int, inputs: int) -> Linear:
        return pack_linear(tensors.take(f"{name}.weight", outputs, inputs), tensors.take(f"{name}.bias", outputs))

    local = stack("feat_encoder.encoder", config.encoder, tables)
    encoder = PatchEncoder(
        stack=local,
        enter=linear("feat_encoder.in_proj", config.encoder.hidden, config.latent),
        reader=tensors.take("feat_encoder.special_token", 1, 1, 1, config.encoder.hidden)[0],
        leave=linear("enc_to_lm_proj", wide, config.encoder.hidden),
        angles=local.angles(torch.arange(1 + config.patch, device=device).unsqueeze(0)),
    )
    drawing = stack("feat_decoder.estimator.decoder", config.decoder, tables)
    return SpeechModel(
        config=config,
        language=stack("base_lm", config.language, tables),
        residual=stack("residual_lm", config.residual, tables if config.residual_rotated else unrotated),
        text_table=tensors.take("base_lm.embed_tokens.weight", config.vocabulary, wide),
        encoder=encoder,
        quantizer=Quantizer(
            linear("fsq_layer.in_proj", config.quantized, wide),
            linear("fsq_layer.out_proj", wide, config.quantized),
            config.levels,
        ),
        fuse=linear("fusion_concat_proj", wide, 2 * wide),
        narrow_said=linear("lm_to_dit_proj", config.decoder.hidden, wide),
        narrow_sounded=linear("res_to_dit_proj", config.decoder.hidden, wide),
        decoder=load_patch_decoder(tensors, config, drawing, diffusion),
        judge=linear("stop_proj", wide, wide),
        ending=pack_linear(tensors.take("stop_head.weight", 2, wide)),
    )


def _rotary_tables(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Make the tables of LongRoPE, in float32 as upstream; sines as `blocks.transformer.rotate` needs them."""
    shape, rotation = config.language, config.rotation
    cosines, sines = rotary_tables(POSITIONS, shape.head_dim, shape.rope_theta, rotation.factors)
    return cosines * rotation.scale, sines * rotation.scale
