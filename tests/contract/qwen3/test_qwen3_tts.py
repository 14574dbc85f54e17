"""Qwen3-TTS behind the synthesizer contract: sessions in one voice that neither disturb nor outlive each other."""

import asyncio
from contextlib import aclosing

import numpy as np
import pytest
import torch

from models.tts.qwen3 import Qwen3TTS, speaking
from models.tts.qwen3.engine import LOOKAHEAD_FRAMES
from pipeline.errors import DeviceError
from tests.qwen3_sessions import FRAME, FRAMES, RATE, clip, heard, unit
from tests.scripted import pieces


async def test_a_clone_speaks_units_whole_and_in_pieces(backend):
    assert backend.missing() == []
    async with backend.load() as synthesizer:
        voice = await synthesizer.enrol(clip(rate=16_000))
        async with synthesizer.open(voice, "en") as session:
            for number, texts in enumerate((["hello", " world, ", "and more"], ["hello world"], ["so it is."])):
                samples = await heard(session, number, *texts)
                assert 0.5 < len(samples) / RATE < FRAMES * FRAME / RATE + 0.5
                assert np.abs(samples).max() <= 1
                assert np.isfinite(samples).all()


async def test_sessions_at_once_sound_as_if_alone(backend):
    async with backend.load() as synthesizer:

        async def speak(language, *texts):
            async with synthesizer.open(None, language) as session:
                return [await heard(session, number, text) for number, text in enumerate(texts)]

        scripts = (("en", "hello world", "one more"), ("fr", "bonjour", "encore"))
        alone = [await speak(*script) for script in scripts]
        together = await asyncio.gather(*(speak(*script) for script in scripts))
    for one, same in zip(alone, together, strict=True):
        for expected, samples in zip(one, same, strict=True):
            np.testing.assert_allclose(samples, expected, atol=1e-4)


async def test_pieces_are_joined_as_they_come(backend, monkeypatch):
    fed = []
    inner = speaking.StreamedSpeech._listen

    def listened(self, utterance, said, edges):
        fed.append((utterance, said))
        return inner(self, utterance, said, edges)

    monkeypatch.setattr(speaking.StreamedSpeech, "_listen", listened)
    monkeypatch.setattr(speaking, "MOST_FRAMES", 40)

    async def slow(*texts):
        for text in texts:
            yield text
            await asyncio.sleep(0)

    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        chunks = [chunk async for chunk in session.say(unit(), slow("hello ", "wor", "ld, ", "my " * 100, "end"))]
        assert sum(len(chunk.samples) for chunk in chunks) > 0
        spoken = " ".join("".join(said).strip() for _, said in fed)
        assert spoken.split() == ["hello", "world,", *["my"] * 100, "end"]
        first, said = fed[0]
        assert (first.in_pieces, first.stop.tokens) == (True, session._length("".join(said)))


async def test_a_session_that_ends_stops_what_still_speaks(backend):
    async with backend.load() as synthesizer:
        async with synthesizer.open(None, "en") as session:
            speech = session.say(unit(), pieces("hello world"))
            await anext(speech)
        assert synthesizer._loop.engine._active == []
        await speech.aclose()


async def test_cancel_stops_at_once_and_the_next_unit_is_as_new(backend):
    async with backend.load() as synthesizer:
        async with synthesizer.open(None, "en") as session:
            expected = await heard(session, 0, "one more")
        async with synthesizer.open(None, "en") as session:
            for taken in (1, 2):
                async with aclosing(session.say(unit(1), pieces("hello world"))) as speech:
                    for _ in range(taken):
                        await anext(speech)
                engine = synthesizer._loop.engine
                assert (engine.busy, engine._active, len(engine._free_rows)) == (False, [], 2)
            np.testing.assert_allclose(await heard(session, 2, "one more"), expected, atol=1e-5)


async def test_a_task_that_is_cancelled_mid_unit_frees_everything(backend):
    async with backend.load() as synthesizer:
        async with synthesizer.open(None, "en") as session:
            began = asyncio.Event()

            async def listen():
                async with aclosing(session.say(unit(), pieces("hello world"))) as speech:
                    async for _ in speech:
                        began.set()
                        await asyncio.Event().wait()

            listening = asyncio.ensure_future(listen())
            await began.wait()
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening
        assert len(synthesizer._loop.engine._free_rows) == 2
        assert len(synthesizer._loop.engine._free_streams) == 2


async def quiet(synthesizer):
    """Wait until the engine has nothing more to do."""
    loop = synthesizer._loop
    while await loop.call(lambda: loop.engine.busy):
        pass


async def test_a_slow_listener_holds_the_speech_back(backend, monkeypatch):
    monkeypatch.setattr(speaking, "MOST_FRAMES", 200)
    monkeypatch.setattr("models.tts.qwen3.utterance.repeats", lambda _codes: False)
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        speech = session.say(unit(), pieces("hello world " * 5))
        await anext(speech)
        await quiet(synthesizer)
        assert 16 <= len(synthesizer._loop.engine._active[0].codes) <= LOOKAHEAD_FRAMES
        await speech.aclose()


async def test_later_units_continue_the_sessions_own_speech(backend, monkeypatch):
    references = []
    inner = speaking.whole

    def kept(tokens, opening, ids, reference):
        references.append(reference)
        return inner(tokens, opening, ids, reference)

    monkeypatch.setattr(speaking, "whole", kept)
    monkeypatch.setattr("models.tts.qwen3.utterance.Ending.clean", property(lambda _self: True))
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        for number, text in enumerate(("hello", "world.", "hello world")):
            await heard(session, number, text)
        encode = session._text.encode
    first, *references = references
    assert first is None
    assert [reference.text for reference in references] == [tuple(encode("hello")), tuple(encode("hello world."))]
    assert references[1].codes.shape[0] > references[0].codes.shape[0] > 0


@pytest.fixture
def raw(monkeypatch):
    """Collect what the codec gave before silence was cut, and the codes it was given, utterance by utterance."""
    samples, utterances = [], []
    passed, uttered = speaking.EdgeTrim.pass_on, speaking.StreamedSpeech._utterance

    def pass_on(self, some):
        samples.append(some)
        return passed(self, some)

    def utterance(self, *arguments, **options):
        utterances.append(uttered(self, *arguments, **options))
        return utterances[-1]

    monkeypatch.setattr(speaking.EdgeTrim, "pass_on", pass_on)
    monkeypatch.setattr(speaking.StreamedSpeech, "_utterance", utterance)
    return samples, utterances


async def test_units_are_joined_without_a_seam_as_if_decoded_at_once(backend, raw):
    samples, utterances = raw
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        for number, text in enumerate(("hello world", "one more", "and one")):
            await heard(session, number, text)
        codec = synthesizer._loop.engine.codec
    codes = torch.from_numpy(np.concatenate([one.frames for one in utterances])).T.unsqueeze(0)
    with torch.inference_mode():
        state = codec.layout.allocate(1, torch.device("cpu"), torch.float32)
        at_once = codec.decode(state, torch.tensor([0]), codes)[0].numpy()
    np.testing.assert_allclose(np.concatenate(samples), at_once, atol=1e-5)


@pytest.mark.parametrize("renewed", [True, False])
async def test_a_renewed_session_speaks_again_from_its_voice_alone(folder, raw, monkeypatch, renewed):
    monkeypatch.setattr("models.tts.qwen3.utterance.Ending.clean", property(lambda _self: True))
    _, utterances = raw
    backend = Qwen3TTS(model=str(folder), device="cpu", sessions=1, renew_after_s=0.5 if renewed else 300.0)
    async with backend.load() as synthesizer:
        voice = await synthesizer.enrol(clip())
        async with synthesizer.open(voice, "en") as session:
            await heard(session, 0, "hello world")
            await heard(session, 1, "one more")
        async with synthesizer.open(voice, "en") as session:
            await heard(session, 0, "one more")
    _, later, alone = (one.frames for one in utterances)
    assert (later.shape == alone.shape and bool((later == alone).all())) is renewed


async def test_more_sessions_than_memory_are_refused_and_those_that_run_go_on(backend):
    async with backend.load() as synthesizer, synthesizer.open(None, "en") as session:
        async with synthesizer.open(None, "de"):
            with pytest.raises(DeviceError, match="sessions"):
                await synthesizer.open(None, "it").__aenter__()
        assert len(await heard(session, 0, "hello")) > 0
