"""The time of a unit at real geometry with random weights, against `generate` of transformers: on a GPU unchanged."""

from __future__ import annotations

import operator
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from transformers import HunYuanDenseV1Config, HunYuanDenseV1ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from benchmarks.device import timed, wait_for
from models.cuda import CudaRecorder, leave_out_cudnn_attention
from models.mt.causal_lm import use_few_kernels
from models.mt.search.beam_row import BeamOptions, SearchRequest
from models.mt.search.constrained_beam import search
from models.mt.steps.fixed_steps import FixedSteps, buckets
from models.mt.steps.step_models import CausalStepModel

Model: TypeAlias = Any  # transformers is not analyzed
Texts: TypeAlias = list[list[int]]
UNIT_TOKENS, PROMPT_TOKENS, BEAMS, END = 20, 96, 4, 2
BUDGET_S = 60.0  # for the runs of one search at one batch size

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


def speed_figures(geometry: str, device: str, batches: Sequence[int], repeats: int) -> Iterator[Mapping[str, float]]:
    """Milliseconds for a batch of units of 20 tokens at beam 4: our search, eager `generate`, and the ratio of both.

    Gives the figures batch by batch. Each is the median of at most ``repeats`` runs, fewer where a system's take more than
    `BUDGET_S` together (``_runs``); the systems run by turns, after one run each of a single text to warm up.
    ``_equal_ratio`` is the share of texts with the tokens of `generate`: random weights leave near ties, which other shapes
    of the same sums may decide otherwise. On a GPU the figures with ``_graphs_`` are of our search with recorded steps, and
    ``_record_s`` is how long it takes to record them when the model is loaded.
    """
    if device == "cpu":
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = loaded_model(geometry, device)
    untouched = model if device == "cpu" else random_model(geometry, device)
    systems: dict[str, Callable[[Texts], Texts]] = {
        "": partial(search_units, model),
        "generate_": partial(_generate, untouched),
    }
    figures = {"speed_threads": float(torch.get_num_threads())}
    if device.startswith("cuda"):
        before = time.perf_counter()
        fixed = record_steps(model, max(batches))
        wait_for(device)
        figures[f"unit_{geometry}_record_s"] = time.perf_counter() - before
        systems["graphs_"] = partial(search_units, model, fixed=fixed)
    yield figures
    for search_by in systems.values():
        search_by(random_prompts(1))
    for batch in batches:
        figures = _batch_figures(f"unit_{geometry}_batch{batch}_", systems, random_prompts(batch), device, repeats)
        for key, value in figures.items():
            print(f"  {key:<44} {value:9.2f}", flush=True)
        yield figures


def _batch_figures(
    name: str, systems: Mapping[str, Callable[[Texts], Texts]], prompts: Texts, device: str, repeats: int
) -> dict[str, float]:
    found, times_ms = _timed({system: partial(call, prompts) for system, call in systems.items()}, device, repeats)
    figures = {f"{name}{system}ms": statistics.median(times_ms[system]) for system in systems}
    for system in systems.keys() - {"generate_"}:
        figures[f"{name}{system}to_generate_ratio"] = figures[f"{name}{system}ms"] / figures[f"{name}generate_ms"]
        figures[f"{name}{system}equal_ratio"] = sum(map(operator.eq, found[system], found["generate_"])) / len(prompts)
    return figures | {f"{name}runs": float(len(times_ms[""]))}


def random_prompts(batch: int) -> Texts:
    """Prompts of the length of a unit's, the same for each ``batch``."""
    generator = torch.Generator().manual_seed(batch)
    rows: Texts = torch.randint(3, 1000, (batch, PROMPT_TOKENS), generator=generator).tolist()
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


def search_units(model: Model, rows: Texts, fixed: FixedSteps | None = None) -> Texts:
    """The tokens of each unit."""
    options = BeamOptions(BEAMS, (END,), early_stopping="never")
    found, _ = search(CausalStepModel(model, rows, _bias(model), fixed), [SearchRequest(UNIT_TOKENS)] * len(rows), options)
    return [list(hypotheses[0].tokens) for hypotheses in found]


def _generate(model: Model, rows: Texts) -> Texts:
    length = {"min_new_tokens": UNIT_TOKENS, "max_new_tokens": UNIT_TOKENS}
    prompts = torch.tensor(rows, device=model.device)
    mask = torch.ones_like(prompts)
    said = model.generate(prompts, attention_mask=mask, num_beams=BEAMS, do_sample=False, early_stopping="never", **length)
    found: Texts = said[:, PROMPT_TOKENS:].tolist()
    return found


def _timed(
    calls: Mapping[str, Callable[[], Texts]], device: str, repeats: int
) -> tuple[dict[str, Texts], dict[str, list[float]]]:
    """Return what each call gives, and the milliseconds of each of its runs; the calls take turns."""
    found: dict[str, Texts] = {}
    times_ms: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            found[name], taken_s = timed(call, device)
            times_ms[name].append(1000 * taken_s)
        if max(map(sum, times_ms.values())) > 1000 * BUDGET_S:
            break
    return found, times_ms
