"""No row of a batch changes another, whoever joins or leaves when, and whatever its memory held before."""

import random

import pytest
import torch

from benchmarks.tts_checkpoint import write_checkpoint
from models.tts.checkpoint import Tensors
from models.tts.qwen3.codec import load_codec
from models.tts.qwen3.config import read_codec_config
from models.tts.qwen3.cuda_graphs import GraphExecutor
from models.tts.qwen3.eager import EagerExecutor, LoadedModel
from models.tts.qwen3.engine import Engine
from models.tts.qwen3.prompt import streaming, whole
from models.tts.qwen3.utterance import Ending, StopCriteria, Utterance
from tests.qwen3_frames import CPU, POSITIONS, begin, draw_frames, feed, load, opening, rows_for
from tests.tape import Immediate

TEXTS = ([20, 21, 22, 23], list(range(40, 60)), [33, 34], list(range(70, 79)))
FRAMES = 20


@pytest.fixture(scope="module", params=[True, False], ids=["greedy", "sampled"])
def model(request, tmp_path_factory):
    return load(write_checkpoint(tmp_path_factory.mktemp("checkpoint")), greedy=request.param)


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("codec"))
    return load_codec(Tensors(folder / "speech_tokenizer", CPU, torch.float32), read_codec_config(folder))


def prompt(model, text):
    return streaming(model.config.tokens, opening(model, speaker=None), text)


@pytest.fixture(scope="module")
def alone(model):
    return [draw_frames(model, prompt(model, text), None, FRAMES, seed=seed).tolist() for seed, text in enumerate(TEXTS)]


def poison(rows):
    """Whatever a row held before, in the worst case."""
    for part in (*rows.memory.layers, rows.pending, rows.text):
        part.fill_(torch.nan)
    for part in (rows.position, rows.frame, rows.seed):
        part.fill_(POSITIONS - 1)
    rows.seen.fill_(True)


@pytest.mark.parametrize("order", range(4))
def test_rows_join_in_any_order_at_any_frame_in_poisoned_memory(model, alone, order):
    chance = random.Random(order)
    rows = rows_for(model, len(TEXTS))
    poison(rows)
    places = chance.sample(range(len(TEXTS)), len(TEXTS))
    joins = {which: chance.randrange(6) for which in range(len(TEXTS))}
    drawn = {which: [] for which in joins}
    for frame in range(FRAMES + 6):
        rows.stepping[:] = False
        for which, codes in drawn.items():
            rows.stepping[places[which]] = 0 < len(codes) < FRAMES
        stepped = [which for which in drawn if rows.stepping[places[which]]]
        if stepped:
            model.step(rows, len(TEXTS), POSITIONS)
        for which in stepped:
            drawn[which].append(rows.codes[places[which]].tolist())
        for which in [which for which, at in joins.items() if at == frame]:
            begin(model, rows, places[which], prompt(model, TEXTS[which]), None, seed=which)
            drawn[which].append(rows.codes[places[which]].tolist())
    assert [drawn[which] for which in joins] == alone


def test_a_resting_row_stays_as_it_is(model, alone):
    rows = rows_for(model, 2)
    for row in (0, 1):
        begin(model, rows, row, prompt(model, TEXTS[row]), None, seed=row)
    drawn = [[rows.codes[row].tolist()] for row in (0, 1)]
    for turn in range(2 * (FRAMES - 1)):
        stepping = turn % 2
        rows.stepping[0], rows.stepping[1] = stepping == 0, stepping == 1
        model.step(rows, 2, POSITIONS)
        drawn[stepping].append(rows.codes[stepping].tolist())
    assert drawn == alone[:2]


@pytest.mark.parametrize("bursts", [[1] * 20, [3, 1, 5, 11], [20]])
def test_text_that_comes_while_it_is_spoken_is_spoken_as_if_it_had_been_there(model, alone, bursts):
    text = TEXTS[1]
    rows = rows_for(model)
    begin(model, rows, 0, streaming(model.config.tokens, opening(model, speaker=None), text[:1], ended=False), None, seed=1)
    lane, fed = [*text[1:], model.config.tokens.tts_eos], 0
    drawn = [rows.codes[0].tolist()]
    while len(drawn) < FRAMES:
        if len(drawn) > fed < len(lane):  # the row starves: the next burst comes
            burst = lane[fed : fed + bursts[0]]
            bursts = bursts[1:] or bursts
            feed(model, rows, 0, fed, burst)
            fed += len(burst)
        model.step(rows, 1, POSITIONS)
        drawn.append(rows.codes[0].tolist())
    assert drawn == alone[1]


@pytest.fixture(params=["eager", "recorded"])
def engine_for(request, model, codec):
    """Makes an engine; with recorded sizes frames are read a step late, which no listener may notice."""

    def make(rows=2, streams=3, lookahead=1000):
        memory = codec.layout.allocate(streams + 1, CPU, torch.float32)
        loaded = LoadedModel(model, codec, rows_for(model, rows), memory)
        with torch.inference_mode():
            executor = (
                EagerExecutor(loaded) if request.param == "eager" else GraphExecutor(loaded, Immediate(), Immediate())
            )
        return Engine(executor, streams, lookahead)

    return make


def utterance(model, engine, which, limit=FRAMES, ended=True):
    return Utterance(prompt(model, TEXTS[which]), None, engine.open_stream(), which, ended, StopCriteria(limit, 1))


def run(engine, turns=1000):
    spoken = []
    while engine.busy and turns:
        spoken += engine.turn()
        turns -= 1
    return spoken


def heard(spoken, one):
    return torch.cat([torch.from_numpy(part.samples) for part in spoken if part.utterance is one])


def test_utterances_wait_for_a_row_and_sound_as_if_alone(model, engine_for):
    apart = []
    for which in range(3):
        engine = engine_for()
        one = utterance(model, engine, which)
        engine.add(one)
        apart.append((one, heard(run(engine), one)))
    engine = engine_for()
    together = [utterance(model, engine, which) for which in range(3)]
    for one in together:
        engine.add(one)
    spoken = run(engine)
    for one, (same, samples) in zip(together, apart, strict=True):
        assert (one.codes, one.ending) == (same.codes, same.ending)
        torch.testing.assert_close(heard(spoken, one), samples, rtol=0, atol=1e-5)
        assert len(samples) == 1920 * len(one.codes)


def test_cancel_at_every_stage_frees_the_row_and_leaves_no_trace(model, engine_for):
    fresh = engine_for(rows=1, streams=1)
    expected = utterance(model, fresh, 1)
    fresh.add(expected)
    samples = heard(run(fresh), expected)
    engine = engine_for(rows=1, streams=1)
    for turns in (0, 1, 2, 5, 40):
        cancelled = utterance(model, engine, 0)
        engine.add(cancelled)
        run(engine, turns)
        engine.remove(cancelled)
        engine.remove(cancelled)
        assert not engine.busy
        assert engine.turn() == []
        engine.close_stream(cancelled.stream)
    again = utterance(model, engine, 1)
    engine.add(again)
    torch.testing.assert_close(heard(run(engine), again), samples, rtol=0, atol=1e-5)
    assert again.codes == expected.codes


def test_an_utterance_rests_when_it_is_ahead_and_goes_on_when_it_is_taken(model, engine_for):
    engine = engine_for(lookahead=16)
    one = utterance(model, engine, 1, limit=60)
    one.stop.tokens = 100
    engine.add(one)
    run(engine)
    assert len(one.codes) == 16
    one.taken += 10
    run(engine)
    assert len(one.codes) == 26


def test_speech_is_kept_from_ending_while_text_is_to_come(model, engine_for):
    engine = engine_for()
    open_prompt = streaming(model.config.tokens, opening(model, speaker=None), TEXTS[0][:1], ended=False)
    one = Utterance(open_prompt, None, engine.open_stream(), 0, False, StopCriteria(100, 1))
    engine.add(one)
    run(engine)
    assert (len(one.codes), one.ending, one.decoded) == (1, None, 1)  # it starves, and what was drawn has been heard
    engine.add_text(one, TEXTS[0][1:], False)
    run(engine)
    assert (len(one.codes), one.ending) == (len(TEXTS[0]), None)
    engine.add_text(one, [], True)
    run(engine)
    assert one.ending is not None
    assert one.ending is not Ending.SPOKEN or len(one.codes) >= len(TEXTS[0])


def test_what_never_ends_is_ended_by_its_budget(model, engine_for, monkeypatch):
    monkeypatch.setattr("models.tts.qwen3.utterance.repeats", lambda _codes: False)
    engine = engine_for()
    one = Utterance(
        whole(model.config.tokens, opening(model), [20, 21]), None, engine.open_stream(), 0, True, StopCriteria(120, 2)
    )
    engine.add(one)
    spoken = run(engine)
    assert len(one.codes) <= one.stop.budget
    assert [part.ending for part in spoken if part.ending is not None] == [one.ending]
