"""Metrics against cases worked out by hand, and rows that physics forbids."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.metrics.definitions import definition_of
from benchmarks.metrics.erasure import Erasure
from benchmarks.metrics.playout import Arrival, audible_onset_s, play, silence_ratio
from benchmarks.metrics.quality import character_error_rate, normalize, term_accuracy, text_score, word_error_rate
from benchmarks.metrics.speech_latency import Chunk, average_token_delay, figures
from benchmarks.metrics.statistics import bootstrap, mean, paired_bootstrap, percentile, slope_per_minute
from benchmarks.runs.row import HeardWord, Row, UnitRow, from_json, physics, to_json
from benchmarks.runs.scoring import emission
from pipeline.errors import BadInput

HZ = 16_000


def speech(duration_s, loud=True):
    return np.full(round(duration_s * HZ), 0.1 if loud else 0.0, np.float32)


def arrive(unit, ready_s, duration_s, loud=True):
    return Arrival(unit, ready_s, speech(duration_s, loud), HZ)


def test_speech_waits_for_the_speech_before_it():
    first, second = play([arrive(0, 1.0, 2.0), arrive(1, 1.5, 1.0)])
    assert (first.start_s, first.end_s, first.stalls) == (1.0, 3.0, 0)
    assert (second.ready_s, second.start_s, second.end_s) == (1.5, 3.0, 4.0)


def test_a_late_chunk_is_a_stall_inside_its_unit_only():
    first, second = play([arrive(0, 1.0, 0.5), arrive(0, 1.8, 0.5), arrive(0, 2.0, 0.5), arrive(1, 5.0, 1.0)])
    assert first.stalls == 1
    assert first.stalled_s == pytest.approx(0.3)
    assert first.end_s == pytest.approx(2.8)
    assert (second.start_s, second.stalls) == (5.0, 0)


def test_the_onset_is_where_sound_begins_not_where_data_does():
    unit = play([arrive(0, 1.0, 0.25, loud=False), arrive(0, 1.1, 0.5)])[0]
    assert unit.start_s == 1.0
    assert unit.ready_s == 1.1
    assert unit.audible_s == pytest.approx(1.25, abs=0.02)
    assert audible_onset_s(speech(1, loud=False), HZ) is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4000), max_size=8), st.integers(0, 8000))
def test_the_onset_does_not_depend_on_the_cut(cuts, silent):
    samples = np.concatenate([np.zeros(silent, np.float32), speech(0.5)])
    pieces = [piece for piece in np.split(samples, sorted(cut for cut in cuts if cut < len(samples))) if len(piece)]
    whole = play([Arrival(0, 0.0, samples, HZ)])[0]
    cut = play([Arrival(0, 0.0, piece, HZ) for piece in pieces])[0]
    assert cut.audible_s == pytest.approx(whole.audible_s, abs=1e-9)
    assert cut.end_s == pytest.approx(whole.end_s, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.05, 2)), min_size=1, max_size=12), st.floats(1.0, 1.5))
def test_nothing_overlaps_and_faster_speech_never_ends_later(steps, rate):
    ready_s, normal, hurried = 0.0, [], []
    for unit, (gap_s, duration_s) in enumerate(steps):
        ready_s += gap_s
        normal.append(arrive(unit, ready_s, duration_s))
        hurried.append(arrive(unit, ready_s, duration_s / rate))
    heard = play(normal)
    assert all(unit.start_s >= unit.ready_s for unit in heard)
    assert all(after.start_s >= before.end_s - 1e-9 for before, after in zip(heard, heard[1:], strict=False))
    assert play(hurried)[-1].end_s <= heard[-1].end_s + 1 / HZ


def test_silence_ratio_counts_between_first_and_last_sound():
    track = np.concatenate([speech(1, False), speech(1), speech(0.5, False), speech(0.5), speech(3, False)])
    assert silence_ratio(track, HZ) == pytest.approx(0.25, abs=0.01)
    assert math.isnan(silence_ratio(speech(1, False), HZ))


def test_erasure_counts_what_is_taken_back():
    shown = Erasure()
    for draft in ("uno", "uno dos", "uno tres cuatro"):
        shown.draft(draft)
    assert shown.erased == 1
    shown.commit("uno tres")
    assert shown.erased == 1
    shown.draft("cinco")
    assert (shown.erased, shown.kept) == (2, 2)
    assert shown.normalized == 1.0
    assert Erasure().normalized == 0.0


def test_token_delay_by_hand():
    # 0.6 s read: two tokens; 0.6 s of speech from 1.0 s on: tokens end at 1.3 and 1.6, their sources at 0.3 and 0.6.
    assert average_token_delay([Chunk(0.6, 1.0, 0.6)]) == pytest.approx(1.0)
    # The target is one token ahead of the source when the second chunk begins, so its token belongs to the one before.
    ahead = [Chunk(0.3, 0.5, 0.6), Chunk(0.6, 1.1, 0.3)]
    assert average_token_delay(ahead) == pytest.approx(((0.8 - 0.3) + (1.1 - 0.3) + (1.4 - 0.6)) / 3)
    assert math.isnan(average_token_delay([]))


def test_error_rates_and_scores():
    assert normalize("Don’t — STOP, “café”!") == "don't stop café"
    assert word_error_rate(["the cat sat"], ["the Cat, sat."]) == 0
    assert word_error_rate(["the cat sat", "..."], ["", "x"]) == 1
    assert math.isnan(word_error_rate(["..."], ["x"]))
    assert word_error_rate(["你好 世界"], ["你好世"], "zh") == pytest.approx(0.25)
    assert character_error_rate(["abcd"], ["abed"]) == pytest.approx(0.25)
    score = text_score(["uno dos tres cuatro", "cinco"], ["uno dos tres cuatro", ""], "es")
    assert 0 < score.bleu < 100
    assert "tok:13a" in score.bleu_signature
    assert text_score(["你好世界"], ["你好世界"], "zh").bleu == pytest.approx(100)


def test_terms_count_as_often_as_they_are_heard():
    terms = [[("port", "puerto"), ("old town", "casco viejo")]]
    said = term_accuracy(terms, ["The port, the port and the old town"], ["El puerto y el casco viejo"])
    assert said == (pytest.approx(2 / 3), 3)
    assert term_accuracy(terms, ["airport"], ["puerto"])[1] == 0


def test_statistics():
    assert percentile([3, 1, 2], 50) == 2
    assert slope_per_minute([0, 60, 120], [1, 1.5, 2]) == pytest.approx(0.5)
    assert math.isnan(slope_per_minute([1, 1], [0, 5]))
    groups = [[float(value), value + 1.0] for value in range(20)]
    interval = bootstrap(groups, mean)
    assert interval.low < interval.value == 10 < interval.high
    slower = [[value + 0.5 for value in group] for group in groups]
    paired = paired_bootstrap(groups, slower, mean)
    assert paired.low == pytest.approx(0.5) == paired.high
    assert paired_bootstrap(groups, slower, mean) == paired


def unit(number=0, **changes):
    moments = {"heard_s": 2.0, "committed_s": 2.1, "ready_s": 2.2, "start_s": 2.3, "audible_s": 2.3, "end_s": 3.0}
    return UnitRow(number, "hola", (HeardWord(" hello", 0.5, 1.0),), breath=number, **(moments | changes))


def row(*units):
    return Row("u", "d", "ok", "real", 5.0, units, heard=(HeardWord(" hello", 0.5, 1.0),))


def test_a_possible_row_has_no_faults_and_survives_being_written():
    made = row(unit(), unit(1, committed_s=2.5, ready_s=2.6, start_s=3.0, end_s=4.0))
    assert physics(made) == []
    assert from_json(to_json(made), "here") == made


def test_a_commit_that_differs_from_the_draft_erases_the_rest_of_it():
    shown = Erasure()
    shown.draft("a b c")
    shown.commit("a x")
    assert (shown.erased, shown.kept, shown.normalized) == (2, 2, 1.0)


def test_a_target_that_is_ahead_of_its_source_is_matched_to_later_tokens():
    """The second chunk's tokens, the 4th and 5th, are two ahead of the source: they belong to its 2nd and 3rd."""
    chunks = [Chunk(0.3, 0.3, 0.9), Chunk(1.2, 1.2, 0.6)]
    assert average_token_delay(chunks) == pytest.approx((0.3 + 0.6 + 0.9 + 0.9 + 0.9) / 5)


def test_an_interval_leaves_out_a_fortieth_at_both_ends():
    resampled = itertools.count()
    interval = bootstrap([[1.0]], lambda _: float(next(resampled)))
    assert (interval.low, interval.high, interval.value) == (24, 974, 1000)


def test_text_is_emitted_when_it_stood_and_spoken_while_it_is_played():
    utterance = SimpleNamespace(name="u", target_language="es", sentences=())
    made = emission(utterance, row(replace(unit(), text="hola mundo")))  # type: ignore[arg-type]
    assert made.units == ("hola", "mundo")
    assert made.delays_ms == pytest.approx((2000, 2000))
    assert made.elapsed_ms == pytest.approx((2100, 2100))
    assert made.spoken_ms == pytest.approx((2300, 2650))


def test_speech_is_audible_from_45_decibels_below_full_scale_on():
    tone = np.ones(HZ, np.float32)
    assert audible_onset_s(10 ** (-44 / 20) * tone, HZ) == 0.0
    assert audible_onset_s(10 ** (-46 / 20) * tone, HZ) is None


def test_the_latencies_of_rows_are_those_worked_out_by_hand():
    """Words end at 1 s. Ten units, ready 0.3 s after they were cut at 2 s, begin 0.1 s later, then later and later."""
    begins_s = [2.4 + 0.5 * index for index in range(10)]
    units = [
        unit(index, ready_s=2.3, start_s=at_s, audible_s=at_s + 0.05, end_s=at_s + 0.4, rate=1.15 if index < 3 else 1.0)
        for index, at_s in enumerate(begins_s)
    ]
    first = replace(row(*units), onset_s=0.5, speech_end_s=4.0)
    shown = UnitRow(1, "only shown", (HeardWord(" a", 0.5, 1.0), HeardWord(" b", 1.0, 1.5)), 2.0, 2.1)
    said_before = replace(shown, number=2, text="")
    second = replace(row(unit(start_s=5.0, audible_s=5.0, end_s=6.0), shown, said_before), onset_s=1.0, speech_end_s=5.5)
    found = figures([first, second])
    spans_s = sorted([1.4 + 0.5 * index for index in range(10)] + [4.0])
    assert [found[f"ear_voice_span_{name}_s"] for name in ("p50", "p90", "max")] == pytest.approx(
        [spans_s[5], spans_s[9], spans_s[10]]
    )
    assert (found["policy_p50_s"], found["compute_p50_s"], found["compute_p95_s"]) == pytest.approx((1.0, 0.3, 0.3))
    assert (found["wait_p50_s"], found["wait_p95_s"]) == pytest.approx((2.6, 4.6))
    assert (found["first_audio_s"], found["first_audio_worst_s"]) == pytest.approx((2.45 - 0.5, 5.0 - 1.0))
    assert (found["end_lag_s"], found["end_lag_worst_s"]) == pytest.approx((6.0 - 5.5, 7.3 - 4.0))
    assert (found["units"], found["units_hurried_share"], found["median_unit_words"]) == (13, 3 / 11, 1)
    assert found["units_skipped_share"] == pytest.approx(1 / 12)


def test_a_figure_that_counts_other_units_than_before_has_an_id_of_its_own():
    assert definition_of("units_skipped_share").id == "skipped-share/v2"


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (row(unit(committed_s=1.9)), "CA < CU"),
        (row(unit(heard_s=0.9)), "before its last word ended"),
        (row(unit(ready_s=2.0)), "before its text"),
        (row(unit(), unit(1, start_s=2.5)), "over the unit before it"),
        (row(unit(committed_s=2.2, ready_s=2.2), unit(1, committed_s=2.1, start_s=3.1)), "before the unit before it"),
        (row(UnitRow(0, "x", (), 2.0, 2.0)), "covers no source word"),
    ],
)
def test_impossible_rows_are_named(made, fault):
    assert any(fault in message for message in physics(made))


def test_rows_of_other_versions_and_broken_lines_are_refused():
    with pytest.raises(BadInput, match="no row of a run"):
        from_json('{"utterance": 1}', "rows.jsonl:3")
    with pytest.raises(BadInput, match="version 99"):
        from_json(to_json(row()).replace('"v":1', '"v":99'), "rows.jsonl:1")
