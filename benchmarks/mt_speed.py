"""How long a unit takes at real geometry with random weights, against `generate` of transformers: on a GPU unchanged."""

from __future__ import annotations

import operator
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from transformers import HunYuanDenseV1Config, HunYuanDenseV1ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from benchmarks.device import wait_for
from models.cuda_attention import leave_out_cudnn_attention
from models.mt.search.beam_request import Asked, BeamOptions
from models.mt.search.constrained_beam import search
from models.mt.steps.fixed_steps import FixedSteps, buckets
from models.mt.steps.gpu_kernels import use_few_kernels
from models.mt.steps.steppers import CausalStepper
from models.recording import CudaRecorder

Model: TypeAlias = Any  # transformers is not analyzed
UNIT_TOKENS, PROMPT_TOKENS, BEAMS, END = 20, 96, 4, 2
BUDGET_S = 15.0  # for the runs of one search at one batch size

GEOMETRIES: Mapping[str, Mapping[str, int]] = {
    "tiny": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 1000},
    "0.6b": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
             "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936},
    "1.7b": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16,
             "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936},
    "1.8b": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 32, "num_attention_heads": 16,
             "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 120_818},
}  # fmt: skip
"""LMT-60-0.6B and -1.7B (Qwen3), Hy-MT2-1.8B (HunYuan dense), and one for tests."""


def speed_figures(geometry: str, device: str, batches: Sequence[int], repeats: int) -> Mapping[str, float]:
    """Milliseconds for a batch of units of 20 tokens at beam 4: our search, eager `generate`, and the ratio of both.

    Each is the median of at most ``repeats`` runs, fewer where they take more than `BUDGET_S` together (``_runs``), after
    one run of a single text to warm up. ``_equal_ratio`` is the share of texts with the same tokens: random weights leave
    near ties that other shapes of the same sums may decide otherwise. On a GPU the figures with ``_graphs_`` are of our
    search with recorded steps, and ``_record_s`` is how long it takes to record them when the model is loaded.
    """
    if device == "cpu":
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    model, untouched = loaded_model(geometry, device), random_model(geometry, device)
    first = random_prompts(1)[:1]
    figures = {"speed_threads": float(torch.get_num_threads())}
    fixed = None
    if device.startswith("cuda"):
        before = time.perf_counter()
        fixed = record_steps(model, max(batches))
        wait_for(device)
        figures[f"unit_{geometry}_record_s"] = time.perf_counter() - before
        search_units(model, first, fixed)
    search_units(model, first)
    _generate(untouched, first)
    for batch in batches:
        prompts, name = random_prompts(batch), f"unit_{geometry}_batch{batch}"
        ours, our_times = _timed(partial(search_units, model, prompts), device, repeats)
        theirs, their_times = _timed(partial(_generate, untouched, prompts), device, repeats)
        figures[f"{name}_ms"] = statistics.median(our_times)
        figures[f"{name}_generate_ms"] = statistics.median(their_times)
        figures[f"{name}_to_generate_ratio"] = figures[f"{name}_ms"] / figures[f"{name}_generate_ms"]
        figures[f"{name}_equal_ratio"] = sum(map(operator.eq, ours, theirs)) / batch
        figures[f"{name}_runs"] = min(len(our_times), len(their_times))
        if fixed:
            recorded, recorded_times = _timed(partial(search_units, model, prompts, fixed), device, repeats)
            figures[f"{name}_graphs_ms"] = statistics.median(recorded_times)
            figures[f"{name}_graphs_to_generate_ratio"] = figures[f"{name}_graphs_ms"] / figures[f"{name}_generate_ms"]
            figures[f"{name}_graphs_equal_ratio"] = sum(map(operator.eq, recorded, ours)) / batch
        for key in (key for key in figures if key.startswith(f"{name}_")):
            print(f"  {key:<44} {figures[key]:9.2f}", flush=True)
    return figures


def random_prompts(batch: int) -> list[list[int]]:
    """Prompts of the length of a unit's, the same for each ``batch``."""
    generator = torch.Generator().manual_seed(batch)
    rows: list[list[int]] = torch.randint(3, 1000, (batch, PROMPT_TOKENS), generator=generator).tolist()
    return rows


def random_model(geometry: str, device: str) -> Model:
    """A model of random weights, bfloat16 on a GPU, with the product's choice of attention kernels."""
    leave_out_cudnn_attention()
    shape = {**GEOMETRIES[geometry], "tie_word_embeddings": True, "pad_token_id": 0, "eos_token_id": END, "bos_token_id": 1}
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    torch.manual_seed(1)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):  # where making up so many numbers is quickest
            if geometry == "1.8b":
                return HunYuanDenseV1ForCausalLM(HunYuanDenseV1Config(**shape)).eval()
            return Qwen3ForCausalLM(Qwen3Config(**shape)).eval()
    finally:
        torch.set_default_dtype(before)


def loaded_model(geometry: str, device: str) -> Model:
    """The same model as the product loads it."""
    model = random_model(geometry, device)
    if model.device.type == "cuda":
        use_few_kernels(model)
    return model


def record_steps(model: Model, batch: int) -> FixedSteps:
    """The decoding steps of up to ``batch`` units at once as CUDA graphs."""
    sizes = buckets(batch * BEAMS, model.config.max_position_embeddings)
    return FixedSteps(model, _bias(model), sizes, CudaRecorder(model.device))


def _bias(model: Model) -> torch.Tensor:
    """Keeps the end out, as the product keeps out what writes no text."""
    bias = torch.zeros(model.config.vocab_size, device=model.device)
    bias[END] = -torch.inf
    return bias


def search_units(model: Model, rows: list[list[int]], fixed: FixedSteps | None = None) -> list[list[int]]:
    """The tokens of each unit."""
    options = BeamOptions(BEAMS, (END,), early_stopping="never")
    found, _ = search(CausalStepper(model, rows, _bias(model), fixed), [Asked(UNIT_TOKENS)] * len(rows), options)
    return [list(hypotheses[0].tokens) for hypotheses in found]


def _generate(model: Model, rows: list[list[int]]) -> list[list[int]]:
    length = {"min_new_tokens": UNIT_TOKENS, "max_new_tokens": UNIT_TOKENS}
    prompts = torch.tensor(rows, device=model.device)
    mask = torch.ones_like(prompts)
    said = model.generate(prompts, attention_mask=mask, num_beams=BEAMS, do_sample=False, early_stopping="never", **length)
    found: list[list[int]] = said[:, PROMPT_TOKENS:].tolist()
    return found


def _timed(call: Callable[[], list[list[int]]], device: str, repeats: int) -> tuple[list[list[int]], list[float]]:
    """What a call gives, and the milliseconds of each run."""
    times_ms: list[float] = []
    while not times_ms or (len(times_ms) < repeats and sum(times_ms) < 1000 * BUDGET_S):
        wait_for(device)
        before = time.perf_counter()
        found = call()
        wait_for(device)
        times_ms.append(1000 * (time.perf_counter() - before))
    return found, times_ms
