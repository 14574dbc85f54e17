"""Pace: rate, merging and skipping, in that order, and only as much as is needed."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.policies.pace import FirstSound, PaceOptions, SpeechLength, Waiting, plan, rate_for

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
def test_units_are_skipped_exactly_while_they_are_late_and_would_make_the_next_late(
    case: tuple[list[Waiting], float],
) -> None:
    units, start = case
    decided = plan(units, start, OPTIONS)

    def helps(skipped: Waiting, following: Waiting) -> bool:
        begins = start, start + skipped.duration_s / OPTIONS.max_rate
        return all(at - unit.end > OPTIONS.max_lag_s for at, unit in zip(begins, (skipped, following), strict=True))

    assert [helps(*pair) for pair in pairwise(units[: decided.skip + 2])] in (
        [True] * decided.skip + [False],
        [True] * (len(units) - 1),
    )


@given(waiting_units())
@example(([Waiting(14.0, 15.0, 4.0), Waiting(14.5, 15.0, 3.0)], 20.0))  # the second would begin too late
@example(([Waiting(14.0, 15.0, 4.0), Waiting(14.5, 15.0, 4.5)], 15.5))  # the second would be too long
@example(([Waiting(14.0, 15.0, 4.0), Waiting(14.5, 15.0, 3.0)], 15.5))
def test_units_are_merged_at_full_rate_as_many_as_fit_in_a_breath_and_begin_in_time(
    case: tuple[list[Waiting], float],
) -> None:
    units, start = case
    decided = plan(units, start, OPTIONS)
    waiting = units[decided.skip :]
    if decided.backlog_s <= OPTIONS.full_backlog_s:
        assert decided.take == 1
        return
    assert decided.rate == OPTIONS.max_rate
    lengths_s = [0.0, *accumulate(unit.duration_s for unit in waiting)]
    fits = [
        through_s <= OPTIONS.max_breath_s and start + before_s / decided.rate - unit.end <= OPTIONS.max_lag_s
        for unit, (before_s, through_s) in zip(waiting, pairwise(lengths_s), strict=True)
    ]
    assert all(fits[1 : decided.take])
    assert not any(fits[decided.take : decided.take + 1])


def test_backlog_is_what_waits_and_what_of_the_next_unit_is_overdue() -> None:
    following = [Waiting(12.0, 12.0, 1.0), Waiting(13.0, 13.0, 0.5)]
    assert plan([Waiting(10.0, 11.0, 4.0), *following], 13.0, OPTIONS).backlog_s == 2.0 + 1.5
    assert plan([Waiting(10.0, 11.0, 1.0), *following], 13.0, OPTIONS).backlog_s == 1.0 + 1.5


@given(times, times)
def test_more_backlog_is_never_slower(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert rate_for(low, OPTIONS) <= rate_for(high, OPTIONS)
    assert rate_for(OPTIONS.easy_backlog_s, OPTIONS) == 1.0


def test_the_rate_rises_evenly_from_the_easy_to_the_full_backlog() -> None:
    options = PaceOptions(easy_backlog_s=1.0, full_backlog_s=3.0, max_rate=1.5)
    assert [rate_for(backlog_s, options) for backlog_s in (0.0, 1.0, 2.0, 3.0, 9.0)] == [1.0, 1.0, 1.25, 1.5, 1.5]
    at_once = PaceOptions(easy_backlog_s=1.0, full_backlog_s=1.0, max_rate=1.5)
    assert [rate_for(backlog_s, at_once) for backlog_s in (1.0, 1.01)] == [1.0, 1.5]


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


def test_speech_length_learns_nothing_from_silence() -> None:
    length = SpeechLength(seconds_per_character=0.1)
    length.learn("", 1.0)
    length.learn("silent", 0.0)
    assert length.estimate_s("x" * 10) == 1.0


@given(st.floats(0.05, 3.0), st.floats(0, 0.2), st.lists(st.floats(-1, 1), min_size=30, max_size=60))
def test_the_lead_covers_the_time_to_first_sound_once_it_is_learned(
    first_s: float, spread: float, drawn: list[float]
) -> None:
    first = FirstSound()
    for one in drawn:
        first.learn(first_s * (1 + spread * one))
    assert first_s * (1 - spread) <= first.lead_s(0.0) + 1e-9
    assert first.mean_s <= first.lead_s(0.0) <= first_s * (1 + 4 * spread) + 0.01
    assert abs(first.mean_s - first_s) <= spread * first_s + 1e-9


def test_the_lead_is_the_setting_until_synthesis_is_known_to_be_slower() -> None:
    first = FirstSound()
    assert (first.lead_s(0.6), first.mean_s) == (0.6, 0.0)
    first.learn(0.1)
    assert first.lead_s(0.6) == 0.6
    first.learn(2.0)
    assert first.lead_s(0.6) > 0.6


def test_the_time_that_synthesis_takes_is_no_backlog() -> None:
    """It delays speech however fast that is: a unit that begins as soon as it can is not hurried."""
    assert plan([Waiting(10.0, 11.0 + 1.5, 4.0)], 11.0 + 1.5, OPTIONS).rate == 1.0
    assert plan([Waiting(10.0, 11.0 + 1.5, 4.0)], 14.0, OPTIONS).backlog_s == 1.5
