"""Text latencies against the golden cases of the field's tools, and what must hold for any emission."""

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.clocks.virtual import run_on
from benchmarks.metrics.emission import Emission, Segment, check_physics, split_units, spread
from benchmarks.metrics.text_latency import long_form, resegment, short_form
from pipeline.clock import LoopClock
from pipeline.errors import BadInput

WORDS = [f"w{index}" for index in range(40)]


def emission(delays, source_ms, reference_words, elapsed=None):
    units = tuple(WORDS[: len(delays)])
    stamps = tuple(map(float, delays))
    aware = tuple(map(float, elapsed)) if elapsed else stamps
    reference = " ".join(WORDS[:reference_words])
    return Emission("x", units, stamps, aware, aware, source_ms, (Segment(0.0, source_ms, reference),))


GOLDEN = {
    "wait-k": (
        [2000, 2500, 3000, 3500, 4000, 4500, 5000, 5000, 5000, 5000],
        10,
        {"al": 2.0, "laal": 2.0, "dal": 2.0, "ap": 0.79, "yaal": 2.0, "longyaal": 1.7},
    ),
    "offline": ([5000] * 6, 6, {"al": 5.0, "yaal": math.nan, "longyaal": 2.9166666667}),
    "late": ([5200] * 2, 2, {"al": 5.2, "ap": 1.04, "yaal": math.nan, "longyaal": 3.95}),
    "over": (
        [1000] * 5 + [2000] * 5 + [5000],
        3,
        {"al": -6.5151515152, "laal": -0.4545454545, "ap": 1.3333333333, "dal": 1.0, "yaal": -0.5454545455},
    ),
    "short": ([1000, 3000], 6, {"al": 1.5833333333, "laal": 1.5833333333, "yaal": 1.5833333333, "ap": 0.1333333333}),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_cases(case):
    delays, reference_words, expected = GOLDEN[case]
    made = emission(delays, 5000.0, reference_words)
    # The golden LongYAAL knows no end of the recording: give it one far behind the last stamp.
    later = Segment(20_000.0, 1.0, "")
    longer = Emission("x", made.units, made.delays_ms, made.elapsed_ms, made.spoken_ms, 20_001.0, (*made.segments, later))
    got = short_form([made]) | {"longyaal": long_form([longer])["longyaal"]}
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name


def waiting_words(source_ms, elapsed):
    """The policy of the cross-tool check: from 2 s on two words a second, per 500 ms chunk, the rest at the end."""
    marks = [min(500.0 * k, source_ms) for k in range(1, math.ceil(source_ms / 500) + 1)]
    delays, aware, said = [], [], 0
    for step, mark in enumerate([*marks, source_ms]):
        final = step == len(marks)
        target = int(mark / 500) if final else max(0, int((mark - 2000) / 500 + 1e-6) + 1) if mark >= 2000 else 0
        target = max(target, said)
        delays += [mark] * (target - said)
        aware += [elapsed(step, mark)] * (target - said)
        said = target
    return emission(delays, source_ms, said, aware)


def test_three_tools_agree_on_the_computation_unaware_latency():
    made = [waiting_words(7300.0, lambda step, mark: mark), waiting_words(5000.0, lambda step, mark: mark)]
    got = short_form(made)
    assert got["laal"] == pytest.approx(1.9327381, abs=1e-6)
    assert got["al"] == pytest.approx(got["laal"], abs=1e-9)


def worked_off_ms(source_ms, cost_s):
    """List when a worker that needs ``cost_s`` a chunk is done with each, on the virtual clock: chunks wait in a queue."""
    marks_s = [min(0.5 * k, source_ms / 1000) for k in range(1, math.ceil(source_ms / 500) + 1)]

    async def work():
        clock, queue, done = LoopClock(), asyncio.Queue(100), []

        async def feed():
            for mark_s in [*marks_s, marks_s[-1]]:  # the end of the stream is a step of its own
                await clock.sleep_until(mark_s)
                await queue.put(mark_s)

        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            for _ in range(len(marks_s) + 1):
                await queue.get()
                await asyncio.sleep(cost_s)
                done.append(1000 * clock.now())
        return done

    return run_on("exact", work())


def test_overload_is_told_where_a_blind_tool_hides_it():
    def blind(step, mark):
        return mark + 800.0

    ends = {source_ms: worked_off_ms(source_ms, 0.8) for source_ms in (7300.0, 5000.0)}

    def queued(source_ms):
        return lambda step, mark: ends[source_ms][step]

    honest = short_form([waiting_words(source_ms, queued(source_ms)) for source_ms in ends], "ca")
    hidden = short_form([waiting_words(7300.0, blind), waiting_words(5000.0, blind)], "ca")
    assert honest["laal"] == pytest.approx(4.198, abs=1e-3)
    assert hidden["laal"] == pytest.approx(2.752, abs=1e-3)
    assert waiting_words(7300.0, queued(7300.0)).elapsed_ms[-1] / 1000 - 7.3 == pytest.approx(6.0, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=2, max_size=20), st.integers(0, 500))
def test_later_stamps_never_lower_latency(steps, shift):
    delays = sorted(10.0 * step for step in steps)
    before = emission(delays, 5000.0, len(delays))
    after = emission(delays, 5000.0, len(delays), [delay + shift for delay in delays])
    unshifted = all(delay + shift < 5000 for delay in delays)
    if unshifted:
        assert short_form([after], "ca")["al"] == pytest.approx(short_form([before])["al"] + shift / 1000)
    assert check_physics(after) == []


def test_soft_segmentation_gives_each_sentence_its_words():
    segments = (
        Segment(0.0, 2000.0, "uno dos tres"),
        Segment(2000.0, 2000.0, "cuatro cinco"),
        Segment(4000.0, 500.0, "seis"),
    )
    units = ("uno", "dos", "tres", "cuatro", "cinco")
    stamps = (1000.0, 1500.0, 2500.0, 3500.0, 4000.0)
    made = Emission("x", units, stamps, stamps, stamps, 4500.0, segments)
    cut = resegment(made, "cu")
    assert [instance.prediction for instance in cut] == ["uno dos tres", "cuatro cinco", ""]
    assert cut[1].emission_cu == [1500.0, 2000.0]
    assert long_form([made])["segments_empty"] == 1


def test_nothing_said_is_no_latency():
    figures = short_form([emission([], 5000.0, 4)]) | long_form([emission([], 5000.0, 4)])
    assert math.isnan(figures["laal"])
    assert math.isnan(figures["longyaal"])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"elapsed_ms": (900.0, 2000.0)}, "CA < CU"),
        (
            {"delays_ms": (1000.0, 6000.0), "elapsed_ms": (1000.0, 6000.0), "spoken_ms": (1000.0, 6000.0)},
            "outside the source",
        ),
        ({"delays_ms": (1000.0, 500.0)}, "runs backwards"),
        ({"spoken_ms": (500.0, 2000.0)}, "before its text"),
    ],
)
def test_impossible_stamps_are_named(change, fault):
    stamps = {"delays_ms": (1000.0, 2000.0), "elapsed_ms": (1000.0, 2000.0), "spoken_ms": (1000.0, 2000.0)} | change
    made = Emission("x", ("a", "b"), source_ms=5000.0, segments=(Segment(0, 5000, "a b"),), **stamps)
    assert any(fault in message for message in check_physics(made))


def test_units_and_stamps_must_match():
    with pytest.raises(BadInput, match="one stamp per unit"):
        Emission("x", ("a",), (1.0, 2.0), (1.0,), (1.0,), 5.0, ())
    assert split_units("你 好", "zh") == ("你", "好")
    assert split_units("a  b\u00a0c", "es") == ("a", "b", "c")
    assert spread(2, 100.0, 200.0) == (100.0, 150.0)
