"""The session benchmark on scripted models: clocks agree, spans add up, an hour stays in bounds."""

import asyncio
import ctypes
import gc
import math
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import psutil
import pytest

from benchmarks import session as bench
from benchmarks.clocks.feeder import Feeder
from benchmarks.clocks.paced import Paced
from benchmarks.clocks.virtual import run_on
from benchmarks.corpora.utterance import Sentence, Utterance
from benchmarks.long_session import hour_figures, memory_of_an_hour
from benchmarks.memory import used_by_tree
from benchmarks.metrics import speech_latency
from benchmarks.runs.row import HeardWord, physics
from benchmarks.systems.in_process import SourceAudio, interpret
from benchmarks.systems.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTranslator
from pipeline.clock import LoopClock
from pipeline.contracts import Missing, TranslationRequest
from pipeline.errors import ModelError
from pipeline.events import Word
from pipeline.profiles.profile import load_profile, what_is_missing
from pipeline.session import Models, SessionOptions

OPTIONS = SessionOptions(("en",), ("es",), "es")


def script(count, every=6, word_s=0.1):
    words, at_s = [], 0.1
    for index in range(count):
        words.append(Word(f" w{index}", at_s, at_s + word_s, 1.0))
        at_s += word_s * (1.5 if (index + 1) % every else 6)
    return words


def models(words, cost_s=1.0):
    return Models(
        ScriptedRecognizer(words, hold_s=0.1, cost_s=0.003 * cost_s),
        ScriptedTranslator(cost_s=0.1 * cost_s),
        ScriptedSynthesizer(seconds_per_character=0.01, cost_s=0.02 * cost_s),
    )


def audio(words):
    duration_s = words[-1].end + 0.2
    return SourceAudio(np.zeros(int(duration_s * 16_000), np.float32), 16_000, words[0].start, words[-1].end)


def row_on(clock, words, **how):
    kind = "virtual" if clock == "exact" else clock
    return run_on(clock, interpret(models(words, **how), OPTIONS, audio(words), kind)).row


def moments(row):
    return [moment for unit in row.units for moment in (unit.committed_s, unit.ready_s, unit.start_s, unit.end_s)]


def test_the_virtual_clock_gives_the_stamps_of_the_real_one():
    """A busy machine makes a real run later, never earlier: the earliest moments of several runs are the clock's."""
    words = script(8, every=4)
    exact = moments(row_on("exact", words))
    for clock in ("real", "virtual"):
        earliest = [math.inf] * len(exact)
        for _ in range(6):
            row = row_on(clock, words)
            earliest = [min(pair) for pair in zip(earliest, moments(row), strict=True)]
            tolerance_s = 0.01 + row.feeder_late_p99_ms / 1000
            if earliest == pytest.approx(exact, abs=tolerance_s):
                break
        assert earliest == pytest.approx(exact, abs=tolerance_s)
        assert all(moment >= known - 0.01 for moment, known in zip(earliest, exact, strict=True))


def test_exact_runs_are_equal_to_the_last_digit():
    words = script(40)
    assert row_on("exact", words).units == row_on("exact", words).units


def test_a_queue_makes_later_units_later():
    words = script(60)
    light, heavy = row_on("exact", words), row_on("exact", words, cost_s=12.0)
    assert speech_latency.end_lag_s(heavy) > speech_latency.end_lag_s(light) + 1
    waits = [unit.committed_s - unit.heard_s for unit in heavy.units]
    assert min(waits) >= 1.2 - 1e-6
    assert physics(heavy) == []


@pytest.mark.parametrize("clock", ["exact", "cu"])
def test_the_span_is_policy_plus_compute_plus_wait(clock):
    row = row_on(clock, script(40), cost_s=0.0 if clock == "cu" else 1.0)
    assert physics(row) == []
    for unit in speech_latency.spoken([row]):
        span = speech_latency.parts(unit)
        assert span.ear_voice_s == pytest.approx(span.policy_s + span.compute_s + span.wait_s, abs=1e-9)
        assert min(span.policy_s, span.compute_s, span.wait_s) >= -1e-6
    if clock == "cu":
        assert all(speech_latency.parts(unit).compute_s == pytest.approx(0, abs=1e-9) for unit in row.units)


def test_frames_come_when_they_would_be_heard():
    async def fed(live):
        feeder = Feeder(np.zeros(16_000, np.float32), 16_000, LoopClock(), live=live)
        return [(frame.start, LoopClock().now() - feeder.origin_s) async for frame in feeder], feeder

    frames, feeder = run_on("exact", fed(True))
    assert len(frames) == 50
    assert [at for _, at in frames] == pytest.approx([start + 0.02 for start, _ in frames], abs=1e-9)
    assert max(feeder.late_s) == pytest.approx(0, abs=1e-9)
    assert max(at for _, at in run_on("exact", fed(False))[0]) == 0


def test_real_time_passes_only_while_somebody_computes():
    async def work():
        import asyncio

        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(3600)
        jumped = loop.time() - before
        with loop.computing():
            await asyncio.to_thread(sum, range(1000))
        return jumped, loop.time() - before - jumped

    jumped, computed = run_on("virtual", work())
    assert 3600 <= jumped < 3601
    assert computed < 60


def test_three_minutes_of_session_lose_nothing_and_keep_their_memory():
    figures = hour_figures(hours=0.05)
    assert figures["hour_units"] > 25
    assert figures["hour_units_in_order"] == figures["hour_speech_in_order"] == 1
    assert figures["hour_words_lost"] == 0
    assert figures["hour_heap_growth_mb"] < 1


def test_the_memory_of_a_long_session_counts_its_programs():
    profile = load_profile("cpu", None, ["synthesizer.use=models.tts.espeak:Espeak"])
    if what_is_missing(profile):
        pytest.skip("no trained weights: translate-live pull cpu")
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)  # what other tests have freed would hold the weights
    before_mb = used_by_tree().all_mb
    row = memory_of_an_hour(profile, ["young", "man"], "en", "pt", hours=0.01)
    assert len(row.units) > 5
    assert all(unit.spoken for unit in row.units if unit.text)
    assert row.peak_memory_mb - before_mb > 15  # the weights of a student alone are 17 MB


def test_a_profile_that_cannot_run_says_what_is_missing(monkeypatch, tmp_path):
    from types import SimpleNamespace

    lacking = [Missing("espeak-ng", "apt-get install espeak-ng")]
    monkeypatch.setattr(bench, "what_is_missing", lambda profile: lacking)
    arguments = SimpleNamespace(profile="cpu", set=[], folder=tmp_path, source="en", target="es")
    monkeypatch.setattr(bench, "load_profile", lambda *given: SimpleNamespace(name="cpu"))
    with pytest.raises(ModelError, match="apt-get install espeak-ng"):
        bench.run(arguments)


def test_nothing_said_has_no_latency():
    figures = speech_latency.figures([row_on("exact", [Word(" ...", 0.5, 0.9, 1.0)])])
    assert math.isnan(figures["ear_voice_span_p50_s"])
    assert figures["units"] == 0


async def test_what_a_session_remarks_is_kept_and_not_told_again():
    class Failing(ScriptedTranslator):
        async def translate(self, request):
            if request.source.startswith("w"):
                raise ValueError("no words today")
            return await super().translate(request)

    words = script(8)
    failing = Models(ScriptedRecognizer(words), Failing(), ScriptedSynthesizer())
    row = (await interpret(failing, OPTIONS, audio(words), "cu")).row
    assert 1 <= sum("no words today" in notice for notice in row.notices) <= 2


async def test_a_process_of_its_own_gives_every_sample_and_tells_how_late_it_was():
    samples = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    source = Paced(samples, 16_000, 0.02)
    frames = [frame async for frame in source]
    assert np.array_equal(np.concatenate([frame.samples for frame in frames]), samples)
    assert [frame.start for frame in frames] == [0.0, 0.02, 0.04, 0.06]
    assert source.given_s == len(samples) / 16_000
    assert len(source.late_s) == 4
    assert min(source.late_s) >= 0
    assert 0 < source.origin_s < LoopClock().now() - source.given_s


async def test_a_source_that_is_left_leaves_no_process():
    source = Paced(np.zeros(160_000, np.float32), 16_000, 0.02)
    before = psutil.Process().children()
    async with aclosing(aiter(source)) as frames:
        await anext(frames)
        assert len(psutil.Process().children()) == len(before) + 1
    assert psutil.Process().children() == before


def test_the_chrf_of_whole_recordings_is_that_of_the_same_translator(tmp_path):
    class Engine:
        async def prepare(self, request):
            return models(script(2)), OPTIONS

    said = asyncio.run(ScriptedTranslator().translate(TranslationRequest("he was kind", "en", "es")))
    sentences = (Sentence(0.0, 1.0, "he was kind", said.text),)
    utterance = Utterance("a", "a", "", 1.0, "en", "es", sentences)
    row = replace(row_on("cu", script(2)), heard=(HeardWord(" she", 0.0, 0.5),))
    figures = asyncio.run(bench.SessionBench(Engine(), tmp_path).translate_whole([utterance], [row]))
    assert figures["chrf_fed_whole"] == pytest.approx(100)
    assert figures["chrf_recognized_whole"] < 50
