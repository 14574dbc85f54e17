"""Decoding steps in fixed memory: the same texts as without, whatever the memory held before, and recorded bit for bit."""

import random

import pytest
import torch

from models.mt.causal_lm import use_few_kernels
from models.mt.search.beam_row import BeamOptions, SearchRequest
from models.mt.search.constrained_beam import search
from models.mt.search.transfer import pack, unpack
from models.mt.steps.fixed_steps import Bucket, FixedSteps, buckets
from models.mt.steps.key_values import prefill
from models.mt.steps.step_models import CausalStepModel
from models.mt.terms.automaton import TermAutomaton
from pipeline.errors import ModelError
from tests.mt_models import END, PIECES, random_model
from tests.tape import NotRecordable, TapeRecorder
from tests.unit.test_mt_terms import VOCABULARY, random_constraints

SIZE = len(PIECES)
SIZES = [Bucket(rows, *length) for rows in (4, 8, 12) for length in ((6, 10), (9, 24))]
DYNAMIC = {"rope_scaling": {"type": "dynamic", "rope_type": "dynamic", "alpha": 1000.0, "factor": 1.0}}
MODELS = [("qwen3", {}), ("hunyuan", DYNAMIC)]


def bias() -> torch.Tensor:
    never = torch.zeros(SIZE)
    never[:2] = -torch.inf
    return never


def prompts(draw: random.Random, count: int, longest: int) -> list[list[int]]:
    return [[draw.randrange(3, SIZE) for _ in range(draw.randint(2, longest))] for _ in range(count)]


@torch.inference_mode()
def poison(steps: FixedSteps) -> None:
    """Make whatever a search does not write itself show in its scores."""
    for step in steps._steps:
        floats = [step._scores, step._mask, *(states for layer in step._layers for states in layer._states)]
        for memory in floats:
            memory.fill_(torch.nan)
        step._positions.fill_(400)
        step._moves.fill_(0)


def walk(steps: FixedSteps, model, rows: int, seed: int, number: int = 8) -> list[torch.Tensor]:
    """The scores of some steps with random tokens and origins, two beams to a prompt."""
    draw = torch.Generator().manual_seed(seed)
    step = steps.fitting(rows, 6, number)
    with torch.inference_mode():
        step.begin(prefill(model, prompts(random.Random(seed), rows // 2, 6)), 2)
        scores = []
        for _ in range(number):
            origins = torch.arange(rows) // 2 * 2 + torch.randint(0, 2, (rows,), generator=draw)
            tokens = torch.randint(3, SIZE, (rows,), generator=draw)
            scores.append(step.step(torch.stack([origins, tokens])).clone())
    return scores


def test_the_sizes_are_few_and_hold_the_widest_search_but_nothing_longer_than_the_model_reads():
    sizes = buckets(32, 262_144)
    assert len(sizes) == 8
    assert max(size.rows for size in sizes) == 32
    assert {size.rows for size in buckets(40, 4096)} == {4, 8, 16, 32, 40}
    assert {size.length for size in buckets(1, 300)} == {256}
    assert buckets(1, 100) == []


@pytest.mark.parametrize(("kind", "changes"), MODELS)
def test_recorded_steps_are_the_same_bit_for_bit_and_nothing_is_left_from_one_search_to_the_next(kind, changes):
    model, recorder = random_model(kind, SIZE, seed=4, **changes), TapeRecorder()
    plain, recorded = FixedSteps(model, bias(), SIZES, None), FixedSteps(model, bias(), SIZES, recorder)
    assert recorder.recorded == len(SIZES)
    for seed, rows in enumerate((4, 6, 2, 12, 8)):
        poison(recorded)
        expected = walk(FixedSteps(model, bias(), SIZES, None), model, rows, seed)
        for scores, replayed, first in zip(
            walk(plain, model, rows, seed), walk(recorded, model, rows, seed), expected, strict=True
        ):
            assert not first.isnan().any()
            assert torch.equal(scores, first)
            assert torch.equal(replayed, first)
    assert recorder.recorded == len(SIZES)
    assert recorder.replayed == 5 * 8


@pytest.mark.parametrize(("kind", "changes"), MODELS)
def test_few_kernels_do_the_same(kind, changes):
    model, light = (random_model(kind, SIZE, seed=4, **changes) for _ in range(2))
    with torch.inference_mode():
        for module in (*model.modules(), *light.modules()):
            if hasattr(module, "variance_epsilon"):
                module.weight.copy_(torch.linspace(0.5, 2, module.weight.numel()))
    use_few_kernels(light)
    moves = torch.tensor([[1, 1, 2, 2], [5, 6, 7, 8]])
    found = []
    for one in (model, light):
        growing = CausalStepModel(one, prompts(random.Random(2), 2, 9), bias())
        with torch.inference_mode():
            growing_scores = [growing.start(2, 4), *(growing.step(moves) for _ in range(3))]
        found.append([*growing_scores, *walk(FixedSteps(one, bias(), SIZES, TapeRecorder()), one, 6, seed=2)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "changes"), MODELS)
@pytest.mark.parametrize("beams", [1, 2, 4])
def test_a_search_finds_the_same_with_and_without_terms_in_poisoned_memory(kind, changes, beams):
    model, recorder = random_model(kind, SIZE, seed=4, **changes), TapeRecorder()
    steps = FixedSteps(model, bias(), SIZES, recorder)
    draw, replayed, taken = random.Random(beams), 0, set()
    for count in (1, 3, 2, 12 // beams, 1):
        for constrained in (False, True):
            rows = prompts(draw, count, 9)
            asked = [SearchRequest(draw.randint(3, 10)) for _ in rows]
            if constrained:
                automata = [TermAutomaton(random_constraints(draw), VOCABULARY) for _ in rows]
                asked = [SearchRequest(int(one.state(one.root).need) + 4, one, one.root) for one in automata]
            poison(steps)
            options = BeamOptions(beams, (END,), early_stopping="never", no_repeat=4 * constrained)
            expected, _ = search(CausalStepModel(model, rows, bias()), asked, options)
            found, number = search(CausalStepModel(model, rows, bias(), steps), asked, options)
            for ours, theirs in zip(found, expected, strict=True):
                assert [(one.tokens, one.met) for one in ours] == [(one.tokens, one.met) for one in theirs]
                assert [one.score for one in ours] == pytest.approx([one.score for one in theirs], abs=1e-4)
            bucket = steps.fitting(count * beams, max(map(len, rows)), max(one.limit for one in asked))
            if bucket:
                replayed += number - 1
                taken.add(bucket.bucket)
    assert recorder.recorded == len(SIZES), "nothing is recorded once the model is ready"
    assert recorder.replayed == replayed > 20
    assert len(taken) > 2


def test_padded_rows_never_change_real_ones():
    model = random_model("qwen3", SIZE, seed=4)
    steps = FixedSteps(model, bias(), SIZES, None)
    expected = walk(steps, model, 6, 3)
    step = steps.fitting(6, 6, 8)
    begin = step.begin

    def begin_beside_poison(*given) -> None:
        begin(*given)
        step._mask[6:] = torch.nan
        step._moves[1, 6:] = 5
        for layer in step._layers:
            for states in layer._states:
                states[6:] = torch.nan

    step.begin = begin_beside_poison
    assert all(map(torch.equal, walk(steps, model, 6, 3), expected))
    assert step._scores[6:].isnan().all()


@pytest.mark.parametrize(
    ("count", "longest", "limit"), [(4, 9, 24), (1, 10, 24), (1, 9, 25)], ids=["rows", "prompt", "answer"]
)
def test_what_is_larger_than_all_sizes_is_searched_without_them(count, longest, limit):
    model, recorder = random_model("qwen3", SIZE, seed=4), TapeRecorder()
    steps = FixedSteps(model, bias(), SIZES, recorder)
    rows = [[5] * longest] * count
    found, expected = (
        search(CausalStepModel(model, rows, bias(), fixed), [SearchRequest(limit)] * count, BeamOptions(4, (END,)))
        for fixed in (steps, None)
    )
    assert found == expected
    assert recorder.replayed == 0


def test_transformers_4_would_read_dynamic_rotations_back():
    step = FixedSteps(random_model("hunyuan", SIZE, seed=4, **DYNAMIC), bias(), SIZES, None)._steps[0]
    if not step._rotations:
        pytest.skip("transformers 5 knows that they never change")
    step._rotations = []
    with pytest.raises(NotRecordable), torch.inference_mode():
        step.record(TapeRecorder())


def test_a_device_that_refuses_to_record_names_the_setting():
    class Refusing:
        def record(self, work):
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(ModelError, match=r"Qwen3.*not permitted.*translator.graphs=false"):
        FixedSteps(random_model("qwen3", SIZE), bias(), SIZES, Refusing())


def test_what_comes_back_from_a_device_in_one_tensor_is_what_was_sent():
    values = torch.tensor([[0.1, -torch.inf], [-4e9, 1e-30]])
    places = torch.tensor([[0, 2_000_000_000], [40_000_001, 16_777_217]])
    for seen in (torch.tensor([-0.7]), torch.empty(0)):
        got = unpack(pack(values, places, seen), values.shape)
        assert got == (values.tolist(), places.tolist(), seen.tolist())
