"""VoxCPM2's engine: what the official package makes of a checkpoint, in any company of sessions, whatever fails of one."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.voxcpm_checkpoint import write_checkpoint
from models.tts.streaming_loop import CannotBegin
from models.tts.voxcpm.engine import LOOKAHEAD_PATCHES, Utterance, budget
from models.tts.voxcpm.synthesizer import SessionVoice, SynthesizerSettings
from pipeline.errors import ModelError
from tests.voxcpm_parts import CLIP, FOUND, HEARD, TASK, joined, parts, run, utterance

CASES = list(zip(TASK["cases"], FOUND["cases"], strict=True))
TEXTS = ("Hello world.", "A longer text than the others are.", "No.", "And one more of them.")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """One thread is fast for models this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def loaded(folder):
    return parts(folder, steps=4)


RECORDED = 5e-5  # on another processor, whose kernels round otherwise: patches of values about 1 drift by 2e-5


def near(value, expected, tolerance=1e-5):
    np.testing.assert_allclose(value, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize(("case", "found"), CASES, ids=[case["text"] for case, _ in CASES])
def test_states_patches_end_and_samples_are_those_of_the_package(folder, case, found):
    engine, text, _ = parts(folder, 1, case["steps"], case["guidance"])
    row = engine.open_row()
    spoken = utterance(text, row, case)
    engine.add(spoken)
    with torch.inference_mode():
        engine._begin(engine._waiting.popleft())
    near(engine._rows.said[row], found["said"], RECORDED)
    near(engine._rows.sounded[row], found["sounded"], RECORDED)
    engine.remove(spoken)
    spoken = utterance(text, row, case)
    (patches,) = run(engine, spoken)
    near(torch.stack(spoken.patches), found["patches"], RECORDED)
    near(joined(patches)[::389], found["samples"], RECORDED)
    assert patches[-1].ended == (len(patches) < case["most"] and len(patches) < spoken.limit)


@pytest.mark.skipif(find_spec("voxcpm") is None, reason="the package voxcpm 2.0.3 is not installed")
def test_the_package_still_says_what_was_recorded(folder):
    script = Path(__file__).parents[2] / "benchmarks" / "peers" / "voxcpm_package.py"
    task = json.dumps(TASK | {"checkpoint": str(folder)})
    done = subprocess.run([sys.executable, str(script)], input=task, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["tokens"] == FOUND["tokens"]
    near(found["encoded"], FOUND["encoded"], RECORDED)
    for mine, recorded in zip(found["cases"], FOUND["cases"], strict=True):
        for part in ("said", "sounded", "patches", "samples"):
            near(mine[part], recorded[part], RECORDED)


def test_a_clip_becomes_the_latent_frames_of_the_package(loaded):
    *_, encoder = loaded
    with torch.inference_mode():
        near(encoder.encode(CLIP, 4), HEARD, RECORDED)


def test_text_becomes_the_tokens_of_the_package_but_for_marks_which_are_spelled_out(loaded):
    _, text, _ = loaded
    assert [text.encode(one) for one in TASK["texts"]] == FOUND["tokens"]
    assert 1 not in text.encode("a <s> b")
    assert text.encode("\ud800") == text.encode("?")


def speak(engine, text, index, row=None, seed=None, **given):
    own = row if row is not None else engine.open_row()
    prompt = text.prompt(TEXTS[index], **given)
    return Utterance(prompt, own, index if seed is None else seed, 9)


def alone(loaded, index):
    engine, text, _ = loaded
    one = speak(engine, text, index)
    (patches,) = run(engine, one)
    engine.close_row(one.row)
    return joined(patches)


def test_an_utterance_is_the_same_in_any_company_and_row(loaded):
    engine, text, _ = loaded
    singles = [alone(loaded, index) for index in range(3)]
    for order in ((0, 1, 2), (2, 0, 1)):
        spoken = [speak(engine, text, index) for index in order]
        for index, patches in zip(order, run(engine, *spoken), strict=True):
            near(joined(patches), singles[index], 2e-5)
        for one in spoken:
            engine.close_row(one.row)


def test_one_that_joins_or_leaves_changes_no_other_and_leaves_no_trace(loaded):
    engine, text, _ = loaded
    expected = [alone(loaded, index) for index in (0, 3)]
    staying, leaving = speak(engine, text, 0), speak(engine, text, 1)
    engine.add(staying)
    engine.add(leaving)
    heard = [patch for _ in range(3) for patch in engine.turn() if patch.utterance is staying]
    engine.remove(leaving)
    engine.remove(leaving)
    late = speak(engine, text, 3, row=leaving.row)
    engine.add(late)
    said = []
    while engine.busy:
        for patch in engine.turn():
            (heard if patch.utterance is staying else said).append(patch)
    near(joined(heard), expected[0], 2e-5)
    near(joined(said), expected[1], 2e-5)
    for one in (staying, late):
        engine.close_row(one.row)


def test_a_row_rests_when_it_is_ahead_of_its_listener(loaded):
    engine, text, _ = loaded
    one = Utterance(text.prompt(TEXTS[0]), engine.open_row(), 1, 40, 40)
    engine.add(one)
    while engine.busy:
        engine.turn()
    assert len(one.patches) == LOOKAHEAD_PATCHES
    one.taken += 5
    assert engine.busy
    engine.close_row(one.row)
    assert not engine.busy


def test_what_others_say_meanwhile_changes_nothing_of_a_longer_utterance_that_rests(loaded):
    engine, text, _ = loaded
    row, other = engine.open_row(), engine.open_row()
    prompt = text.prompt("a long text " * 7)
    assert len(prompt) > 64 > len(text.prompt("No.")) + 9, "the shorter one attends to fewer positions"
    (alone,) = run(engine, Utterance(prompt, row, 1, 18, 18))
    resting = Utterance(prompt, row, 1, 18, 18)
    engine.add(resting)
    heard = []
    while engine.busy:
        heard += engine.turn()
    run(engine, Utterance(text.prompt("No."), other, 2, 9, 9))
    resting.taken = len(resting.patches)
    while engine.busy:
        heard += engine.turn()
    near(joined(heard), joined(alone), 2e-5)
    for one in (row, other):
        engine.close_row(one)


def test_latent_frames_decoded_in_any_cuts_are_the_same_speech(loaded):
    engine, *_ = loaded
    decoder, latents = engine.decoder, torch.from_numpy(HEARD).flatten(0, 1)[:17].unsqueeze(0)
    slot = torch.tensor([0])
    with torch.inference_mode():
        whole = decoder.decode(decoder.layout.allocate(1, latents.device, latents.dtype), slot, latents)
        state = decoder.layout.allocate(1, latents.device, latents.dtype)
        pieces = [decoder.decode(state, slot, part) for part in latents.split([1, 4, 2, 10], 1)]
    near(torch.cat(pieces, 1), whole)


def test_an_utterance_that_cannot_begin_takes_no_other_along(loaded, monkeypatch):
    engine, text, _ = loaded
    expected = alone(loaded, 0)
    good, bad = speak(engine, text, 0), speak(engine, text, 1)
    exactly = type(engine.model).begin

    def begin(model, rows, row, prompt):
        if row == bad.row:
            raise torch.OutOfMemoryError("full")
        exactly(model, rows, row, prompt)

    monkeypatch.setattr(type(engine.model), "begin", begin)
    engine.add(good)
    heard = engine.turn()
    engine.add(bad)
    with pytest.raises(CannotBegin) as raised:
        engine.turn()
    assert raised.value.utterance is bad
    while engine.busy:
        heard += engine.turn()
    near(joined(heard), expected, 2e-5)
    for one in (good, bad):
        engine.close_row(one.row)


def test_rows_are_lent_once_and_what_is_too_long_is_refused(loaded):
    engine, text, _ = loaded
    rows = [engine.open_row() for _ in range(3)]
    assert sorted(rows) == [0, 1, 2]
    assert engine.open_row() is None
    with pytest.raises(ModelError, match="does not fit.*; try: a shorter style"):
        engine.add(Utterance(text.prompt("x" * 600), rows[0], 1, 100))
    for row in rows:
        engine.close_row(row)


def test_bfloat16_speaks_and_speech_without_end_is_cut_by_its_text(folder):
    engine, text, _ = parts(folder, 1, 3, dtype="bfloat16")
    (patches,) = run(engine, Utterance(text.prompt("hi"), 0, 1, budget(3, 2000), 2000))
    assert len(patches) == 28
    assert np.isfinite(joined(patches)).all()
    assert [patch.last for patch in patches] == [False] * 27 + [True]
    assert not patches[-1].ended
    assert budget(60, 250) == 250


def test_a_style_stands_before_the_text_alone_and_only_until_a_voice_is_kept(loaded):
    engine, text, _ = loaded
    voice = SessionVoice(SynthesizerSettings("a calm man", 1), 0, "en", None)
    assert voice.styled("(Applause) hello") == "(a calm man)Applause) hello"
    one = Utterance(text.prompt("hello"), 0, 1, 9)
    one.patches.extend(torch.zeros(6, 4, 8))
    voice.keep("hello", one)
    assert voice.kept is None  # too short
    one.patches.extend(torch.zeros(3, 4, 8))
    voice.keep("(Applause) hello", one)
    assert (voice.kept.text, voice.kept.patches.shape) == ("Applause) hello ", (9, 4, 8))
    assert voice.styled("more") == "more"
    learned = SessionVoice(SynthesizerSettings("", 1), 0, "zh", HEARD)
    learned.keep("你好", one)
    assert learned.kept is None
