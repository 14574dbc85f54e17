"""Recorded decoding steps on a CUDA device are the eager ones. Run on a machine that has one; skipped elsewhere."""

import random

import pytest
import torch

from models.cuda import CudaRecorder
from models.mt.causal_lm import use_few_kernels
from models.mt.search.beam_row import BeamOptions, SearchRequest
from models.mt.search.constrained_beam import search
from models.mt.steps.fixed_steps import FixedSteps, buckets
from models.mt.steps.key_values import prefill
from models.mt.steps.step_models import CausalStepModel
from models.mt.terms.automaton import TermAutomaton
from tests.mt_models import END, random_model
from tests.unit.test_mt_fixed_steps import DYNAMIC, SIZE, bias, poison, prompts
from tests.unit.test_mt_terms import VOCABULARY, random_constraints

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

ROWS = 16


def model_on_gpu(kind="qwen3", dtype=torch.bfloat16):
    changes = DYNAMIC if kind == "hunyuan" else {}
    model = random_model(kind, SIZE, seed=4, **changes).to("cuda", dtype)
    use_few_kernels(model)
    return model


def steps_of(model, recorded: bool) -> FixedSteps:
    return FixedSteps(model, bias().cuda(), buckets(ROWS, 512), CudaRecorder(model.device) if recorded else None)


@pytest.mark.parametrize("kind", ["qwen3", "hunyuan"])
def test_recorded_is_eager_bit_for_bit_at_every_size(kind):
    model = model_on_gpu(kind)
    recorded, eager = steps_of(model, True), steps_of(model, False)
    for size in buckets(ROWS, 512):
        poison(recorded)
        found = []
        for steps in (recorded, eager):
            step = steps.fitting(size.rows, size.prompt, size.answer)
            assert step.bucket == size
            draw, scores = torch.Generator().manual_seed(size.rows), []
            with torch.inference_mode():
                step.begin(prefill(model, prompts(random.Random(3), size.rows // 4, size.prompt)), 4)
                for _ in range(20):
                    origins = torch.arange(size.rows) // 4 * 4 + torch.randint(0, 4, (size.rows,), generator=draw)
                    tokens = torch.randint(3, SIZE, (size.rows,), generator=draw)
                    scores.append(step.step(torch.stack([origins, tokens]).cuda()).clone())
            found.append(torch.stack(scores))
        assert not found[0].isnan().any()
        assert torch.equal(*found), size


@pytest.mark.parametrize("kind", ["qwen3", "hunyuan"])
def test_float32_texts_with_and_without_terms_are_those_of_the_cpu(kind):
    here, there = random_model(kind, SIZE, seed=4), model_on_gpu(kind, torch.float32)
    if kind == "hunyuan":
        here = random_model(kind, SIZE, seed=4, **DYNAMIC)
    steps, draw = steps_of(there, True), random.Random(1)
    for count in (1, 4, 3):
        rows = prompts(draw, count, 30)
        automata = [TermAutomaton(random_constraints(draw), VOCABULARY) for _ in rows]
        forced = [SearchRequest(int(one.state(one.root).need) + 6, one, one.root) for one in automata]
        for asked in ([SearchRequest(12)] * count, forced):
            poison(steps)
            options = BeamOptions(4, (END,), early_stopping="never")
            expected, _ = search(CausalStepModel(here, rows, bias()), asked, options)
            found, _ = search(CausalStepModel(there, rows, bias().cuda(), steps), asked, options)
            assert [one[0].tokens for one in found] == [one[0].tokens for one in expected]


def test_a_thousand_steps_neither_take_memory_nor_wait_for_the_device():
    model = model_on_gpu()
    steps = steps_of(model, True)
    step = steps.fitting(8, 320, 192)
    moves = torch.stack([torch.arange(8), torch.full((8,), 5)]).cuda()
    with torch.inference_mode():
        prefilled = prefill(model, prompts(random.Random(3), 2, 30))
        step.begin(prefilled, 4)
        step.step(moves)
        torch.cuda.synchronize()
        held = torch.cuda.memory_allocated()
        torch.cuda.set_sync_debug_mode("error")
        try:
            for number in range(1000):
                if number % 150 == 0:
                    step.begin(prefilled, 4)
                step.step(moves)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
        assert torch.cuda.memory_allocated() == held


def test_padded_rows_never_change_real_ones():
    model = model_on_gpu()
    step = steps_of(model, True).fitting(6, 30, 20)
    moves = torch.stack([torch.arange(6), torch.full((6,), 5)]).cuda()
    found = []
    with torch.inference_mode():
        prefilled = prefill(model, prompts(random.Random(3), 3, 30))
        for spoilt in (False, True):
            step.begin(prefilled, 2)
            if spoilt:
                step._mask[6:] = torch.nan
                step._moves[1, 6:] = 7
                for layer in step._layers:
                    for states in layer._states:
                        states[6:] = torch.nan
            found.append(torch.stack([step.step(moves).clone() for _ in range(10)]))
    assert torch.equal(*found)
