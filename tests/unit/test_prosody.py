"""Prosody: speech follows its speaker's rate and keeps long pauses, and is never later for it where it is late."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.systems.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTranslator
from pipeline.events import Lag, ReadingUnit, SpeechChunk, Word
from pipeline.policies.pace import PaceOptions, Plan, unhurried
from pipeline.policies.prosody import FASTEST, SLOWEST, UNHEARD, Pauses, SpeakingRate, followed
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from tests.scripted import Keep, Talk

OPTIONS = PaceOptions()
SECONDS = 180.0
rates = st.floats(5.0, 30.0)  # letters a second


def unit_of(*words: Word, speaker: str = "", language: str = "en") -> ReadingUnit:
    return ReadingUnit(0, words, "", "pt", words[0].start, words[-1].end, words[-1].end, "pt", language, speaker)


def said(start: float, seconds: float, rate: float, speaker: str = "") -> Iterator[ReadingUnit]:
    """Units of one word of five letters each, from ``start`` on, without pauses."""
    for number in range(int(seconds * rate / 5)):
        at = start + number * 5 / rate
        yield unit_of(Word(" words", at, at + 5 / rate, 1.0), speaker=speaker)


def heard(*parts: Iterator[ReadingUnit]) -> tuple[SpeakingRate, ReadingUnit]:
    speaking, last = SpeakingRate(), unit_of(Word(" a", 0.0, 0.1, 1.0))
    for part in parts:
        for last in part:
            speaking.hear(last)
    return speaking, last


words = st.builds(
    Word,
    st.sampled_from([" a", " word", " Ünïcode", " 42", " 2nd", "!", "你好", ""]),
    st.floats(0, 60),
    st.floats(0, 60),
    st.just(1.0),
)


@given(st.lists(words, min_size=1, max_size=60))
def test_the_factor_keeps_its_bounds_whatever_is_heard(spoken: list[Word]) -> None:
    speaking = SpeakingRate()
    for word in spoken:
        unit = unit_of(word)
        speaking.hear(unit)
        assert SLOWEST <= speaking.factor(unit) <= FASTEST


@given(rates, st.floats(1, 60))
def test_a_steady_speaker_is_not_followed(rate: float, seconds: float) -> None:
    speaking, last = heard(said(0, seconds, rate))
    assert speaking.factor(last) == 1.0


@given(rates, st.floats(1.06, 2.0))
def test_a_speaker_is_compared_with_their_own_habit(rate: float, change: float) -> None:
    faster, last = heard(said(0, 60, rate), said(60, 10, rate * change))
    assert 1 + UNHEARD < faster.factor(last) <= change
    slower, last = heard(said(0, 60, rate), said(60, 10, rate / change))
    assert 1 / change - 0.02 <= slower.factor(last) < 1 - UNHEARD


@given(rates)
def test_pauses_do_not_make_a_speaker_slow(rate: float) -> None:
    spoken = [unit_of(Word(" words", at * 2.0, at * 2.0 + 5 / rate, 1.0)) for at in range(60)]
    speaking, last = heard(iter(spoken))
    assert speaking.factor(last) == 1.0


def test_speakers_and_languages_have_habits_of_their_own() -> None:
    slow, fast = said(0, 60, 10.0, "A"), said(60, 60, 20.0, "B")
    speaking, last = heard(slow, fast)
    assert speaking.factor(last) == 1.0
    assert speaking.factor(unit_of(*last.source, speaker="B", language="de")) == 1.0


def test_nothing_is_followed_before_enough_was_heard_and_after_a_long_silence() -> None:
    speaking, last = heard(said(0, 60, 10.0), said(100, 1.9, 20.0))
    assert speaking.factor(last) == 1.0
    for last in said(101.9, 1, 20.0):
        speaking.hear(last)
    assert speaking.factor(last) == FASTEST


plans = st.builds(Plan, st.just(0), st.just(1), st.floats(1.0, 1.25), st.floats(0, 9))


@given(plans, st.floats(SLOWEST, FASTEST), st.booleans(), st.floats(1.0, 1.5))
def test_pace_comes_first(decided: Plan, factor: float, time: bool, max_rate: float) -> None:
    rate = followed(decided, factor, time, PaceOptions(max_rate=max_rate)).rate
    if not time or decided.rate > 1 or factor >= 1:
        assert decided.rate <= rate <= max(decided.rate, max_rate)
    else:
        assert rate == factor
    assert followed(decided, factor, time, PaceOptions(follow_speaker=False)) == decided
    assert followed(decided, factor, time, unhurried(OPTIONS)) == decided


@given(st.floats(0, 3), st.floats(0, 5), st.lists(st.floats(0, 8), max_size=5), st.floats(0, 2))
def test_a_pause_is_kept_as_far_as_the_unit_is_less_late_than_usual(
    gap_s: float, free_s: float, lags: list[float], longest_s: float
) -> None:
    pauses = Pauses(PaceOptions(max_pause_s=longest_s))
    following = unit_of(Word(" on", 10.0 + gap_s, 11.0 + gap_s, 1.0))
    assert pauses.end(following, free_s) == -math.inf  # nothing was said before
    pauses.hear(unit_of(Word(" before", 9.0, 10.0, 1.0)))
    for lag_s in lags:
        pauses.learn(lag_s)
    free_at = 11.0 + free_s
    end = pauses.end(following, free_at)
    if not lags or following.start - 10.0 < 0.6:
        assert end == -math.inf
        return
    latest = following.end + max(lags) - OPTIONS.easy_backlog_s
    assert end > free_at or end == -math.inf
    assert end <= min(free_at + min(following.start - 10.0, longest_s), latest) + 1e-9
    if len(set(lags)) == 1 and 1e-6 < longest_s < latest - free_at - 1e-6:
        assert end == free_at + min(following.start - 10.0, longest_s)


def script(slow: float, sentence: int = 6, pause_s: float = 1.0) -> list[Word]:
    """Three minutes of sentences with ``pause_s`` between them, for half a minute each as they are and slower."""
    spoken: list[Word] = []
    at = 0.5
    while at < SECONDS - 3:
        length_s = 0.4 * (slow if at // 30 % 2 else 1.0)
        last = len(spoken) % sentence == sentence - 1
        spoken.append(Word(" words." if last else " words", at, at + length_s, 1.0))
        at += length_s + (pause_s if last else 0.02)
    return spoken


async def interpreted(spoken: list[Word], options: PaceOptions, speech_s: float = 0.05, live: bool = False) -> Keep:
    models = Models(ScriptedRecognizer(spoken), ScriptedTranslator(), ScriptedSynthesizer(speech_s))
    keep = Keep()
    session = Session(models, SessionOptions(("en",), ("es",), spoken="es", pace=options))
    await session.run(Talk(SECONDS, live), [SinkQueue(keep)])
    return keep


def lags_s(keep: Keep) -> list[float]:
    return [lag.ear_voice_s for lag in keep.of(Lag)]


FOLLOWED = PaceOptions(max_pause_s=0.0)
NEITHER = PaceOptions(follow_speaker=False, max_pause_s=0.0)


@pytest.mark.looptime(noop_cycles=2)
async def test_speech_is_slow_where_the_speaker_is_and_fast_where_they_are() -> None:
    keep = await interpreted(script(slow=1.5), FOLLOWED)
    rates = {lag.rate for lag in keep.of(Lag)}
    assert min(rates) == SLOWEST
    assert max(rates) == FASTEST
    assert min(lag.rate for lag in (await interpreted(script(slow=1.5), NEITHER)).of(Lag)) == 1.0


@pytest.mark.looptime(noop_cycles=2)
@pytest.mark.parametrize("speech_s", [0.05, 0.08, 0.12])
async def test_following_the_speaker_adds_no_lag(speech_s: float) -> None:
    """At any length of speech: the next unit is never kept waiting by slower speech."""
    followed_lags, plain = [lags_s(await interpreted(script(1.5), one, speech_s)) for one in (FOLLOWED, NEITHER)]
    assert sum(followed_lags) <= sum(plain) + 1e-6
    assert max(followed_lags) <= max(plain) + 1e-6


@pytest.mark.looptime(noop_cycles=2)
async def test_units_are_slow_only_where_the_next_takes_its_time() -> None:
    keep = await interpreted(script(slow=1.5), FOLLOWED, speech_s=0.08)
    units = {unit.number: unit for unit in keep.of(ReadingUnit)}
    slow = [lag for lag in keep.of(Lag) if lag.rate < 1]
    assert slow
    assert all(units[lag.unit].text.endswith(".") for lag in slow)


def silences_s(keep: Keep) -> list[float]:
    """Silences before the units that begin a sentence."""
    begins = {unit.number for unit in keep.of(ReadingUnit) if unit.text[0] != " "}
    pairs = [pair for pair in pairwise(keep.of(SpeechChunk)) if pair[0].last and pair[1].unit in begins]
    return [after.start - before.start - before.duration for before, after in pairs]


@pytest.mark.looptime(noop_cycles=2)
async def test_long_pauses_are_heard_where_speech_is_less_late_than_usual() -> None:
    """Sentences of several units, of which the first comes soonest: its speech would close the pause before it."""
    spoken = script(slow=1.0, sentence=17, pause_s=0.9)
    kept, closed = [silences_s(await interpreted(spoken, PaceOptions(max_pause_s=most), 0.08)) for most in (0.5, 0.0)]
    longer = [(one, other) for one, other in zip(kept, closed, strict=True) if one > other + 0.1]
    assert len(longer) > len(kept) / 2
    assert max(kept) <= max(0.5, *closed) + 1e-6


@pytest.mark.looptime(noop_cycles=2)
async def test_speech_that_is_behind_keeps_no_pause() -> None:
    lags = [lags_s(await interpreted(script(1.0), PaceOptions(max_pause_s=most), 0.14)) for most in (0.0, 1.5)]
    late = [index for index, lag_s in enumerate(lags[0]) if lag_s > 5]
    assert late
    assert max(lags[1]) <= max(lags[0]) + 0.5


@pytest.mark.looptime(noop_cycles=2)
async def test_a_fast_run_keeps_pauses_and_rates_as_a_live_one() -> None:
    plans = [
        [(lag.unit, round(lag.start, 2), round(lag.rate, 3)) for lag in keep.of(Lag)]
        for keep in [await interpreted(script(1.5, pause_s=0.8), OPTIONS, 0.075, live) for live in (True, False)]
    ]
    assert plans[0] == plans[1]


@pytest.mark.looptime(noop_cycles=2)
async def test_pauses_do_not_slow_the_way_out_of_a_backlog() -> None:
    """One word takes long to say; what follows is hurried, and nothing of that becomes the usual lag."""
    spoken = script(slow=1.0, sentence=5, pause_s=0.7)
    spoken[100] = replace(spoken[100], text=" " + "w" * 120)
    kept, closed = [
        lags_s(await interpreted(spoken, PaceOptions(follow_speaker=False, max_pause_s=most), 0.065)) for most in (0.5, 0.0)
    ]
    stall = max(range(len(closed)), key=closed.__getitem__)
    after = [one - other for one, other in zip(kept[stall:], closed[stall:], strict=True)]
    assert closed[stall] > 4
    assert sum(after) < 0.2
