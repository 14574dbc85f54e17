"""The growth of memory that a table reports: a leak, and neither warm-up nor what comes and goes."""

import math

import pytest

from benchmarks.memory import Memory, Used, used_by_tree


def growth(anonymous_mb, minutes=10):
    """Return what is reported for a use of memory that depends on the minute, sampled each second."""
    now_s = 0.0
    memory = Memory(lambda: now_s)
    for second in range(round(60 * minutes)):
        now_s = float(second)
        memory.note(Used(500.0 - second, anonymous_mb(second / 60)))
    return memory.growth_mb_per_minute()


def test_a_leak_is_told_by_the_minute():
    assert growth(lambda minute: 100 + 0.5 * minute) == pytest.approx(0.5)


def test_warm_up_is_no_growth():
    assert growth(lambda minute: 100 + 20 * min(minute, 2)) == pytest.approx(0, abs=1e-9)


def test_a_program_that_runs_or_is_away_for_a_moment_is_no_growth():
    assert growth(lambda minute: 100 + 50 * (round(minute * 60) % 7 == 0) * minute) == pytest.approx(0, abs=1e-9)
    assert growth(lambda minute: 100 - 90 * (5 < minute < 5.1)) == pytest.approx(0, abs=1e-9)


def test_what_grows_and_is_given_back_is_no_growth():
    assert abs(growth(lambda minute: 100 + 0.1 * (minute % 5), minutes=60)) < 0.01


def test_less_than_three_minutes_after_warm_up_tell_nothing():
    assert math.isnan(growth(lambda minute: minute, minutes=3.5))
    assert not math.isnan(growth(lambda minute: minute, minutes=4.5))


def test_what_this_process_holds_is_counted():
    before = used_by_tree()
    held = b"x" * (1 << 28)
    used = used_by_tree()
    with Memory() as memory:
        pass
    half_mb = len(held) / 2**21  # other threads and children may give memory back meanwhile
    assert used.anonymous_mb - before.anonymous_mb > half_mb
    assert used.all_mb >= used.anonymous_mb
    assert memory.peak_mb > before.all_mb + half_mb
