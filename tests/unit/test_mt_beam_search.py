"""Without terms the search is transformers' beam search; with them nothing of that changes for the rows without."""

import random
from types import SimpleNamespace

import pytest
import torch

from models.mt.search.beam_row import BeamOptions, Extension, SearchRequest, allocate_beams
from models.mt.search.constrained_beam import search
from models.mt.search.transfer import device_topk
from models.mt.steps.step_models import CausalStepModel, Seq2SeqStepModel
from tests.mt_models import END, Scripted, random_model

NEW, LENGTHS, LONGEST, PAD = 10, (7, 5, 4, 7, 2, 6, 3), 7, 1


def prompts(size: int, generator: torch.Generator) -> tuple[torch.Tensor, list[list[int]]]:
    tokens = torch.randint(3, size, (len(LENGTHS), LONGEST), generator=generator)
    return tokens, [row[-length:] for row, length in zip(tokens.tolist(), LENGTHS, strict=True)]


def padded(rows: list[list[int]], left: bool) -> dict[str, torch.Tensor]:
    fill = [[PAD] * (LONGEST - len(row)) for row in rows]
    tokens = [gap + row if left else row + gap for row, gap in zip(rows, fill, strict=True)]
    mask = [
        [0] * len(gap) + [1] * len(row) if left else [1] * len(row) + [0] * len(gap)
        for row, gap in zip(rows, fill, strict=True)
    ]
    return {"input_ids": torch.tensor(tokens), "attention_mask": torch.tensor(mask)}


@pytest.mark.parametrize("kind", ["qwen3", "hunyuan", "m2m", "marian", "t5"])
def test_equals_generate_of_transformers_in_630_cases(kind):
    size = 60
    model = random_model(kind, size, seed=3)
    generator = torch.Generator().manual_seed(1)
    cases = 0
    for beams in (2, 4):
        for penalty in (0.0, 1.0, 1.4):
            for stopping in (False, True, "never"):
                _, rows = prompts(size, generator)
                given = {"num_beams": beams, "length_penalty": penalty, "early_stopping": stopping, "max_new_tokens": NEW}
                given |= {"do_sample": False, "output_scores": True, "return_dict_in_generate": True}
                given |= {"eos_token_id": END, "pad_token_id": PAD}
                if kind in ("qwen3", "hunyuan"):
                    expected, begin = model.generate(**padded(rows, left=True), **given), LONGEST
                    step_model = CausalStepModel(model, rows)
                else:
                    forced = torch.randint(3, size, (len(rows), cases % 4), generator=generator)
                    start = torch.full((len(rows), 1), model.config.decoder_start_token_id)
                    prefix = torch.cat([start, forced], 1)
                    expected = model.generate(**padded(rows, left=False), decoder_input_ids=prefix, **given)
                    begin, step_model = prefix.shape[1], Seq2SeqStepModel(model, rows, prefix.tolist())
                found, _ = search(
                    step_model, [SearchRequest(NEW)] * len(rows), BeamOptions(beams, (END,), penalty, stopping)
                )
                for row, hypotheses in enumerate(found):
                    cases += 1
                    ours, theirs = list(hypotheses[0].tokens), expected.sequences[row, begin:].tolist()
                    assert theirs == ours + [PAD] * (len(theirs) - len(ours)), (beams, penalty, stopping, row)
                    assert expected.sequences_scores[row].item() == pytest.approx(hypotheses[0].score, abs=1e-4)
    assert cases == 126


@pytest.mark.parametrize("kind", ["qwen3", "m2m"])
def test_a_batch_equals_its_requests_one_by_one_and_permuted(kind):
    model = random_model(kind, 60, seed=9)
    _, rows = prompts(60, torch.Generator().manual_seed(2))
    limits = [4, 9, 12, 6, 10, 3, 8]

    def best(order: list[int]) -> dict[int, tuple[tuple[int, ...], float]]:
        sources = [rows[row] for row in order]
        step_model = (
            CausalStepModel(model, sources) if kind == "qwen3" else Seq2SeqStepModel(model, sources, [[2, 7]] * len(order))
        )
        found, _ = search(step_model, [SearchRequest(limits[row]) for row in order], BeamOptions(4, (END,)))
        return {row: (one[0].tokens, one[0].score) for row, one in zip(order, found, strict=True)}

    together, permuted = best(list(range(7))), best([3, 1, 6, 0, 5, 2, 4])
    for row in range(7):
        (alone,) = best([row]).values()
        for other in (together[row], permuted[row]):
            assert other[0] == alone[0]
            assert other[1] == pytest.approx(alone[1], abs=1e-4)
        assert len(alone[0]) <= limits[row]


def test_a_search_that_never_stops_early_finds_what_is_better_because_it_is_longer():
    better = 0
    for seed in range(200):
        found = {}
        for penalty in (8.0, -1.0):
            for stopping in (False, "never"):
                (hypotheses,), steps = search(
                    Scripted([seed]), [SearchRequest(30)], BeamOptions(2, (END,), penalty, stopping)
                )
                found[penalty, stopping] = hypotheses[0].score, steps
        assert found[-1.0, "never"] == found[-1.0, False], "what is longer cannot be better"
        assert found[8.0, "never"] >= found[8.0, False]
        better += found[8.0, "never"][0] > found[8.0, False][0]
    assert better > 5


def test_a_repetition_is_not_generated_twice():
    class Stuck(Scripted):
        def _scores(self, histories):
            scores = torch.full((len(histories), self.size), -9.0)
            for row, history in enumerate(histories):
                scores[row, 4 + len(history) % 3] = 0.0
            return scores.log_softmax(-1)

    plain, _ = search(Stuck([1]), [SearchRequest(24)], BeamOptions(1, (END,)))
    strict, _ = search(Stuck([1]), [SearchRequest(24)], BeamOptions(1, (END,), no_repeat=4))
    assert len(windows(plain[0][0].tokens)) > len(set(windows(plain[0][0].tokens)))
    assert len(windows(strict[0][0].tokens)) == len(set(windows(strict[0][0].tokens)))


def windows(tokens: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [tokens[start : start + 4] for start in range(len(tokens) - 3)]


@pytest.mark.parametrize(("length", "count"), [(90, 8), (20_000, 8), (480_123, 12), (12_288, 4), (128, 1)])
@pytest.mark.parametrize("beams", [1, 4])
def test_top_of_beams_is_topk_over_them_all(beams, length, count):
    generator = torch.Generator().manual_seed(length)
    scores, running = (torch.randn(3, beams, *shape, generator=generator) for shape in ((length,), ()))
    values, places = device_topk(scores, running, count)
    sums = scores + running[:, :, None]
    assert torch.equal(values, sums.flatten(1).topk(count).values)
    assert torch.equal(sums.flatten(1).gather(1, places), values)


def test_beams_are_shared_by_score_by_worth_and_round_robin_over_the_banks():
    """The best text stays, half the beams are worth the most, and no bank has two of the others before each has one."""
    left, cost_per_term_token = 9, 2.0
    for seed in range(300):
        draw = random.Random(seed)
        beams, needs = draw.choice([1, 2, 4, 5, 8]), [draw.randint(0, 12) for _ in range(draw.randint(1, 14))]
        values = sorted((draw.uniform(-20.0, 0.0) for _ in needs), reverse=True)
        going = [
            Extension(value, value, 0, token, token, SimpleNamespace(need=need, least=min(need, 9 + need % 2)))
            for token, (value, need) in enumerate(zip(values, needs, strict=True))
        ]
        able = [one for one in going if one.state.need <= left or one.state.least <= left]
        chosen = allocate_beams(going, left, cost_per_term_token, beams)
        assert len(set(map(id, chosen))) == len(chosen) == min(beams, len(able))
        worth = sorted(able, key=lambda one: one.value - cost_per_term_token * one.state.need, reverse=True)
        best = able[: beams > 1]
        promising = [one for one in worth if one not in best][: (beams + 1) // 2 - len(best)]
        half = {id(one) for one in (*best, *promising)}
        assert half <= set(map(id, chosen))
        banks = {need: [one for one in able if one.state.need == need] for need in sorted({*needs})}
        turns = [bank[rank] for rank in range(len(able)) for bank in banks.values() if rank < len(bank)]
        others = [one for one in turns if one not in chosen]
        last = max((turns.index(one) for one in chosen if id(one) not in half), default=-1)
        assert all(turns.index(one) > last for one in others), "a turn was passed over"
