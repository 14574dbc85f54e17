"""From a recording to a reference clip: what is taken, what is refused, and what is said about it."""

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from models.asr.vad import SileroSpeech
from pipeline.audio.resampling import resampled
from pipeline.errors import BadInput
from pipeline.voices import quality
from pipeline.voices.quality import WINDOW_S
from pipeline.voices.reference_clip import (
    LONGEST_S,
    VOICE_HZ,
    Recording,
    analyse,
    faded,
    read_recording,
    reference_clip,
)

SPEECH = Path(__file__).parents[2] / "benchmarks" / "data" / "speech"
HZ = 16_000
SENTENCES = sorted(SPEECH.glob("*.flac"))


class Loud:
    """Takes what is louder than -40 dB for speech, window by window: exact, where a test needs it."""

    def probabilities(self, samples):
        count = len(samples) // 512
        return (quality.powers(samples, count, HZ) > 1e-4).astype(np.float32)


@pytest.fixture(scope="module")
def speech():
    """24 s of speech with short pauses."""
    pieces = [soundfile.read(path, dtype="float32")[0] for path in SENTENCES]
    return np.concatenate(pieces)


def recording(samples, sample_rate=HZ):
    return Recording(Path("clip.wav"), np.asarray(samples, np.float32), sample_rate, ())


def clip_of(samples, sample_rate=HZ, finder=None):
    return reference_clip(analyse(recording(samples, sample_rate), finder or SileroSpeech()))


def noise(count, level, seed=0):
    return np.random.default_rng(seed).normal(0, level, count).astype(np.float32)


def test_a_good_clip_is_taken_whole_and_without_advice(speech):
    clip = clip_of(speech[: 10 * HZ])
    assert clip.audio.sample_rate == VOICE_HZ
    assert 8 < clip.speech_s < clip.audio.duration < 10.2
    assert clip.snr_db > 20
    assert clip.advice == ()


def test_the_same_speech_is_taken_whatever_silence_lies_around_it(speech):
    part = resampled(speech[: 6 * HZ], HZ, VOICE_HZ)
    around = np.zeros(3 * 768 * 25, np.float32)  # whole windows at 24 kHz
    alone = clip_of(part, VOICE_HZ, Loud()).audio.samples
    padded = clip_of(np.concatenate([around, part, around]), VOICE_HZ, Loud()).audio.samples
    edge = 5 * 768  # padding before and behind speech exists only where there is something
    assert 0 <= len(padded) - len(alone) <= 2 * edge
    middle = alone[edge : edge + VOICE_HZ]
    fits = np.correlate(padded[: edge * 3 + VOICE_HZ], middle, "valid") / np.dot(middle, middle)
    assert fits.max() == pytest.approx(1, abs=0.01)


def test_pauses_are_left_out_and_joints_are_silent(speech):
    pause = np.zeros(2 * HZ, np.float32)
    sentence, _ = soundfile.read(SENTENCES[0], dtype="float32")
    clip = clip_of(np.concatenate([sentence, pause, sentence]))
    assert clip.audio.duration < 2 * len(sentence) / HZ + 1.2
    assert clip.audio.samples[0] == clip.audio.samples[-1] == 0


def test_more_speech_than_needed_is_cut_and_said(speech):
    clip = clip_of(speech)
    assert clip.audio.duration == pytest.approx(LONGEST_S)
    assert "the first 15 s are used" in " ".join(clip.advice)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda speech: speech[:0], "silent"),
        (lambda speech: np.zeros(5 * HZ), "silent"),
        (lambda speech: speech[: 8 * HZ] * 0.001, "silent"),
        (lambda speech: noise(8 * HZ, 0.1), "no speech"),
        (lambda speech: 0.3 * np.sin(np.arange(8 * HZ) * 0.17), "no speech"),
        (lambda speech: speech[: 2 * HZ], "s of speech; 3 to 15 s are needed"),
        (lambda speech: np.clip(speech[: 8 * HZ] * 10, -1, 1), "clipped"),
        (lambda speech: np.clip(speech[: 8 * HZ] * 10, -1, 1) * 0.3, "clipped"),
        (lambda speech: speech[: 8 * HZ] + noise(8 * HZ, 0.04), "noisy"),
    ],
)
def test_what_no_voice_can_be_learned_from_is_refused_with_advice(speech, make, said):
    with pytest.raises(BadInput, match=said) as refused:
        clip_of(make(speech))
    assert any(step in str(refused.value) for step in ("record", "speak nearer", "turn the microphone"))


def test_what_could_be_better_is_said(speech):
    part = speech[: 8 * HZ]
    assert "noisy" in " ".join(clip_of(part + noise(len(part), 0.01)).advice)
    assert "slightly clipped" in " ".join(clip_of(np.clip(part, -0.68 * part.max(), 0.68 * part.max())).advice)
    quiet = clip_of(part * 0.05)
    assert "quiet" in " ".join(quiet.advice)
    level = np.sqrt(np.mean(np.square(quiet.audio.samples)))
    assert 20 * np.log10(level) == pytest.approx(-27, abs=2)


def test_the_signal_to_noise_ratio_is_measured(speech):
    part = speech[: 10 * HZ]
    windows = quality.speech_windows(SileroSpeech().probabilities(part))
    clean = quality.powers(part, len(windows), HZ)
    for level in (0.01, 0.02, 0.04):  # its own noise is 6 dB below the first
        power = quality.powers(part + noise(len(part), level), len(windows), HZ)
        true_db = 10 * np.log10(clean[windows].mean() / level**2)
        assert quality.signal_to_noise_db(power, windows) == pytest.approx(true_db, abs=1.5)


@pytest.mark.parametrize("path", SENTENCES, ids=lambda path: path.stem)
def test_the_measured_bounds_of_clipping(path):
    samples, _ = soundfile.read(path, dtype="float32")
    peak = np.abs(samples).max()
    assert quality.clipped_share(samples) < 0.0001
    assert quality.clipped_share(samples * 0.25) < 0.0001
    assert 0.0005 < quality.clipped_share(np.clip(samples, -peak / 1.5, peak / 1.5)) < 0.01
    assert quality.clipped_share(np.clip(samples, -peak / 2, peak / 2)) > 0.005


def test_the_gate_turns_pauses_down_and_leaves_speech_alone():
    samples = noise(40 * 512, 0.05)
    windows = np.zeros(40, np.bool_)
    windows[15:25] = True
    gated = quality.gated(samples, HZ, windows)
    speech = slice(15 * 512, 25 * 512)
    np.testing.assert_array_equal(gated[speech], samples[speech])
    np.testing.assert_allclose(gated[: 10 * 512], samples[: 10 * 512] * quality.GATE_GAIN, rtol=1e-4)
    steps = np.abs(np.diff(quality.gated(np.ones(40 * 512, np.float32), HZ, windows)))
    assert steps.max() < 0.01


WINDOWS = st.lists(st.booleans(), max_size=60).map(lambda flags: np.array(flags, np.bool_))


@settings(max_examples=50)
@given(WINDOWS, st.integers(0, 6))
def test_widening_and_spans(windows, by):
    wide = quality.widened(windows, by)
    expected = [any(windows[max(0, place - by) : place + by + 1]) for place in range(len(windows))]
    assert wide.tolist() == expected
    again = np.zeros(len(wide), np.bool_)
    for first, end in quality.spans(wide):
        assert first < end
        again[first:end] = True
    np.testing.assert_array_equal(again, wide)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1, width=32), max_size=60))
def test_speech_begins_above_one_threshold_and_ends_below_another(probabilities):
    probabilities = np.array(probabilities, np.float32)
    windows = quality.speech_windows(probabilities)
    for first, end in quality.spans(windows):
        assert probabilities[first] >= quality.SPEECH
        assert (probabilities[first:end] >= quality.SILENCE).all()
        assert end == len(windows) or probabilities[end] < quality.SILENCE


@settings(max_examples=50)
@given(st.integers(0, 2000))
def test_a_fade_begins_and_ends_in_silence_and_changes_no_length(count):
    shaped = faded(np.ones(count, np.float32))
    assert len(shaped) == count
    assert count < 2 or shaped[0] == shaped[-1] == 0
    assert (shaped <= 1).all()


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 8_000, 1), ("a.flac", 44_100, 1), ("a.ogg", 44_100, 2), ("a.mp3", 44_100, 2), ("a.m4a", 48_000, 1)],
)
async def test_any_format_is_read(tmp_path, speech, name, rate, channels):
    part = resampled(speech[: 6 * HZ], HZ, rate)
    write(tmp_path / name, np.stack([part] * channels, 1), rate)
    read = await read_recording(tmp_path / name)
    assert read.sample_rate == rate
    assert len(read.samples) / rate == pytest.approx(6, abs=0.15)
    assert 4.5 < reference_clip(analyse(read, SileroSpeech())).speech_s < 6


def write(path, samples, rate):
    if path.suffix != ".m4a":
        soundfile.write(path, samples, rate)
        return
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono" if samples.shape[1] == 1 else "stereo")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), "fltp", stream.layout.name)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


async def test_two_minutes_are_refused_without_reading_them(tmp_path, monkeypatch):
    path = tmp_path / "talk.wav"
    soundfile.write(path, np.zeros(120 * 8_000, np.float32), 8_000)
    monkeypatch.setattr("pipeline.sources.files.AudioFile._chunks", lambda self: pytest.fail("it was read"))
    with pytest.raises(BadInput, match=r"longer than 60 s.*only that part of it"):
        await read_recording(path)


async def test_a_file_that_does_not_state_its_length_is_read_up_to_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "talk.wav"
    soundfile.write(path, np.zeros(120 * 8_000, np.float32), 8_000)
    read = []
    monkeypatch.setattr("pipeline.sources.files._stated_length_s", lambda *_: None)
    monkeypatch.setattr("pipeline.voices.reference_clip._refuse_long", spy(read))
    with pytest.raises(BadInput, match="longer than"):
        await read_recording(path)
    assert 60 < read[-1] < 62


def spy(read):
    from pipeline.voices.reference_clip import _refuse_long as real

    def refuse(path, seconds):
        read.append(seconds)
        real(path, seconds)

    return refuse


async def test_the_offset_of_a_cheap_sound_card_is_no_noise(tmp_path, speech):
    path = tmp_path / "clip.wav"
    soundfile.write(path, 0.8 * speech[: 10 * HZ] + 0.05, HZ)
    assert analyse(await read_recording(path), SileroSpeech()).snr_db > 20


@pytest.mark.parametrize("content", [b"", b"no audio at all, but a text that someone gave by mistake\n" * 50])
async def test_what_is_no_audio_is_refused(tmp_path, content):
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="clip.wav"):
        await read_recording(path)
    with pytest.raises(BadInput, match="no such file"):
        await read_recording(tmp_path / "nothing.wav")


def test_a_window_is_a_whole_number_of_samples_where_it_is_used():
    assert (WINDOW_S * quality.FINDER_HZ, WINDOW_S * VOICE_HZ) == (512, 768)


def test_analysis_imports_no_model(tmp_path):
    code = "import sys, pipeline.voices.reference_clip; print(*(name for name in sys.modules))"
    python = Path(__import__("sys").executable)
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "onnxruntime", "models", "safetensors", "soxr", "av"}.isdisjoint(said)
