"""The pace benchmark: the simulated talk keeps its definition, and the lag control its promises."""

import argparse
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import pace
from benchmarks.metrics.statistics import mean
from pipeline.policies.pace import PaceOptions

EASY = pace.Talk(expansion=0.95, pause_s=0.6, seed=1, minutes=5)
HARD = pace.Talk(expansion=1.35, pause_s=0.2, seed=1, minutes=10)


def test_a_talk_is_as_long_as_its_translation_should_be():
    units = list(pace.units(pace.Talk(1.35, 0.2, seed=3, minutes=30)))
    ends = [unit.end for unit in units]
    assert ends == sorted(ends)
    assert 30 * 60 < ends[-1] < 31 * 60
    assert all(unit.ready == unit.end + 2.0 for unit in units)
    spoken_s = sum(unit.duration_s for unit in units)
    pauses = ends[-1] - spoken_s / 1.35
    assert 0 < pauses / ends[-1] < 0.15


@settings(max_examples=20, deadline=None)
@given(expansion=st.floats(0.8, 1.6), pause_s=st.floats(0.05, 2), seed=st.integers(0, 99))
def test_every_unit_is_played_in_order_or_skipped(expansion, pause_s, seed):
    talk = pace.Talk(expansion, pause_s, seed, minutes=3)
    units = list(pace.units(talk))
    played = pace.play(talk, PaceOptions())
    assert [unit.end for unit in played] == [unit.end for unit in units]
    free = 0.0
    for unit, made in zip(units, played, strict=True):
        if made.start is not None:
            assert made.start >= max(unit.ready, free) - 1e-6
            free = made.start + unit.duration_s / made.rate
            assert 1.0 <= made.rate <= 1.25


def test_without_control_lag_grows_and_with_it_does_not():
    without = pace.summarize(pace.play(HARD, None))
    controlled = pace.summarize(pace.play(HARD, PaceOptions()))
    assert without["lag_p95_s"] > 60
    assert controlled["lag_p95_s"] <= 8
    assert controlled["skipped"] <= 0.18
    assert controlled["skipped_before_merging"] == 0


def test_speech_that_fits_is_left_alone():
    assert pace.summarize(pace.play(EASY, PaceOptions()))["skipped"] == 0
    assert pace.summarize(pace.play(EASY, None))["lag_p95_s"] < 6


def test_the_command_gives_figures_and_a_picture(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    pace.add_arguments(parser)
    arguments = parser.parse_args(["--minutes", "2", "--seeds", "1", "2", "--expansions", "1.35", "--plots", str(tmp_path)])
    figures = pace.run(arguments)
    assert {"lag_p95_s_x1.35_pause0.6", "skipped_x1.35_pause0.2_worst", "lag_p95_s_x1.35_pause0.2_uncontrolled"} <= set(
        figures
    )
    assert all(math.isfinite(value) for value in figures.values())
    assert (tmp_path / "pace.png").read_bytes().startswith(b"\x89PNG")
    assert figures["lag_p95_s_x1.35_pause0.2_worst"] >= figures["lag_p95_s_x1.35_pause0.2"]


def test_the_mean_of_nothing_is_unknown():
    assert math.isnan(mean([]))
    assert mean([1, 2]) == pytest.approx(1.5)


def test_lag_is_from_the_end_of_the_words_to_the_begin_of_their_speech():
    assert pace.Played(end=1.0, start=3.5, rate=1.0, merged=False).lag_s == 2.5
    assert math.isnan(pace.Played(end=1.0, start=None, rate=1.0, merged=False).lag_s)
