import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.resampling import Resampler

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 9000).astype(np.float32)


def stream(from_hz, to_hz, pieces):
    resampler = Resampler(from_hz, to_hz)
    out = [resampler.process(piece) for piece in pieces]
    return np.concatenate([*out, resampler.process(np.zeros(0, np.float32), last=True)])


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(NOISE)), max_size=12),
    rates=st.sampled_from([(48000, 16000), (22050, 48000), (8000, 24000)]),
)
def test_any_cut_gives_the_whole(cuts, rates):
    whole = stream(*rates, [NOISE])
    np.testing.assert_allclose(stream(*rates, np.split(NOISE, sorted(cuts))), whole, atol=1e-6)
    assert abs(len(whole) - len(NOISE) * rates[1] / rates[0]) <= 1


def test_equal_rates_pass_the_samples_untouched_and_at_once():
    assert Resampler(16000, 16000).process(NOISE) is NOISE


@pytest.mark.parametrize("rates", [(48000, 16000), (16000, 48000)])
def test_a_click_stays_where_it_is(rates):
    click = np.zeros(rates[0], np.float32)
    click[rates[0] // 2] = 1
    assert abs(np.argmax(np.abs(stream(*rates, [click]))) / rates[1] - 0.5) < 1 / min(rates)
