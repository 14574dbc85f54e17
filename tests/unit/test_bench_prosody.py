"""The prosody benchmark: a talk that is fast and slow, figures of scripted units, models that are asked once."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.clocks.virtual import run_on
from benchmarks.prosody import PAUSES_S, RATES, RECORDINGS, talk, unit_figures
from benchmarks.runs.row import HeardWord, UnitRow
from benchmarks.systems.in_process import SourceAudio, interpret
from benchmarks.systems.remembered import ModelMemory
from benchmarks.systems.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTranslator
from pipeline.events import Word
from pipeline.policies.pace import PaceOptions
from pipeline.session import Models, SessionOptions


def unit(number, start_s, said_s, spoken_s, rate=1.0):
    end_s = start_s + spoken_s
    source = (HeardWord(" word", start_s, end_s),)
    return UnitRow(number, "said", source, end_s, end_s, said_s, said_s, said_s, said_s + spoken_s, number, rate)


def test_a_talk_is_fast_and_slow_in_turn_with_pauses_between():
    rng = np.random.default_rng(0)
    samples = talk([(rng.standard_normal(16_000).astype(np.float32), 16_000)])
    groups = RECORDINGS // len(RATES)
    assert len(samples) == pytest.approx(16_000 * (groups * sum(1 / rate for rate in RATES) + 4 * sum(PAUSES_S)), rel=1e-3)


def test_figures_follow_from_the_units():
    fast = [unit(n, 2.0 * n, 2.0 * n + 1, 0.5, 1.08) for n in range(4)]
    slow = [unit(n, 20.0 + 2 * n, 21.5 + 2 * n, 1.0, 0.92) for n in range(4, 8)]
    figures = unit_figures([*fast, *slow])
    assert figures["rate_correlation"] == pytest.approx(1.0)
    assert figures["played_rate_correlation_10s"] > 0.9
    assert figures["ear_voice_span_mean_s"] == pytest.approx(0.5)
    assert (figures["units_slower_share"], figures["units_faster_share"]) == (0.5, 0.5)
    assert figures["long_pauses"] == 7
    assert figures["long_pauses_heard_share"] == 1.0
    hurried = unit_figures([replace(one, rate=1.0, end_s=one.start_s + 0.7) for one in (*fast, *slow)])
    assert math.isnan(hurried["played_rate_correlation_10s"])


def test_models_with_a_memory_are_asked_once_and_give_the_same():
    words = [Word(f" w{index}", 0.4 * index + 0.1, 0.4 * index + 0.4, 1.0) for index in range(20)]
    asked = []

    class Counting(ScriptedTranslator):
        async def translate(self, request):
            asked.append(request)
            return await super().translate(request)

    models = Models(ScriptedRecognizer(words), Counting(), ScriptedSynthesizer())
    audio = SourceAudio(np.zeros(16_000 * 9, np.float32), 16_000, 0.1, words[-1].end)
    memory = ModelMemory()
    rows = [
        run_on("exact", interpret(one, SessionOptions(("en",), ("es",), "es"), audio, "cu")).row
        for one in (models, memory.of(models), memory.of(models))
    ]
    assert rows[0].units == rows[1].units == rows[2].units
    assert len(asked) == len(set(asked)) + len(asked) // 2  # without a memory once, with it once


def test_a_pause_that_a_session_keeps_is_in_its_computation_unaware_moments():
    """In sentences of several units the first comes soonest, and may wait."""
    words, at_s = [], 0.5
    for index in range(170):
        last = index % 17 == 16
        words.append(Word(" words." if last else " words", at_s, at_s + 0.4, 1.0))
        at_s += 0.42 + 0.9 * last
    audio = SourceAudio(np.zeros(round((at_s + 1) * 16_000), np.float32), 16_000, 0.5, words[-1].end)
    models = Models(ScriptedRecognizer(words), ScriptedTranslator(), ScriptedSynthesizer(0.08))
    heard = {}
    for most in (0.0, 0.5):
        options = SessionOptions(("en",), ("es",), "es", pace=PaceOptions(follow_speaker=False, max_pause_s=most))
        row = run_on("exact", interpret(models, options, audio, "cu")).row
        heard[most] = unit_figures(row.units)["long_pauses_heard_share"]
    assert heard[0.5] > heard[0.0]
