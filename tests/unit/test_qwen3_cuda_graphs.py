"""The engine's work as it is recorded for a GPU: replayed, it is what was recorded, on whatever the memory holds then."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.tts_checkpoint import write_checkpoint
from models.tts.checkpoint import Tensors
from models.tts.qwen3 import cuda_graphs
from models.tts.qwen3.codec import load_codec
from models.tts.qwen3.config import read_codec_config
from models.tts.qwen3.cuda_graphs import GraphExecutor
from models.tts.qwen3.eager import EagerExecutor, LoadedModel
from models.tts.qwen3.engine import Engine
from models.tts.qwen3.prompt import streaming
from models.tts.qwen3.rows import NEVER
from models.tts.qwen3.utterance import StopCriteria, Utterance
from tests.qwen3_frames import CPU, POSITIONS, load, opening, rows_for
from tests.tape import Immediate, TapeRecorder

TEXTS = (list(range(20, 60)), list(range(40, 70)), list(range(70, 95)))
FRAMES = 22
ROWS = 4  # recorded are 1, 2 and 4: three utterances leave a row over


@pytest.fixture(scope="module", params=["greedy", "sampled"])
def parts(request, tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("checkpoint"))
    codec = load_codec(Tensors(folder / "speech_tokenizer", CPU, torch.float32), read_codec_config(folder))
    return load(folder, greedy=request.param == "greedy"), codec


@pytest.fixture(autouse=True)
def few_sizes(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "LENGTHS", (64, 128))
    monkeypatch.setattr(cuda_graphs, "PROMPTS", (16, 32))


def load_memory(model, codec):
    return LoadedModel(model, codec, rows_for(model, ROWS), codec.layout.allocate(ROWS + 1, CPU, torch.float32))


def recorded_engine(model, codec, recorder):
    loaded = load_memory(model, codec)
    with torch.inference_mode():
        executor = GraphExecutor(loaded, recorder, recorder)
        poison(loaded)
    return Engine(executor, ROWS, 1000)


def poison(loaded):
    """Whatever earlier utterances left, in the worst case."""
    rows = loaded.rows
    for part in (*rows.memory.layers, *rows.scratch.layers, rows.pending, rows.text):
        part.fill_(torch.nan)
    rows.position.fill_(POSITIONS - 1)
    rows.frame.fill_(POSITIONS - 1)
    rows.seen.fill_(True)
    for part in loaded.streams.memories:
        part.fill_(torch.nan)


def utterance(model, engine, which, limit=FRAMES):
    prompt = streaming(model.config.tokens, opening(model), TEXTS[which], ended=False)
    speaker = torch.full((model.config.talker.hidden,), 0.1 * which)
    return Utterance(prompt, speaker, engine.open_stream(), which, False, StopCriteria(limit, len(TEXTS[which])))


def speak(model, engine, joins, limits=(FRAMES, FRAMES, FRAMES)):
    """Utterances that join after so many turns; gives their codes and samples."""
    said, sounds = {}, {which: [] for which in joins}
    for turn in range(500):
        for which in [which for which, at in joins.items() if at == turn]:
            said[which] = utterance(model, engine, which, limits[which])
            engine.add(said[which])
        for part in engine.turn():
            sounds[next(which for which, one in said.items() if one is part.utterance)].append(part.samples)
        for which in [which for which, one in said.items() if one.ending is not None and one.row < 0 and one.stream >= 0]:
            engine.close_stream(said[which].stream)
            said[which].stream = -1
    return [(said[which].codes, torch.cat([torch.from_numpy(part) for part in sounds[which]])) for which in joins]


def test_replayed_work_is_bit_for_bit_the_work_that_was_recorded_whoever_joins_and_leaves(parts):
    model, codec = parts
    joins, limits = {0: 0, 1: 3, 2: 9}, (FRAMES, 7, 13)
    recorder = TapeRecorder()
    replayed = speak(model, recorded_engine(model, codec, recorder), joins, limits)
    direct = speak(model, recorded_engine(model, codec, Immediate()), joins, limits)
    for (codes, samples), (same, expected), limit in zip(replayed, direct, limits, strict=True):
        assert codes == same
        assert len(codes) == limit
        assert torch.equal(samples, expected)
    assert recorder.replayed > FRAMES


def test_nothing_is_recorded_once_it_is_ready(parts):
    model, codec = parts
    recorder = TapeRecorder()
    engine = recorded_engine(model, codec, recorder)
    steps, prompts, codec_calls = 3 * 3, 2, 3 * 4
    assert recorder.recorded == steps + prompts + codec_calls
    for _ in range(2):
        speak(model, engine, {0: 0, 1: 1, 2: 2})
    assert recorder.recorded == steps + prompts + codec_calls


def test_what_is_said_is_what_is_said_without_recording(parts):
    model, codec = parts
    together = speak(model, recorded_engine(model, codec, Immediate()), {0: 0, 1: 3, 2: 9})
    apart = speak(model, Engine(EagerExecutor(load_memory(model, codec)), ROWS, 1000), {0: 0, 1: 3, 2: 9})
    for (codes, samples), (same, expected) in zip(together, apart, strict=True):
        assert codes == same
        torch.testing.assert_close(samples, expected, rtol=0, atol=1e-5)


def test_a_prompt_longer_than_any_recorded_one_is_read_all_the_same(parts, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "PROMPTS", (4, 8))
    model, codec = parts
    recorder = TapeRecorder()
    assert len(streaming(model.config.tokens, opening(model), TEXTS[0])) > 8
    long = speak(model, recorded_engine(model, codec, recorder), {0: 0})
    plain = speak(model, Engine(EagerExecutor(load_memory(model, codec)), ROWS, 1000), {0: 0})
    assert long[0][0] == plain[0][0]


def test_a_row_that_ends_gives_no_frame_of_the_step_under_way(parts):
    """Frames are read a step late; what a row draws past its end is dropped, and the next in its row starts clean."""
    model, codec = parts
    engine = recorded_engine(model, codec, Immediate())
    first, second = utterance(model, engine, 0, limit=5), utterance(model, engine, 1)
    engine._free_rows = [0]
    for one in (first, second):
        engine.add(one)
    while engine.busy:
        engine.turn()
    assert (len(first.codes), first.drawing) == (5, 6)
    alone = recorded_engine(model, codec, Immediate())
    same = utterance(model, alone, 1)
    alone.add(same)
    while alone.busy:
        alone.turn()
    assert second.codes == same.codes


def test_a_codec_call_between_the_recorded_sizes_moves_the_streams_it_is_of_and_no_other(parts):
    model, codec = parts
    codes = torch.randint(0, 2048, (2, 3, 5, 16), generator=torch.Generator().manual_seed(1)).tolist()
    found = []
    with torch.inference_mode():
        for executor in (EagerExecutor, lambda loaded: GraphExecutor(loaded, TapeRecorder(), TapeRecorder())):
            done = executor(load_memory(model, codec))
            samples = torch.cat([done.decode([3, 0, 2], part) for part in codes], 1)
            found.append((samples, [part[:ROWS] for part in (*done.loaded.streams.memories, done.loaded.streams.position)]))
    (expected, kept), (samples, same) = found
    torch.testing.assert_close(samples, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(same, kept, rtol=0, atol=1e-4)
    assert same[-1].tolist() == [10, 0, 10, 10]


def test_the_first_frame_is_heard_in_the_turn_that_begins_it_though_others_are_read_a_step_late(parts):
    model, codec = parts
    engine = recorded_engine(model, codec, Immediate())
    first, second = utterance(model, engine, 0), utterance(model, engine, 1)
    engine.add(first)
    for _ in range(4):
        engine.turn()
    assert first.drawing == len(first.codes) + 1
    engine.add(second)
    assert second in [part.utterance for part in engine.turn()]


class NoNumbers(TorchDispatchMode):
    """A number that is assigned is copied from the host, for which a GPU's thread waits; one that is filled in is not."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function is not torch.ops.aten.copy_.default or args[0].dim()
        return function(*args, **(kwargs or {}))


def test_what_an_utterance_begins_with_is_written_without_waiting_for_the_step_under_way(parts):
    model, codec = parts
    loaded = load_memory(model, codec)
    engine = Engine(EagerExecutor(loaded), ROWS, 1000)
    poison(loaded)
    with torch.inference_mode(), NoNumbers():
        loaded.rows.clear(2, 7, engine._padding)
        loaded.streams.clear(3)
        loaded.rows.end_here(1, 5, 6)
    rows = loaded.rows
    assert [int(part[2]) for part in (rows.position, rows.frame, rows.seed, rows.end_floor, rows.overstay)] == [
        0,
        0,
        7,
        2,
        NEVER,
    ]
    assert [int(part[1]) for part in (rows.end_floor, rows.overstay)] == [5, 6]
    assert not any(part[2].any() for part in (rows.pending, rows.seen, rows.codes, rows.stepping))
    assert not any(part[3].any() for part in (*loaded.streams.memories, loaded.streams.position))
    with pytest.raises(AssertionError), torch.inference_mode(), NoNumbers():
        rows.seed[1] = 1
