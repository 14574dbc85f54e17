"""Codes are drawn by the official rules, and each draw depends on nothing but seed, frame, codebook and logits."""

import pytest
import torch

from models.tts.qwen3.config import CODES
from models.tts.qwen3.sampler import Sampling, draw, first_code_rules, uniforms

VOCABULARY, END = 3072, 2150


def logits(rows=4, size=VOCABULARY, seed=0):
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)) * 3


def applied(values, seen, may_end=True, bias=0.0, penalty=1.05):
    rows = len(values)
    rules = first_code_rules(VOCABULARY, END, penalty, torch.device("cpu"))
    return rules.apply(values, seen, torch.full((rows,), may_end), torch.full((rows,), bias))


def nothing_seen(rows=4):
    return torch.zeros(rows, VOCABULARY, dtype=torch.bool)


def test_the_penalty_is_that_of_transformers_once_per_distinct_code():
    from transformers import RepetitionPenaltyLogitsProcessor

    drawn = torch.tensor([[5, 5, 5, 9], [1, 2, 3, 4], [7, 7, 8, 8], [0, 0, 0, 0]])
    seen = nothing_seen().scatter(1, drawn, True)
    expected = RepetitionPenaltyLogitsProcessor(1.05)(drawn, logits())
    torch.testing.assert_close(applied(logits(), seen)[:, :CODES], expected[:, :CODES])


def test_only_codes_and_the_end_are_ever_drawn():
    finite = applied(logits(), nothing_seen()).isfinite()
    assert finite.sum(1).tolist() == [CODES + 1] * 4
    assert finite[:, END].all()


def test_the_end_is_out_of_reach_while_speech_may_not_end_and_biased_when_it_overstays():
    assert (applied(logits(), nothing_seen(), may_end=False)[:, END] == -torch.inf).all()
    biased = applied(logits(), nothing_seen(), bias=40.0)
    assert draw(biased, torch.full((4,), 0.5), Sampling()).tolist() == [END] * 4


@pytest.mark.parametrize(
    "sampling",
    [Sampling(0.9, 50, 1.0), Sampling(0.7, 0, 0.8), Sampling(1.3, 20, 0.9), Sampling(1.0, 1, 1.0), Sampling(1.0, 0, 1e-9)],
)
def test_what_can_be_drawn_is_what_transformers_leaves(sampling):
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    warpers = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    values = logits(1, 64, seed=3).round()  # rounded: many ties
    expected = warpers(torch.zeros(1, 1, dtype=torch.long), values).softmax(-1)[0].double()
    count = 200_000
    spread = torch.arange(count, dtype=torch.float32).add(0.5) / count  # every quantile: the draw is an exact inversion
    drawn = draw(values.expand(count, -1), spread, sampling).bincount(minlength=64) / count
    torch.testing.assert_close(drawn.double(), expected, rtol=0, atol=2e-5)


def test_temperature_zero_is_greedy():
    assert draw(logits(), torch.rand(4), Sampling(temperature=0)).tolist() == logits().argmax(-1).tolist()


def test_a_number_depends_on_seed_frame_and_codebook_alone():
    seeds, frames = torch.tensor([3, 9, 3]), torch.tensor([0, 70, 70])
    together = uniforms(seeds, frames)
    assert together.shape == (3, 16)
    for row in range(3):
        assert uniforms(seeds[row : row + 1], frames[row : row + 1]).tolist() == together[row : row + 1].tolist()
    assert len(set(together.flatten().tolist())) == 48


def test_numbers_are_uniform_and_unrelated_from_frame_to_frame():
    from scipy.stats import chisquare

    frames = torch.arange(20_000)
    numbers = uniforms(torch.full_like(frames, 11), frames)
    assert ((numbers >= 0) & (numbers < 1)).all()
    for codebook in range(16):
        assert chisquare((numbers[:, codebook] * 64).long().bincount(minlength=64)).pvalue > 1e-4
    joint = (numbers[1:, 0] * 8).long() * 8 + (numbers[:-1, 0] * 8).long()
    assert chisquare(joint.bincount(minlength=64)).pvalue > 1e-4
    neighbors = (uniforms(torch.full_like(frames, 12), frames)[:, 0] * 8).long() * 8 + (numbers[:, 0] * 8).long()
    assert chisquare(neighbors.bincount(minlength=64)).pvalue > 1e-4
