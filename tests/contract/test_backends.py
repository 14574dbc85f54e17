"""The contracts of `pipeline.contracts`, held by every backend of `models`: one without a case in `backends` fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import psutil
import pytest

from models.mt.terms.constraints import constraints_of
from pipeline.contracts import KnowsVoices, Missing, Term, TermChecking, TranslationRequest, Voice
from pipeline.errors import BadInput, Refused
from pipeline.events import AudioChunk, ReadingUnit, Samples, SpeechChunk, Word
from pipeline.profiles.backends import BackendChoice
from pipeline.profiles.backends import backend as backend_of
from tests.contract.backends import CASES, Case, cases, registered
from tests.scripted import pieces

HZ = 16_000
SOURCES = ("the house is green", "a small dog sees it", "every day")
SILENT = ("", " ", "…?!", "\0\x01\n", "— , .", "\u200b", "*** ___", "()")
ODD = (
    "😀",
    "\ud800 hola",
    "你好，世界",
    "привет",
    "<speak><break time='9s'/>hola</speak>",
    "[[ttttt]]",
    "-v en",
    "(en) a\n" * 20,
)


@pytest.fixture(scope="module")
def made(request, tmp_path_factory):
    """The backend of a case, made once for all tests."""
    kept: dict[int, object] = {}

    def make(case: Case | None):
        assert case, "a new backend: say in tests/contract/backends.py how it is made in a test"
        if id(case) not in kept:
            kept[id(case)] = case.make(tmp_path_factory.mktemp("backend"))
        return kept[id(case)]

    return make


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """One thread, which is fast for models this small; random speech, which never ends, is short."""
    torch = pytest.importorskip("torch")
    speaking = pytest.importorskip("models.tts.qwen3.speaking")
    monkeypatch.setattr(speaking, "MOST_FRAMES", 12)
    monkeypatch.setattr(pytest.importorskip("models.tts.voxcpm.synthesizer"), "MOST_PATCHES", 4)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_no_case_is_left_of_a_backend_that_is_gone() -> None:
    assert {stage: known.keys() - registered(stage).keys() for stage, known in CASES.items()} == {
        stage: set() for stage in CASES
    }


@pytest.mark.parametrize("use", [use for stage in CASES for use in registered(stage).values()])
def test_a_profile_names_it_without_settings_and_what_lacks_is_told(use, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    backend = backend_of(BackendChoice(use))
    assert replace(backend) == backend
    assert hash(replace(backend)) == hash(backend)
    lacks = backend.missing()
    assert all(isinstance(lack, Missing) and lack.what and lack.fix for lack in lacks)
    assert [lack.what for lack in backend.missing()] == [lack.what for lack in lacks]


@pytest.mark.parametrize(("name", "case"), [param for stage in CASES for param in cases(stage)])
async def test_it_says_what_it_serves_before_it_is_loaded_and_leaves_nothing_behind(name, case, made) -> None:
    backend, before = made(case), set(threading.enumerate())
    assert backend.missing() == []
    if hasattr(backend, "pairs"):
        assert (case.source, case.target) in backend.pairs()
    else:
        assert backend.languages() & {case.source, case.target}
    for _ in range(2):
        async with backend.load():
            pass
    left = set()
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 10 if thread.daemon else 0)  # pocket_tts: ended before its thread
        left |= {thread.name} if thread.is_alive() else set()
    assert {one for one in left if not one.startswith("asyncio")} == set()
    assert psutil.Process().children(recursive=True) == []


# Recognizers


async def hear(listening, audio: Samples, sizes: Iterator[int]) -> list[Word]:
    """Hear all audio, cut as ``sizes`` say; give the words committed, which `finish` gives once."""
    words: list[Word] = []
    at, heard_s = 0, 0.0
    while at < len(audio):
        size = next(sizes)
        transcript = await listening.hear(AudioChunk(audio[at : at + size], HZ, at / HZ))
        at += size
        assert heard_s <= transcript.heard_s <= min(at, len(audio)) / HZ + 1e-6
        heard_s = transcript.heard_s
        words += transcript.committed
    last = await listening.finish()
    assert last.heard_s == pytest.approx(len(audio) / HZ)
    words += last.committed
    assert (await listening.finish()).committed == ()
    return words


def cuts(seed: int) -> Iterator[int]:
    """Sizes of chunks: even ones, random ones, or all at once."""
    random = np.random.default_rng(seed)
    while True:
        yield (1600, int(random.choice([1, 77, 512, 1600, 8000, 20_000])), 10**9)[seed]


@pytest.mark.parametrize(("name", "case"), cases("asr"))
async def test_words_do_not_depend_on_the_cut_or_on_other_sessions_and_most_are_right(name, case, made) -> None:
    from benchmarks.asr_toy import toy_stream

    streams = [toy_stream(seed, 20.0) for seed in range(50, 53)]
    async with made(case).load() as recognizer:

        async def session(number: int, seed: int) -> list[Word]:
            async with recognizer.open([case.source], []) as listening:
                return await hear(listening, streams[number].audio, cuts(seed))

        alone = [await session(number, 0) for number in range(len(streams))]
        assert [await session(0, seed) for seed in (1, 2)] == [alone[0]] * 2
        together = await asyncio.gather(*(session(number, 0) for number in range(len(streams))))
    assert [[word.text for word in words] for words in together] == [[word.text for word in words] for words in alone]
    for words, stream in zip(alone, streams, strict=True):
        times = [moment for word in words for moment in (word.start, word.end)]
        assert times == sorted(times)
        said = {word.text for word in stream.words}
        assert len(said & {word.text for word in words}) >= 0.85 * len(said)


@pytest.mark.parametrize(("name", "case"), cases("asr"))
async def test_an_unknown_language_is_refused_and_nothing_heard_is_no_word(name, case, made) -> None:
    async with made(case).load() as recognizer:
        with pytest.raises(Refused, match="valid"):
            async with recognizer.open(["xx"], []):
                pass
        async with recognizer.open([], []) as listening:
            assert (await listening.finish()).committed == ()
        async with recognizer.open([case.source], ["bati", "kubo"]) as listening:
            assert await hear(listening, np.zeros(5 * HZ, np.float32), cuts(0)) == []


# Translators


async def translated(translator, requests: Sequence[TranslationRequest]) -> list:
    return await asyncio.gather(*map(translator.translate, requests), return_exceptions=True)


@pytest.mark.parametrize(("name", "case"), cases("mt"))
async def test_prefix_terms_and_bans_hold_and_a_batch_says_what_each_text_says_alone(name, case, made) -> None:
    hard = Term("house", ("casa verde",))
    glossaries = ((), (hard, Term("dog", ("cachorro", "perro"))), (Term("x", ("todo",), mode="ban"), hard))
    requests = [
        TranslationRequest(source, case.source, case.target, prefix=prefix, terms=terms)
        for source in SOURCES
        for prefix in ("", "la casa", "la")
        for terms in glossaries
    ]
    async with made(case).load() as translator:
        if isinstance(translator, TermChecking):
            await translator.check(requests[1].terms, case.source, case.target)
        together = await translated(translator, requests)
        for request, said in zip(requests, together, strict=True):
            assert said.text.startswith(request.prefix)
            assert constraints_of(request.terms, case.target).met(said.text), (request, said)
        for number in (1, 5, 17):
            alone = await translator.translate(requests[number])
            assert alone.text == together[number].text
            assert alone.score == pytest.approx(together[number].score, abs=1e-3)
        assert (await translator.translate(replace(requests[3], draft=True))).text.startswith("la casa")


@pytest.mark.parametrize(("name", "case"), cases("mt"))
async def test_bad_requests_get_errors_of_their_own_and_harm_nobody_else(name, case, made) -> None:
    good = TranslationRequest("the house \N{PARTY POPPER}\x07", case.source, case.target)
    opposed = (Term("x", ("sol",)), Term("y", ("sol",), mode="ban"))
    bad = [replace(good, source="ba " * 2000), replace(good, target_language="xx"), replace(good, terms=opposed)]
    odd = [replace(good, source=text) for text in ("...", "息税折旧摊销前利润", "a" * 40, "<|im_end|> </s>")]
    empty = replace(good, source="  \u200b\n ", prefix="hola")
    async with made(case).load() as translator:
        huge, unknown, contradiction, nothing, *fine = await translated(translator, [*bad, empty, good, *odd])
        alone = await translator.translate(good)
    assert isinstance(huge, BadInput)
    assert "cut it into sentences" in str(huge)
    assert isinstance(unknown, BadInput)
    assert isinstance(contradiction, BadInput)
    assert nothing.text == "hola"
    assert not [one for one in fine if isinstance(one, Exception)]
    assert fine[0].text == alone.text


# Synthesizers


async def said(speaking, *texts: str, number: int = 7) -> Samples:
    """The sound of a unit, whose last chunk alone is marked."""
    chunks: list[SpeechChunk] = []
    unit = ReadingUnit(number, (), "".join(texts), "es", 0.0, 1.0, 1.0)
    async with aclosing(speaking.say(unit, pieces(*texts))) as speech:
        async for chunk in speech:
            chunks.append(chunk)
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {(chunk.unit, chunk.samples.dtype.name) for chunk in chunks} == {(number, "float32")}
    assert len({chunk.sample_rate for chunk in chunks}) == 1
    sound = np.concatenate([chunk.samples for chunk in chunks])
    assert np.isfinite(sound).all()
    assert np.abs(sound).max(initial=0.0) <= 1
    return sound


@pytest.mark.parametrize(("name", "case"), cases("tts"))
async def test_any_text_ends_with_one_last_chunk_and_the_next_unit_speaks(name, case, made) -> None:
    async with made(case).load() as synthesizer, synthesizer.open(None, case.target) as speaking:
        before = await said(speaking, "hola, ", "amigos")
        assert len(before)
        for text in (*SILENT, *ODD, "a" * (3000 if case.alike else 300)):
            sound = await said(speaking, text)
            assert text not in SILENT or not len(sound), repr(text)
            if case.alike:
                again = await said(speaking, "hola, ", "amigos")
                np.testing.assert_array_equal(again, before, err_msg=repr(text))
        assert not len(await said(speaking))
        assert len(await said(speaking, "hola"))


@pytest.mark.parametrize(("name", "case"), cases("tts"))
async def test_sessions_at_once_sound_as_if_alone(name, case, made) -> None:
    async with made(case).load() as synthesizer:

        async def session(*texts: str) -> list[Samples]:
            async with synthesizer.open(None, case.target) as speaking:
                return [await said(speaking, text, number=number) for number, text in enumerate(texts)]

        scripts = (("hola, amigos", "la casa grande"), ("uno, dos, tres", "hola"))
        alone = [await session(*script) for script in scripts]
        together = await asyncio.gather(*(session(*script) for script in scripts))
    for one, other in zip(alone, together, strict=True):
        for expected, sound in zip(one, other, strict=True):
            np.testing.assert_allclose(sound, expected, atol=1e-4)


@pytest.mark.parametrize(("name", "case"), cases("tts"))
async def test_a_unit_that_is_cancelled_harms_none_after_it(name, case, made) -> None:
    async with made(case).load() as synthesizer:

        async def session(*, cancels: bool) -> Samples:
            async with synthesizer.open(None, case.target) as speaking:
                if cancels:
                    async with asyncio.TaskGroup() as group:
                        begun = asyncio.Event()
                        task = group.create_task(begin(speaking, begun))
                        await begun.wait()
                        task.cancel()
                return await said(speaking, "hola, amigos")

        async def begin(speaking, begun: asyncio.Event) -> None:
            text = "la casa es muy grande y muy bonita " * 3
            async with aclosing(speaking.say(ReadingUnit(1, (), text, "es", 0.0, 1.0, 1.0), pieces(text))) as speech:
                async for _ in speech:
                    begun.set()
                    await asyncio.Event().wait()

        whole, after = await session(cancels=False), await session(cancels=True)
        assert len(after)
        if case.alike:
            np.testing.assert_array_equal(after, whole)
    assert psutil.Process().children(recursive=True) == []


@pytest.mark.parametrize(("name", "case"), cases("tts"))
async def test_it_refuses_what_it_cannot_speak_and_learns_a_voice_or_says_that_it_cannot(name, case, made) -> None:
    backend = made(case)
    clip = AudioChunk((np.random.default_rng(1).standard_normal(4 * HZ) * 0.1).astype(np.float32), HZ, 0.0)
    learns = True
    if isinstance(backend, KnowsVoices):
        try:
            backend.check_cloning()
        except Refused:
            learns = False
    async with backend.load() as synthesizer:
        for voice, language in ((None, "xx"), (Voice("nobody"), case.target), (Voice("me", {"a": np.zeros(3)}), "xx")):
            with pytest.raises((Refused, BadInput)):
                async with synthesizer.open(voice, language):
                    pass
        try:
            voice, hint = await synthesizer.enrol(clip), ""
        except Refused as refused:
            voice, hint = None, refused.hint
        assert voice or hint, "say what can, or what it would need"
        if voice:
            assert learns
            async with synthesizer.open(voice, case.target) as speaking:
                assert len(await said(speaking, "hola"))
