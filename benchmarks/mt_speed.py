"""How long a unit takes at real geometry with random weights, against `generate` of transformers: on a GPU unchanged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from transformers import HunYuanDenseV1Config, HunYuanDenseV1ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from benchmarks.metrics.statistics import percentile
from models.mt.constrained_beam import Asked, BeamOptions, search
from models.mt.steppers import CausalStepper

Model: TypeAlias = Any  # transformers is not analysed
UNIT_TOKENS, PROMPT_TOKENS, BEAMS = 20, 96, 4

GEOMETRIES: Mapping[str, Mapping[str, int]] = {
    "0.6b": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
             "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936},
    "1.7b": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16,
             "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936},
    "1.8b": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 32, "num_attention_heads": 16,
             "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 120_818},
}  # fmt: skip
"""LMT-60-0.6B and -1.7B (Qwen3), Hy-MT2-1.8B (HunYuan dense)."""


def speed_figures(geometry: str, device: str, batches: Sequence[int], repeats: int) -> Mapping[str, float]:
    """Milliseconds for a unit of 20 tokens at beam 4, for each batch size: our search and `generate`, medians."""
    model = _model(geometry, device)
    figures = {}
    for batch in batches:
        tokens = torch.randint(3, 1000, (batch, PROMPT_TOKENS), generator=torch.Generator().manual_seed(batch))
        ours = _median_ms(partial(_search, model, tokens.tolist()), device, repeats)
        theirs = _median_ms(partial(_generate, model, tokens.to(device)), device, repeats)
        figures[f"unit_{geometry}_batch{batch}_ms"] = ours
        figures[f"unit_{geometry}_batch{batch}_generate_ms"] = theirs
        print(f"  {geometry} batch {batch}: {ours:9.1f} ms a unit, generate {theirs:9.1f} ms ({theirs / ours:.2f} x)")
    return figures


def _model(geometry: str, device: str) -> Model:
    shape = {**GEOMETRIES[geometry], "tie_word_embeddings": True, "pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1}
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    torch.manual_seed(1)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        if geometry == "1.8b":
            return HunYuanDenseV1ForCausalLM(HunYuanDenseV1Config(**shape)).to(device).eval()
        return Qwen3ForCausalLM(Qwen3Config(**shape)).to(device).eval()
    finally:
        torch.set_default_dtype(before)


def _search(model: Model, rows: list[list[int]]) -> None:
    options = BeamOptions(BEAMS, (2,), early_stopping="never")
    search(CausalStepper(model, rows), [Asked(UNIT_TOKENS)] * len(rows), options)


def _generate(model: Model, rows: torch.Tensor) -> None:
    length = {"min_new_tokens": UNIT_TOKENS, "max_new_tokens": UNIT_TOKENS}
    mask = torch.ones_like(rows)
    model.generate(rows, attention_mask=mask, num_beams=BEAMS, do_sample=False, early_stopping="never", **length)


def _median_ms(call: Callable[[], None], device: str, repeats: int) -> float:
    times_ms = []
    for _ in range(repeats + 1):  # the first one warms up
        _wait(device)
        before = time.perf_counter()
        call()
        _wait(device)
        times_ms.append(1000 * (time.perf_counter() - before))
    return percentile(times_ms[1:], 50)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
