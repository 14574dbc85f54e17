"""Drawing codes from logits, with the official package's semantics.

The order is that of its generation: repetition penalty (once per distinct code), end-of-speech rules, suppressed ids,
temperature, top-k (ties with the last stay), top-p.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.tts.qwen3.generation_config import Sampling

FIRST_END_FRAME = 2
"""Speech never ends before this frame (the official package's ``min_new_tokens``)."""

_SUPPRESSED = 1024  # the last ids of the talker's vocabulary are control tokens, of which only end-of-speech is drawn


def draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """One id per row, int64 [rows], from float32 ``logits`` [rows, vocabulary] and ``uniform`` numbers [rows] in [0, 1).

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
    """What is done to the talker's logits before its code is drawn."""

    end: int
    penalty: float
    suppressed: Tensor  # float32 [vocabulary]: 0, or -inf for ids that are never drawn

    def apply(self, logits: Tensor, seen: Tensor, may_end: Tensor, end_bias: Tensor) -> Tensor:
        """New logits float32 [rows, vocabulary].

        ``seen`` bool [rows, vocabulary]: codes this utterance has drawn; ``may_end`` bool [rows]: whether speech may end
        here; ``end_bias`` float32 [rows]: added to the end's logit (0 but for an utterance that overstays).
        """
        scores = logits.float()
        scores = torch.where(seen, torch.where(scores > 0, scores / self.penalty, scores * self.penalty), scores)
        scores = scores + self.suppressed
        scores[:, self.end] = torch.where(may_end, scores[:, self.end] + end_bias, -torch.inf)
        return scores


def first_code_rules(vocabulary: int, end: int, penalty: float, device: torch.device) -> FirstCodeRules:
    """The rules for a talker with ``vocabulary`` ids, of which ``end`` ends speech."""
    suppressed = torch.zeros(vocabulary, device=device)
    suppressed[vocabulary - _SUPPRESSED :] = -torch.inf
    suppressed[end] = 0
    return FirstCodeRules(end, penalty, suppressed)
