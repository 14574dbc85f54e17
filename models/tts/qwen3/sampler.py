"""Drawing codes from logits, with the official package's semantics.

The order is that of its generation: repetition penalty (once per distinct code), end-of-speech rules, suppressed ids,
temperature, top-k (ties with the last stay), top-p.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.tts.checkpoint import Section, read_section
from models.tts.qwen3.config import CODE_GROUPS


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings of drawing; greedy when ``temperature`` is 0."""

    temperature: float = 0.9
    top_k: int = 50
    top_p: float = 1.0
    repetition_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """Sampling of the talker's code (with its repetition penalty) and of the predictor's codes."""

    talker: Sampling
    predictor: Sampling


def read_generation_config(folder: Path) -> GenerationConfig:
    """Read ``generation_config.json`` of a checkpoint folder."""
    values = read_section(folder / "generation_config.json")
    talker = _sampling(values, "", values.take("repetition_penalty", float))
    return GenerationConfig(talker, _sampling(values, "subtalker_", 1.0))


def _sampling(values: Section, prefix: str, repetition_penalty: float) -> Sampling:
    # The published files spell the predictor's switch "subtalker_dosample".
    sampled = values.values.get("do_sample" if not prefix else "subtalker_dosample", True)
    temperature = values.take(f"{prefix}temperature", float) if sampled else 0.0
    top_k, top_p = values.integer(f"{prefix}top_k"), values.take(f"{prefix}top_p", float)
    return Sampling(temperature, top_k, top_p, repetition_penalty)


_GOLDEN = -7046029254386353131  # 2**64 / golden ratio, as a signed 64-bit number
_MIX = (-4658895280553007687, -7723592293110705685)
_BITS = 23  # so that a float32 holds the number exactly and it times any total stays below that total


def uniforms(seeds: Tensor, frames: Tensor) -> Tensor:
    """Make numbers in [0, 1), float32 [rows, 16], from int64 ``seeds`` and ``frames`` [rows].

    They depend only on seed, frame and codebook, not on row, batch or earlier draws: a counter is put through the
    SplitMix64 finalizer twice (Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014).
    """
    codebooks = torch.arange(CODE_GROUPS, device=seeds.device)
    counters = _mix(seeds * _GOLDEN + 1).unsqueeze(1) + (frames.unsqueeze(1) * CODE_GROUPS + codebooks) * _GOLDEN
    return _shift(_mix(counters), 64 - _BITS).float() * 2.0**-_BITS


def _mix(values: Tensor) -> Tensor:
    values = (values ^ _shift(values, 30)) * _MIX[0]
    values = (values ^ _shift(values, 27)) * _MIX[1]
    return values ^ _shift(values, 31)


def _shift(values: Tensor, bits: int) -> Tensor:
    """Shift right logically: torch shifts int64 arithmetically."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


FIRST_END_FRAME = 2
"""First frame at which speech may end (the official package's ``min_new_tokens``)."""

_SUPPRESSED = 1024  # the last ids of the talker's vocabulary are control tokens, of which only end-of-speech is drawn


def draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """Draw an id per row, int64 [rows], from ``logits`` float32 [rows, vocabulary] and ``uniform`` [rows] in [0, 1).

    By inversion: the id whose interval of the cumulated probabilities holds the number.
    """
    if sampling.temperature == 0:
        return logits.argmax(-1)
    scores = logits / sampling.temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        last = scores.topk(sampling.top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < last, -torch.inf)
    if sampling.top_p < 1:
        scores = _keep_nucleus(scores, sampling.top_p)
    cumulated = scores.softmax(-1).cumsum(-1)
    return (cumulated <= uniform.unsqueeze(-1) * cumulated[:, -1:]).sum(-1)


def _keep_nucleus(scores: Tensor, top_p: float) -> Tensor:
    """Keep the likeliest ids that together reach ``top_p`` (arXiv:1904.09751), at least one."""
    ascending, order = scores.sort(-1)
    dropped = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
    dropped[:, -1] = False
    return scores.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), -torch.inf)


@dataclass(frozen=True, slots=True)
class FirstCodeRules:
    """Changes to the talker's logits before its code is drawn."""

    end: int
    penalty: float
    suppressed: Tensor  # float32 [vocabulary]: 0, or -inf for ids that are never drawn

    def apply(self, logits: Tensor, seen: Tensor, may_end: Tensor, end_bias: Tensor) -> Tensor:
        """Compute new logits float32 [rows, vocabulary].

        ``seen`` bool [rows, vocabulary]: codes this utterance has drawn; ``may_end`` bool [rows]: speech may end here;
        ``end_bias`` float32 [rows]: added to the end's logit (0 but for an utterance that overstays).
        """
        scores = logits.float()
        scores = torch.where(seen, torch.where(scores > 0, scores / self.penalty, scores * self.penalty), scores)
        scores = scores + self.suppressed
        scores[:, self.end] = torch.where(may_end, scores[:, self.end] + end_bias, -torch.inf)
        return scores


def first_code_rules(vocabulary: int, end: int, penalty: float, device: torch.device) -> FirstCodeRules:
    """Make the rules of a talker with ``vocabulary`` ids, of which ``end`` ends speech."""
    suppressed = torch.zeros(vocabulary, device=device)
    suppressed[vocabulary - _SUPPRESSED :] = -torch.inf
    suppressed[end] = 0
    return FirstCodeRules(end, penalty, suppressed)
