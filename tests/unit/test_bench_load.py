"""Many sessions on one machine: playback by the clock, the search for how many, and scripted machines in virtual time."""

import asyncio
import json
import math
from dataclasses import replace

import pytest

from benchmarks import load_sessions
from benchmarks.__main__ import main
from benchmarks.clocks.virtual import run_on
from benchmarks.load import figures_of, name_of, trials
from benchmarks.load_sessions import EVERY_S, Loudspeaker, Piece, Trial, Unit, arrivals, run_trial
from pipeline.errors import BadInput, ModelError

FRAME_S = 0.08
FRAMES = 30


class Machine:
    """Makes a frame of every session that speaks in ``frame_s`` for each of them, after ``begin_s``."""

    def __init__(self, frame_s, begin_s=0.01, broken_after=math.inf):
        self.frame_s, self.begin_s, self.broken_after = frame_s, begin_s, broken_after
        self.speaking = self.units = self.playing = 0

    async def say(self):
        self.speaking, self.units = self.speaking + 1, self.units + 1
        if self.units > self.broken_after:
            raise ModelError("out of memory")
        try:
            await asyncio.sleep(self.begin_s)
            for frame in range(FRAMES):
                await asyncio.sleep(self.frame_s * self.speaking)
                yield Piece(FRAME_S, frame == FRAMES - 1, self.play)
        finally:
            self.speaking -= 1

    def play(self):
        self.playing += 1


def trial(machine, count, seconds=9.0, translation_s=0.0):
    async def translate():
        await asyncio.sleep(translation_s)

    return run_on("exact", run_trial([machine] * count, translate, seconds))


def largest(limit, least, most):
    asked, asking = [], trials(least, most)
    try:
        count = next(asking)
        while True:
            asked.append(count)
            count = asking.send(count <= limit)
    except StopIteration as found:
        return found.value, asked


def test_sessions_get_units_at_speaking_pace_with_phases_spread_and_each_has_one_that_fills_the_machine():
    times = [arrivals(session, 4, 6.0) for session in range(4)]
    assert [of_one[0] for of_one in times] == [0, EVERY_S / 4, EVERY_S / 2, 3 * EVERY_S / 4]
    for of_one in times:
        assert [b - a for a, b in zip(of_one, of_one[1:], strict=False)] == [EVERY_S] * (len(of_one) - 1)
        assert len(of_one) == 3
        assert of_one[-1] < EVERY_S + 6.0
    assert not Unit(0, 0.0).counts
    assert Unit(1, 3.0).counts


def test_speech_that_comes_before_the_last_piece_is_played_leaves_no_gap():
    speaker, unit = Loudspeaker(), Unit(1, 0.0, 0.0)
    begins = [speaker.hear(unit, at_s, 1.0, last) for at_s, last in ((10.0, False), (10.1, False), (12.0, True))]
    assert begins == [10.0, 11.0, 12.0]
    assert (unit.first_s, unit.last_s, unit.underruns) == (10.0, 12.0, 0)


def test_a_piece_that_comes_late_is_an_underrun_and_silence_between_units_is_none():
    speaker, first, second = Loudspeaker(), Unit(1, 0.0, 0.0), Unit(2, 0.0, 0.0)
    speaker.hear(first, 10.0, 1.0, last=False)
    assert speaker.hear(first, 11.5, 1.0, last=True) == 11.5
    speaker.hear(second, 20.0, 1.0, last=False)
    speaker.hear(second, 21.5, 0.0, last=True)  # the end alone is nothing to wait for
    assert (first.underruns, second.underruns) == (1, 0)


def test_a_unit_waits_for_the_one_that_still_plays():
    speaker, first, second = Loudspeaker(), Unit(1, 0.0, 0.0), Unit(2, 0.0, 0.0)
    speaker.hear(first, 10.0, 3.0, last=True)
    assert speaker.hear(second, 10.5, 1.0, last=False) == 13.0
    assert speaker.hear(second, 13.9, 1.0, last=True) == 14.0
    assert second.underruns == 0
    assert second.first_s == 10.5


GOOD = Unit(1, 0.0, 0.2, 0.25, 2.0)


@pytest.mark.parametrize(
    ("units", "good"),
    [
        ([GOOD], True),
        ([GOOD, replace(GOOD, underruns=1)], False),
        ([GOOD, replace(GOOD, last_s=math.nan)], False),
        ([GOOD, replace(GOOD, first_s=0.31)], False),
        ([GOOD, *[replace(GOOD, first_s=0.29)] * 20], True),
        ([], False),
        ([replace(GOOD, first_s=math.nan, last_s=math.nan)], False),
    ],
)
def test_a_trial_is_good_without_gaps_and_when_speech_begins_within_100_ms(units, good):
    fills = Unit(0, 0.0, 0.0, 5.0, math.nan, underruns=7)
    assert Trial(1, [fills, *units]).good is good


@pytest.mark.parametrize(("least", "most"), [(1, 16), (3, 31), (1, 31), (16, 31), (5, 5), (1, 1)])
def test_the_search_finds_the_largest_number_that_goes_well(least, most):
    for limit in range(most + 5):
        found, asked = largest(limit, least, most)
        assert found == min(limit, most)
        assert len(asked) == len(set(asked)) <= 10
        assert all(1 <= count <= most for count in asked)


@pytest.mark.parametrize("limit", [0, 40, 67, 100, 192, 255, 256])
def test_of_many_the_search_finds_the_number_within_a_sixteenth(limit):
    found, asked = largest(limit, 16, 256)
    assert found <= limit < max(found * 17 / 16 + 1, 1)
    assert len(asked) <= 9


def test_every_unit_is_translated_spoken_and_played_in_order_and_only_later_ones_count():
    machine = Machine(frame_s=0.01)
    found = trial(machine, 3, translation_s=0.2)
    assert machine.units == len(found.units) == 12
    assert 9 * FRAMES < machine.playing <= 12 * FRAMES  # the end of the last units is made, and not waited for
    assert found.good
    assert found.translation_s(50) == pytest.approx(0.2)
    assert found.first_audio_s(50) == pytest.approx(0.01 + 0.01, abs=0.02)
    assert found.units[0].committed_s < found.units[1].arrived_s


def test_a_machine_that_is_too_slow_for_so_many_is_found_out():
    alone, most = trial(Machine(frame_s=0.03), 1), trial(Machine(frame_s=0.03), 4)
    assert alone.good
    assert not most.good
    assert most.underruns > 0


def test_speech_that_begins_late_is_too_many_even_without_gaps():
    late = trial(Machine(frame_s=0.01, begin_s=0.2), 1)
    assert (late.underruns, late.unfinished, late.good) == (0, 0, False)


def test_what_does_not_come_in_time_is_counted_and_stopped():
    machine = Machine(frame_s=2.0)
    found = trial(machine, 2)
    assert found.unfinished == sum(unit.counts for unit in found.units)
    assert machine.speaking == 0


def test_a_voice_that_fails_ends_the_trial():
    with pytest.raises(ExceptionGroup) as caught:
        trial(Machine(frame_s=0.01, broken_after=3), 2)
    assert caught.group_contains(ModelError, match="out of memory")


def test_figures_have_the_number_of_sessions_in_their_names():
    figures = figures_of(Trial(8, [GOOD]))
    assert figures["ttfa_p95_ms_at_8"] == pytest.approx(50)
    assert figures["translation_p95_ms_at_8"] == pytest.approx(200)
    assert (figures["underruns_at_8"], figures["unfinished_at_8"]) == (0, 0)
    assert (name_of("1.7b", "none"), name_of("1.7b", "1.8b")) == ("streams_1.7b", "sessions_1.7b_1.8b")


@pytest.mark.parametrize("wrong", [["--most", "0"], ["--least", "3", "--most", "2"], ["--seconds", "0"]])
def test_numbers_that_mean_nothing_are_refused(wrong):
    assert main(["load", *wrong]) == BadInput.exit_code


@pytest.mark.slow
def test_the_real_engine_and_search_share_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(load_sessions, "EVERY_S", 0.1)
    monkeypatch.setattr(load_sessions, "_GRACE_S", 100.0)  # however busy the machine is
    result = tmp_path / "load.json"
    command = ["load", "--device", "cpu", "--tts-geometry", "tiny", "--mt-geometry", "tiny", "--most", "1"]
    assert main([*command, "--seconds", "0.1", "--json", str(result)]) == 0
    figures = json.loads(result.read_text())["figures"]
    assert figures["unfinished_at_1"] == 0
    assert figures["ttfa_p95_ms_at_1"] > 0
    assert figures["translation_p95_ms_at_1"] > 0
    assert figures["sessions_tiny_tiny"] in (0, 1)  # whether this machine is fast enough is not what is tested
