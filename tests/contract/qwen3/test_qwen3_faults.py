"""Odd text, broken text, an engine that fails, a GPU without memory: told, and the session goes on."""

import asyncio
import threading

import numpy as np
import pytest
import torch

from models.tts.qwen3 import speaking
from models.tts.qwen3.engine import Engine
from pipeline.errors import DeviceError, ModelError
from tests.qwen3_sessions import clip, heard, unit
from tests.scripted import pieces


async def test_nothing_to_pronounce_is_nothing_to_hear(backend):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        for texts in ([], [""], ["...", " ?!"], ["🙂"]):
            assert len(await heard(session, 0, *texts)) == 0


async def test_long_text_is_spoken_in_several_utterances(backend, monkeypatch):
    begun = []
    monkeypatch.setattr(speaking, "whole", counted(speaking.whole, begun))
    monkeypatch.setattr(speaking, "MOST_FRAMES", 2)
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        text = "hello world, this is a sentence. " * 30
        await heard(session, 0, text)
        assert max(len(ids) for ids in begun) <= 60
        assert sum(len(ids) for ids in begun) >= session._length(text.strip()) - 2 * len(begun)


def counted(inner, calls):
    def call(tokens, opening, text, reference):
        calls.append(text)
        return inner(tokens, opening, text, reference)

    return call


async def test_text_that_fails_raises_after_what_came_before_it_was_spoken(backend):
    async def broken():
        yield "hello world, this "
        raise OSError("line cut")

    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        speech = session.say(unit(), broken())
        samples = len((await anext(speech)).samples)
        with pytest.raises(OSError, match="line cut"):
            samples += sum([len(chunk.samples) async for chunk in speech])
        assert samples > 0
        assert len(await heard(session, 1, "hello")) > 0


async def test_mute_speech_is_tried_once_more_and_then_told(backend, monkeypatch):
    seeds = []
    monkeypatch.setattr(
        speaking.EdgeTrim, "begun", property(lambda _self: False, lambda _self, _value: None), raising=False
    )
    inner = speaking.StreamedSpeech._utterance

    def counted_seeds(self, prompt, ids, attempt, text_ended=True):
        seeds.append(attempt)
        return inner(self, prompt, ids, attempt, text_ended)

    monkeypatch.setattr(speaking.StreamedSpeech, "_utterance", counted_seeds)
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        with pytest.raises(ModelError, match="no speech came of 'hello'"):
            await heard(session, 0, "hello")
    assert seeds == [0, 1]


async def test_an_engine_that_fails_fails_the_unit_and_not_the_next(backend, monkeypatch):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        engine = synthesizer._loop.engine
        with monkeypatch.context() as broken:
            broken.setattr(engine, "turn", lambda: 1 / 0)
            with pytest.raises(ModelError, match="division"):
                await heard(session, 0, "hello")
        assert len(await heard(session, 1, "hello")) > 0


@pytest.mark.parametrize("moment", ["opening", "closing"])
async def test_a_session_that_is_cancelled_while_it_opens_or_closes_keeps_no_memory(backend, moment):
    began, go_on, opened, leave = threading.Event(), threading.Event(), asyncio.Event(), asyncio.Event()

    def slow(method):
        def call():
            began.set()
            go_on.wait(10)
            return method()

        return call

    async def session(synthesizer):
        async with synthesizer.open(None, "en"):
            opened.set()
            await leave.wait()

    async with backend.load() as synthesizer, asyncio.TaskGroup() as others:
        engine = synthesizer._loop.engine
        open_stream = engine.open_stream
        if moment == "opening":
            engine.open_stream = slow(open_stream)
        cancelled = others.create_task(session(synthesizer))
        if moment == "closing":
            await opened.wait()
            others.create_task(synthesizer._loop.call(slow(int)))  # the model works for somebody else
        await asyncio.to_thread(began.wait, 10)
        leave.set()
        for _ in range(3):
            await asyncio.sleep(0)
            cancelled.cancel()
        go_on.set()
        await asyncio.wait([cancelled])
        assert cancelled.cancelled()
        engine.open_stream = open_stream
        async with synthesizer.open(None, "en"), synthesizer.open(None, "en"):  # there is memory for two
            pass


OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 20.00 MiB"


def full(*_):
    raise torch.OutOfMemoryError(OUT_OF_MEMORY)


async def test_a_gpu_without_memory_refuses_new_sessions_and_keeps_those_that_run(backend, monkeypatch):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        expected = await heard(session, 0, "hello")
        async with synthesizer.open(None, "en") as alone:
            np.testing.assert_allclose(await heard(alone, 0, "hello"), expected, atol=1e-4)
        speech = session.say(unit(1), pieces("hello world"))
        first = await anext(speech)
        with monkeypatch.context() as memory:
            memory.setattr("models.tts.qwen3.synthesizer._encode", full)
            memory.setattr(synthesizer._loop.engine, "open_stream", full)
            with pytest.raises(DeviceError, match="no memory left to learn a voice.*go on; try: close other programs"):
                await synthesizer.enrol(clip())
            with pytest.raises(DeviceError, match="no memory left for another session"):
                await synthesizer.open(None, "de").__aenter__()
            rest = [chunk async for chunk in speech]
        assert len(first.samples) > 0
        assert rest[-1].last
        async with synthesizer.open(None, "de") as later:
            assert len(await heard(later, 0, "hello")) > 0


async def test_what_is_under_way_is_waited_for_before_its_memory_is_given_away(backend, monkeypatch):
    calls = []

    def noted(name):
        method = getattr(Engine, name)
        return lambda self: calls.append((name, threading.current_thread())) or method(self)

    for name in ("turn", "close"):
        monkeypatch.setattr(Engine, name, noted(name))
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        await heard(session, 0, "hello world")
    names, threads = zip(*calls, strict=True)
    assert names.index("close") == len(names) - 1
    assert len(set(threads)) == 1


async def test_a_gpu_that_is_too_small_is_told_when_it_loads(backend, monkeypatch):
    monkeypatch.setattr("models.tts.qwen3.loading.allocate_rows", full)
    with pytest.raises(ModelError, match="2 sessions does not fit.*; try: .*lower setting sessions.*0.6B"):
        async with backend.load():
            pass


async def test_a_unit_for_which_there_is_no_memory_is_told_and_the_next_one_is_spoken(backend, monkeypatch):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        engine = synthesizer._loop.engine
        with monkeypatch.context() as memory:
            memory.setattr(type(engine.model), "begin", full)
            with pytest.raises(DeviceError, match="no memory left to speak this.*sessions=1"):
                await heard(session, 0, "hello")
        assert len(engine._free_rows) == 2
        assert len(await heard(session, 1, "hello")) > 0


async def test_an_utterance_that_cannot_begin_leaves_those_that_speak_as_they_were(backend, monkeypatch):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        engine = synthesizer._loop.engine
        async with synthesizer.open(None, "en") as alone:
            expected = await heard(alone, 0, "hello world")
        async with synthesizer.open(None, "de") as late:
            speech = session.say(unit(0), pieces("hello world"))
            samples = [(await anext(speech)).samples]
            with monkeypatch.context() as memory:
                memory.setattr(type(engine.model), "begin", full)
                with pytest.raises(DeviceError, match="no memory left to speak this"):
                    await heard(late, 0, "hello")
            samples += [chunk.samples async for chunk in speech]
        np.testing.assert_allclose(np.concatenate(samples), expected, atol=1e-4)


async def test_ten_thousand_characters_are_spoken_to_their_end(backend, monkeypatch):
    spoken = []
    inner = speaking.StreamedSpeech._speak_whole

    def listened(self, text):
        spoken.append(text)
        return inner(self, text)

    monkeypatch.setattr(speaking.StreamedSpeech, "_speak_whole", listened)
    monkeypatch.setattr(speaking, "MOST_FRAMES", 2)
    text = "hello world hello world hello world hello world. " * 204
    assert len(text) > 9_990
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        assert len(await heard(session, 0, text)) > 0
    assert " ".join(spoken).split() == text.split()


SCRIPTS = [
    "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "你好，世界。", "hello 🙂 world", "h\u0301e\u0323llo", "a\ud800b",
    "\0hi\x1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("text", SCRIPTS)
async def test_any_script_is_spoken_in_any_language(backend, text):
    async with backend.load() as synthesizer, synthesizer.open(None, "fr") as session:
        assert len(await heard(session, 0, text)) > 0
        assert len(await heard(session, 1, *text)) > 0
