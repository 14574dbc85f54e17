"""Speech is found in the same place however the stream is cut, and the caller's audio is left alone."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.asr_material import joined, read, telephone
from models.asr import vad
from models.asr.vad import (
    SAMPLE_RATE,
    WINDOW_S,
    WINDOW_SAMPLES,
    Endpointer,
    EndpointOptions,
    NoiseFloor,
    StreamingVad,
    level_of,
)

SPEECH = Path(__file__).parents[2] / "benchmarks" / "data" / "speech"
PROBABILITIES = st.lists(st.floats(0, 1), max_size=200)


@pytest.fixture(scope="module")
def speech():
    """Two sentences with 1.5 s of silence around them."""
    pause = np.zeros(int(1.5 * SAMPLE_RATE), np.float32)
    first, _ = soundfile.read(SPEECH / "austen-0880.flac", dtype="float32")
    second, _ = soundfile.read(SPEECH / "austen-0930.flac", dtype="float32")
    return np.concatenate([pause, first, pause, second, pause])


@pytest.fixture(scope="module")
def whole(speech):
    return StreamingVad().probabilities(speech)


def pieces(samples, sizes):
    start = 0
    while start < len(samples):
        size = next(sizes)
        yield samples[start : start + size]
        start += size


@pytest.mark.parametrize("size", [1_600, 333, 16_001])
def test_the_cut_changes_no_probability(speech, whole, size):
    stream = StreamingVad()
    cut = [stream.probabilities(speech[start : start + size]) for start in range(0, len(speech), size)]
    np.testing.assert_array_equal(np.concatenate(cut), whole)


def test_single_samples_are_enough(speech, whole):
    stream = StreamingVad()
    cut = [stream.probabilities(speech[i : i + 1]) for i in range(3 * WINDOW_SAMPLES)]
    np.testing.assert_array_equal(np.concatenate(cut), whole[:3])


def test_streams_share_the_network_but_no_state(speech, whole):
    first, second = StreamingVad(), StreamingVad()
    noise = np.random.default_rng(0).uniform(-1, 1, WINDOW_SAMPLES).astype(np.float32)
    mixed = []
    for start in range(0, 40 * WINDOW_SAMPLES, WINDOW_SAMPLES):
        mixed.append(first.probabilities(speech[start : start + WINDOW_SAMPLES]))
        second.probabilities(noise)
    np.testing.assert_array_equal(np.concatenate(mixed), whole[:40])


def test_agrees_with_the_batched_network_of_faster_whisper(speech):
    from faster_whisper.vad import get_vad_model

    whole = StreamingVad(most_gain_db=0.0).probabilities(speech)
    usable = speech[: len(whole) * WINDOW_SAMPLES]
    reference = np.ravel(get_vad_model()(usable.copy()))
    levels = np.sqrt(np.mean(usable.reshape(-1, WINDOW_SAMPLES) ** 2, axis=1))
    loud, silent = levels > 1e-3, levels < 10 ** (-90 / 20)
    # faster-whisper gives every window the context of the one before, too, and starts from silence.
    np.testing.assert_allclose(whole[loud], reference[loud], atol=1e-3)
    assert not whole[silent].any()
    assert reference[silent].all(), "on near-silence the network is never sure"


def test_bad_samples_are_silence_and_the_array_is_left_alone():
    audio = np.zeros(10 * WINDOW_SAMPLES, np.float32)
    audio[::3], audio[1::3], audio[2::3] = np.nan, np.inf, -np.inf
    before = audio.copy()
    audio.flags.writeable = False
    np.testing.assert_array_equal(StreamingVad().probabilities(audio), np.zeros(10))
    np.testing.assert_array_equal(audio, before)


def test_a_burst_of_bad_samples_does_not_poison_the_stream(speech, whole):
    stream = StreamingVad()
    stream.probabilities(np.full(10 * WINDOW_SAMPLES, np.nan, np.float32))
    assert np.max(stream.probabilities(speech)) == pytest.approx(np.max(whole), abs=0.05)


def test_speech_is_found_where_it_is(whole):
    ends = Endpointer().hear(whole)
    assert [end.kind for end in ends if end.kind != "soft_end"] == ["start", "end", "start", "end"]
    starts = [end.at_s for end in ends if end.kind == "start"]
    assert starts == pytest.approx([1.5, 1.5 + 2.99 + 1.5], abs=0.4)
    assert [end.at_s for end in ends if end.kind == "end"] == pytest.approx([1.5 + 2.99, 1.5 + 2.99 + 1.5 + 3.29], abs=0.6)


def test_a_missing_model_file_says_what_to_install(monkeypatch):
    monkeypatch.setattr(vad, "find_spec", lambda name: None)
    with pytest.raises(vad.ModelError, match="pip install faster-whisper"):
        vad.model_file()


@given(PROBABILITIES, st.integers(0, 200))
def test_endpoints_do_not_depend_on_the_cut(probabilities, cut):
    once, twice = Endpointer(), Endpointer()
    assert once.hear(probabilities) == twice.hear(probabilities[:cut]) + twice.hear(probabilities[cut:])
    assert (once.speaking, once.silence_s) == (twice.speaking, twice.silence_s)


@given(PROBABILITIES, st.floats(0, 1e5))
def test_starts_and_ends_alternate_and_lie_in_the_audio(probabilities, origin_s):
    endpointer = Endpointer(origin_s=origin_s)
    points = endpointer.hear(probabilities)
    kinds = [point.kind for point in points if point.kind != "soft_end"]
    assert kinds == (["start", "end"] * len(kinds))[: len(kinds)]
    assert endpointer.speaking == (len(kinds) % 2 == 1)
    assert all(origin_s <= point.at_s < point.known_s <= endpointer.heard_s for point in points)
    borders = [point.at_s for point in points if point.kind != "soft_end"]
    assert borders == sorted(borders)


@settings(max_examples=50)
@given(st.integers(3, 60), st.integers(0, 9), st.integers(3, 60))
def test_a_short_pause_ends_nothing(before, pause, after):
    points = Endpointer().hear([0.9] * before + [0.1] * pause + [0.9] * after)
    assert [point.kind for point in points] == ["start"]


def test_a_pause_ends_speech_softly_then_for_good():
    endpointer = Endpointer()
    points = endpointer.hear([0.0] * 10 + [0.9] * 20 + [0.1] * 40)
    assert [point.kind for point in points] == ["start", "soft_end", "end"]
    assert [point.at_s for point in points] == pytest.approx([10 * WINDOW_S, 30 * WINDOW_S, 30 * WINDOW_S])
    assert points[1].known_s - points[1].at_s == pytest.approx(0.3, abs=WINDOW_S)
    assert points[2].known_s - points[2].at_s == pytest.approx(0.8, abs=WINDOW_S)
    assert endpointer.silence_s == pytest.approx(40 * WINDOW_S)


def test_hesitant_probabilities_neither_start_nor_break_silence():
    assert Endpointer().hear([0.45] * 100) == []
    assert Endpointer().hear([0.9, 0.1] * 50) == [], "clicks"
    assert [p.kind for p in Endpointer().hear([0.9] * 5 + [0.2] + [0.45] * 40)] == ["start", "soft_end", "end"]
    assert [p.kind for p in Endpointer(EndpointOptions(start_s=0.2)).hear([0.9] * 5 + [0.1] * 40)] == []


@pytest.mark.parametrize("gain_db", [-20, -35, -45])
def test_quiet_speech_is_found_where_loud_speech_is(speech, gain_db):
    noise = 10 ** (-60 / 20) * np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    loud, quiet = (StreamingVad().probabilities((speech + noise) * 10 ** (gain / 20)) for gain in (0.0, gain_db))
    assert np.mean(quiet >= 0.5) == pytest.approx(np.mean(loud >= 0.5), abs=0.08)


@pytest.mark.parametrize("level_db", [-95, -75, -62, -40])
def test_noise_is_no_speech_at_any_level_also_after_digital_silence(level_db):
    noise = 10 ** (level_db / 20) * np.random.default_rng(0).standard_normal(10 * SAMPLE_RATE)
    audio = np.concatenate([np.zeros(SAMPLE_RATE), noise]).astype(np.float32)
    assert not np.any(StreamingVad().probabilities(audio) >= 0.35)


def test_the_noise_floor_falls_at_once_and_rises_slowly():
    floor = NoiseFloor()
    assert [floor.hear(-50.0), floor.hear(-70.0)] == [-50.0, -70.0]
    levels = [floor.hear(-30.0) for _ in range(round(10 / WINDOW_S))]
    assert levels[-1] == pytest.approx(-40.0, abs=0.2)
    assert level_of(np.zeros(512, np.float32)) == pytest.approx(-120.0)


def test_speech_from_a_telephone_is_found_to_its_end():
    """8 kHz, 300 to 3400 Hz, mu-law: Silero alone misses two of three sentences."""
    recordings = [read(SPEECH / f"austen-{number}.flac") for number in ("0870", "0880", "0890")]
    talk = joined(recordings, (0.4, 1.0, 0.6, 1.6))
    heard = StreamingVad().probabilities(telephone(talk.samples))
    begins = [0.4, 0.4 + 7.1 + 1.0, len(talk.samples) / SAMPLE_RATE - 1.6 - 5.3]
    starts = [point.at_s for point in Endpointer().hear(heard) if point.kind == "start"]
    assert all(any(abs(start - begin) < 1.0 for start in starts) for begin in begins)


def test_a_telephone_hides_little_of_what_is_speech():
    """Without the pitch that its envelope tells, Silero takes a quarter of the speech for silence."""
    found = clear = 0
    for number in ("0870", "0880", "0890", "0920", "0930"):
        talk = joined([read(SPEECH / f"austen-{number}.flac")], (0.4, 1.0)).samples
        speech = StreamingVad().probabilities(talk) >= 0.5
        found += np.count_nonzero(StreamingVad().probabilities(telephone(talk))[speech] >= 0.5)
        clear += np.count_nonzero(speech)
    assert found > 0.85 * clear
