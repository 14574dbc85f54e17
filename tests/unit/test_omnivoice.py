"""OmniVoice's engine: what the official package makes of a checkpoint, in any company of units and for any fault of one."""

import numpy as np
import pytest
import torch

from benchmarks.omnivoice_checkpoint import write_checkpoint
from models.tts.omnivoice import loading
from models.tts.omnivoice.decoding import draw_noise, schedule
from models.tts.omnivoice.loading import GraphSteps
from models.tts.omnivoice.prompt import closed, joined
from models.tts.omnivoice.synthesizer import estimated_frames
from pipeline.errors import ModelError
from tests.omnivoice_parts import PACKAGE, Parts, finish, run
from tests.tape import TapeRecorder

TEXTS = ("Hello world.", "A longer text than the others, to be padded to.", "No.", "And one more of them.")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return Parts(write_checkpoint(tmp_path_factory.mktemp("checkpoint")))


@pytest.mark.parametrize("case", PACKAGE, ids=lambda case: case["language"])
def test_codes_and_samples_are_those_of_the_package(parts, case):
    (spoken,) = run(parts.engine(), parts.of_package(case))
    np.testing.assert_array_equal(spoken.codes, case["codes"])
    samples, rms = spoken.samples, (case["reference"] or {}).get("rms")
    loud = samples * (rms / 0.1) if rms else samples / np.abs(samples).max() * 0.5
    np.testing.assert_allclose(loud[::97], case["samples"], atol=1e-5)


def test_a_clip_becomes_the_codes_of_the_package(parts):
    samples = torch.randn(960 * 60, generator=torch.Generator().manual_seed(9)) * 0.1
    with torch.inference_mode():
        np.testing.assert_array_equal(parts.encoder.encode(samples).numpy(), PACKAGE[0]["encoded"])
        assert parts.encoder.encode(torch.cat([samples, samples[:959]])).shape[1] == 60  # less than a frame is cut


def alone(parts, text, seed):
    (spoken,) = run(parts.engine(1), parts.unit(text, seed=seed))
    return spoken.codes


def test_a_unit_is_the_same_in_any_company_and_row(parts):
    singles = [alone(parts, text, seed) for seed, text in enumerate(TEXTS)]
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        together = run(parts.engine(3), *(parts.unit(TEXTS[seed], seed=seed) for seed in order))  # one waits for a row
        for seed, spoken in zip(order, together, strict=True):
            np.testing.assert_array_equal(spoken.codes, singles[seed])


def test_a_unit_that_joins_or_leaves_changes_no_other(parts):
    engine = parts.engine(2)
    staying, leaving, late = (parts.unit(TEXTS[seed], seed=seed) for seed in (0, 1, 2))
    engine.add(staying)
    engine.add(leaving)
    for _ in range(5):
        assert engine.turn() == []
    engine.remove(leaving)
    engine.remove(leaving)
    engine.add(late)
    first, second = finish(engine, staying, late)
    np.testing.assert_array_equal(first.codes, alone(parts, TEXTS[0], 0))
    np.testing.assert_array_equal(second.codes, alone(parts, TEXTS[2], 2))  # in the row of the one that left


def test_another_seed_speaks_otherwise(parts):
    assert not np.array_equal(alone(parts, TEXTS[0], 1), alone(parts, TEXTS[0], 2))


def test_where_memory_does_not_do_for_all_each_is_spoken_by_itself(parts, monkeypatch):
    engine = parts.engine(2)
    exactly = engine.step

    def step(units):
        if len(units) > 1:
            raise torch.OutOfMemoryError("all at once")
        exactly(units)

    engine.step = step
    first, second = run(engine, *(parts.unit(TEXTS[seed], seed=seed) for seed in (0, 1)))
    np.testing.assert_array_equal(first.codes, alone(parts, TEXTS[0], 0))
    np.testing.assert_array_equal(second.codes, alone(parts, TEXTS[1], 1))


def test_a_unit_that_fails_takes_no_other_along(parts):
    engine = parts.engine(2)
    exactly, bad, good = engine.step, parts.unit(TEXTS[1], seed=1), parts.unit(TEXTS[0], seed=0)

    def step(units):
        if bad in units:
            raise torch.OutOfMemoryError("too large")
        exactly(units)

    engine.step = step
    failed, spoken = run(engine, bad, good)
    assert isinstance(failed.error, torch.OutOfMemoryError)
    np.testing.assert_array_equal(spoken.codes, alone(parts, TEXTS[0], 0))
    engine.step = exactly
    (again,) = run(engine, parts.unit(TEXTS[1], seed=1))
    assert again.error is None


def test_a_unit_too_large_for_its_memory_is_refused(parts):
    unit = parts.unit("x" * 2000)
    with pytest.raises(ModelError, match="does not fit"):
        parts.engine().add(unit)


def test_recorded_steps_are_the_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "PREFIXES", (96,))
    monkeypatch.setattr(loading, "FRAMES", (50, 80))
    parts = Parts(write_checkpoint(tmp_path), steps=5)
    engine = parts.engine(3, spare=1)  # recorded are 1, 2 and 3 rows: some have less
    with torch.inference_mode():
        engine.step = GraphSteps(engine.model, engine.rows, TapeRecorder()).step
    together = run(engine, *(parts.unit(TEXTS[seed], seed=seed) for seed in (0, 1, 2, 3)))
    for seed, spoken in enumerate(together):
        np.testing.assert_array_equal(spoken.codes, alone(parts, TEXTS[seed], seed))


@pytest.mark.parametrize(("places", "steps"), [(1, 16), (8, 16), (400, 16), (3200, 32)])
def test_all_places_are_decided_and_none_after_an_idle_step(places, steps):
    counts = schedule(places, steps)
    assert (sum(counts), len(counts)) == (places, steps)
    assert counts == [count for count in counts if count] + [0] * counts.count(0)


def test_noise_is_the_packages_stream_of_random_numbers():
    torch.manual_seed(4)
    stream = [torch.rand(1, 8, 13) for _ in range(3)]
    expected = [-torch.log(-torch.log(one + 1e-10) + 1e-10)[0] for one in stream]
    torch.testing.assert_close(draw_noise(3, 8, 13, 4), torch.stack(expected), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("Hello, world.", 36), ("你好，世界！", 38), ("नमस्ते दुनिया", 38), 
        ("مَرْحَبًا بِالْعَالَم", 43), ("1984", 39), ("a" * 200, 354), ("", 1),
    ],
)  # fmt: skip
def test_lengths_are_those_of_the_package(text, frames):
    assert estimated_frames(text) == frames


def test_the_pace_of_the_reference_is_that_of_the_text():
    fast, slow = ("one two three four five", 20), ("one two three four five", 200)
    assert estimated_frames("hello there", fast) < estimated_frames("hello there", slow)
    assert estimated_frames("hello", ("...", 0)) >= 1


def test_text_is_joined_as_it_was_trained(parts):
    assert joined("A b. ", " c\nd  e ") == "A b. cd e"
    assert joined("", "你 好 （a） b 中") == "你好(a) b中"  # noqa: RUF001
    assert [closed(text) for text in ("so", "so!", "你好", " ")] == ["so.", "so!", "你好。", ""]


def test_tags_in_a_text_are_spelled_out(parts):
    said = "a <|text_end|> b <|denoise|>"
    plain, written = (parts.text.prompt(text, "en", "", None).text for text in ("", said))
    assert len(written) == len(plain) + len(said)  # this tokenizer's tokens are bytes
    assert sorted(token for token in written if token >= 256) == sorted(token for token in plain if token >= 256)
