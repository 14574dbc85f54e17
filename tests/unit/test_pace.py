"""Pace: rate, merging and skipping, in that order, and only as much as is needed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.pace import PaceOptions, SpeechLength, Waiting, plan, rate_for

OPTIONS = PaceOptions()
times = st.floats(0, 60)


@st.composite
def waiting_units(draw: st.DrawFn) -> tuple[list[Waiting], float]:
    """Units in order, each ready after its source words ended, and a start of speech after the first was ready."""
    end, units = 0.0, []
    for _ in range(draw(st.integers(1, 10))):
        end += draw(st.floats(0.1, 6))
        units.append(Waiting(end, end + draw(st.floats(0, 3)), draw(st.floats(0.1, 8))))
    return units, units[0].ready + draw(times)


@given(waiting_units())
def test_every_unit_is_skipped_or_taken_or_left_and_the_newest_is_never_skipped(case: tuple[list[Waiting], float]) -> None:
    units, start = case
    decided = plan(units, start, OPTIONS)
    assert decided.take >= 1
    assert decided.skip >= 0
    assert decided.skip + decided.take <= len(units)
    assert 1.0 <= decided.rate <= OPTIONS.max_rate


@given(waiting_units())
def test_only_late_units_are_skipped_and_only_when_speech_is_at_its_fastest(case: tuple[list[Waiting], float]) -> None:
    units, start = case
    decided = plan(units, start, OPTIONS)
    assert all(start - unit.end > OPTIONS.max_lag_s for unit in units[: decided.skip])


@given(waiting_units())
def test_units_are_merged_only_at_full_rate_and_no_part_begins_too_late(case: tuple[list[Waiting], float]) -> None:
    units, start = case
    decided = plan(units, start, OPTIONS)
    taken = units[decided.skip : decided.skip + decided.take]
    if len(taken) > 1:
        assert decided.rate == OPTIONS.max_rate
        assert sum(unit.duration_s for unit in taken) <= OPTIONS.max_breath_s
        begins = start
        for unit in taken[:-1]:
            begins += unit.duration_s / decided.rate
        assert begins - taken[-1].end <= OPTIONS.max_lag_s + 1e-9


@given(times, times)
def test_more_backlog_is_never_slower(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert rate_for(low, OPTIONS) <= rate_for(high, OPTIONS)
    assert rate_for(OPTIONS.easy_backlog_s, OPTIONS) == 1.0


def test_a_unit_that_can_be_spoken_at_once_is_spoken_as_it_is() -> None:
    assert plan([Waiting(10.0, 11.0, 5.0)], 11.0, OPTIONS) == plan([Waiting(10.0, 11.0, 1.0)], 11.0, OPTIONS)
    assert plan([Waiting(10.0, 11.0, 5.0)], 11.0, OPTIONS).rate == 1.0


def test_lag_that_waiting_speech_did_not_cause_skips_nothing() -> None:
    """A slow recognizer makes every unit late; skipping could not cure it."""
    assert plan([Waiting(0.0, 30.0, 3.0)], 30.0, OPTIONS).skip == 0


@given(st.lists(st.integers(1, 80), min_size=30, max_size=60), st.floats(0.03, 0.12))
def test_speech_length_learns_the_voice(lengths: list[int], per_character_s: float) -> None:
    length = SpeechLength()
    for count in lengths:
        length.learn("x" * count, count * per_character_s)
    assert abs(length.estimate_s("x" * 100) / (100 * per_character_s) - 1) < 0.06
