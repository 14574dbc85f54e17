import asyncio
import threading
import tracemalloc

import av
import numpy as np
import pytest
import soundfile

from pipeline.clock import LoopClock
from pipeline.errors import BadInput
from pipeline.events import Fault
from pipeline.sources.files import AudioFile


class NoClock:
    """A clock that nobody may ask to wait."""

    def now(self):
        return 0.0


def tone(seconds, rate_hz, level=0.5):
    return (level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write(path, samples, rate_hz=16000, **how):
    soundfile.write(path, samples, rate_hz, **how)
    return path


def silences(samples):
    """List runs of digital silence as (first sample, length)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], samples == 0, [False]])))
    return [(begin, end - begin) for begin, end in edges.reshape(-1, 2)]


async def heard(path, chunk_s=0.1):
    file = AudioFile(path, realtime=False, clock=NoClock(), chunk_s=chunk_s)
    chunks = [chunk async for chunk in file]
    for before, after in zip(chunks, chunks[1:], strict=False):
        assert after.start == pytest.approx(before.end)
    return file, np.concatenate([chunk.samples for chunk in chunks])


@pytest.mark.parametrize(
    ("name", "rate_hz", "how"),
    [
        ("eight_bit.wav", 8000, {"subtype": "PCM_U8"}),
        ("sixteen.wav", 16000, {"subtype": "PCM_16"}),
        ("twenty_four.wav", 96000, {"subtype": "PCM_24"}),
        ("float.wav", 44100, {"subtype": "FLOAT"}),
        ("double.wav", 22050, {"subtype": "DOUBLE"}),
        ("law.wav", 8000, {"subtype": "ULAW"}),
        ("talk.flac", 48000, {}),
        ("talk.ogg", 16000, {}),
        ("talk.mp3", 24000, {}),
    ],
)
async def test_every_format_is_heard_at_its_own_rate(tmp_path, name, rate_hz, how):
    samples = tone(0.7, rate_hz)
    file, got = await heard(write(tmp_path / name, samples, rate_hz, **how))
    assert file.sample_rate == rate_hz
    assert file.notices == []
    assert file.duration_s == pytest.approx(0.7, abs=0.1)
    assert got.dtype == np.float32
    assert len(got) == pytest.approx(len(samples), abs=2400)
    middle = slice(len(samples) // 4, len(samples) // 2)
    assert np.sqrt(np.mean((got[middle] - samples[middle]) ** 2)) < 0.03


async def test_film_sound_is_mixed_so_that_the_center_is_heard_and_the_bass_channel_not(tmp_path):
    path = tmp_path / "film.flac"
    voice, bass = (tone(1, 48000) * 32767).astype(np.int16), np.full(48000, 30000, np.int16)
    planes = np.stack([0 * voice, 0 * voice, voice, bass, 0 * voice, 0 * voice])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=48000, layout="5.1")
        frame = av.AudioFrame.from_ndarray(planes.T.reshape(1, -1).copy(), format="s16", layout="5.1")
        frame.rate = 48000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    _, got = await heard(path)
    assert np.abs(got.mean()) < 1e-3
    assert np.corrcoef(got, voice)[0, 1] > 0.999
    assert np.abs(got).max() > 0.1


@pytest.mark.parametrize("channels", [2, 6])
async def test_channels_that_say_the_same_keep_their_level(tmp_path, channels):
    samples = tone(0.2, 16000)
    _, got = await heard(write(tmp_path / "same.wav", np.stack([samples] * channels, axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(got, samples, atol=1e-6)


async def test_video_with_sound_is_heard(tmp_path):
    path = tmp_path / "talk.mp4"
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("mpeg4", rate=10), container.add_stream("aac", rate=16000, layout="mono")
        video.width = video.height = 32
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        sound = av.AudioFrame.from_ndarray(tone(1, 16000)[None], format="fltp", layout="mono")
        sound.rate = 16000
        for packet in [*video.encode(picture), *video.encode(None), *audio.encode(sound), *audio.encode(None)]:
            container.mux(packet)
    file, got = await heard(path)
    assert file.sample_rate == 16000
    assert len(got) == pytest.approx(16000, abs=2100)


@pytest.mark.parametrize("chunk_s", [0.01, 0.1, 7.0])
async def test_any_chunk_length_gives_the_same_samples(tmp_path, chunk_s):
    samples = tone(1.2345, 16000)
    _, got = await heard(write(tmp_path / "a.wav", samples, subtype="FLOAT"), chunk_s)
    np.testing.assert_array_equal(got, samples)


async def test_one_sample_is_a_file(tmp_path):
    _, got = await heard(write(tmp_path / "one.wav", np.array([0.25], np.float32), subtype="FLOAT"))
    assert got.tolist() == [0.25]


async def test_what_is_no_number_is_silence_and_is_told(tmp_path):
    samples = tone(0.5, 16000)
    samples[[3, 700, 701]] = [np.nan, np.inf, -np.inf]
    samples[800] = 7.0
    file, got = await heard(write(tmp_path / "bad.wav", samples, subtype="FLOAT"))
    assert got[[3, 700, 701, 800]].tolist() == [0, 0, 0, 1]
    assert file.invalid_samples == 3
    [notice] = file.notices
    assert isinstance(notice, Fault)
    assert "3 samples" in notice.message
    assert not notice.fatal


async def test_what_a_decoder_skips_in_silence_is_told(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(80_000).astype(np.float32)
    soundfile.write(tmp_path / "talk.flac", noise, 16_000)
    data = bytearray((tmp_path / "talk.flac").read_bytes())
    half = len(data) // 2
    data[half : half + 2000] = bytes(2000)
    (tmp_path / "hurt.flac").write_bytes(data)
    for name, told in (("talk.flac", 0), ("hurt.flac", 1)):
        file, got = await heard(tmp_path / name)
        assert (len(got), len(file.notices)) == (len(noise), told)
    np.testing.assert_allclose(got[-16_000:], noise[-16_000:], atol=1e-3)
    [(begin, length)] = [(at, size) for at, size in silences(got) if size > 100]
    said = f"{length / 16_000:.2f} s at {begin / 16_000:.2f} s to {(begin + length) / 16_000:.2f} s could not be decoded"
    assert said in file.notices[0].message


@pytest.mark.parametrize("name", ["talk.wav", "talk.flac", "talk.mp3"])
async def test_of_a_truncated_file_the_beginning_is_heard_and_the_loss_is_told(tmp_path, name):
    path = write(tmp_path / name, tone(4, 16000))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    file, got = await heard(path)
    assert len(got) / 16000 == pytest.approx(2, abs=0.5)
    assert any("truncated" in notice.message for notice in file.notices)
    assert all(str(path) in notice.message for notice in file.notices)


async def test_damage_in_the_middle_does_not_end_the_file(tmp_path):
    path = write(tmp_path / "talk.flac", tone(4, 16000))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = bytes(600)
    path.write_bytes(content)
    _, got = await heard(path)
    assert len(got) / 16000 > 3
    np.testing.assert_allclose(got[-16000:], tone(4, 16000)[-16000:], atol=1e-3)


BAD_FILES = {
    "missing.wav": (None, "no such file"),
    "empty.wav": (b"", "is empty"),
    "text.mp3": (b"These are words, but nobody says them. " * 200, "no audio that FFmpeg can decode"),
    "noise.mp3": (np.random.default_rng(1).bytes(20_000), "no audio that FFmpeg can decode"),
    "header.wav": (b"RIFF\x00\x00\x00\x00WAVEfmt ", "no audio that FFmpeg can decode"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_heard_is_refused_before_anything_begins(tmp_path, name):
    content, reason = BAD_FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=reason) as refusal:
        AudioFile(tmp_path / name, realtime=True, clock=NoClock())
    assert name in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_folders_silent_videos_and_files_without_samples_are_refused(tmp_path):
    with pytest.raises(BadInput, match="folder"):
        AudioFile(tmp_path, realtime=True, clock=NoClock())
    with pytest.raises(BadInput, match="no audio samples"):
        AudioFile(write(tmp_path / "none.wav", np.zeros(0, np.float32)), realtime=True, clock=NoClock())
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for packet in [*video.encode(picture), *video.encode(None)]:
            container.mux(packet)
    with pytest.raises(BadInput, match="no audio stream"):
        AudioFile(path, realtime=True, clock=NoClock())


@pytest.mark.looptime
async def test_at_real_time_pace_a_chunk_comes_when_its_end_was_said_however_slow_we_are(tmp_path):
    class Recorded(LoopClock):
        moments = []  # noqa: RUF012

        async def sleep_until(self, moment):
            self.moments.append(moment - began)
            await asyncio.sleep(0.03)  # we are slow, and the next deadline must not move by it

    began = asyncio.get_running_loop().time()
    file = AudioFile(write(tmp_path / "a.wav", tone(1.05, 16000)), realtime=True, clock=Recorded())
    assert file.live
    ends = [chunk.end async for chunk in file]
    assert ends == pytest.approx([0.1 * i for i in range(1, 11)] + [1.05])
    assert Recorded.moments == pytest.approx([end + Recorded.moments[0] - 0.1 for end in ends], abs=1e-6)


async def test_a_long_file_is_streamed_and_not_loaded(tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_U8") as file:
        for _ in range(6):
            file.write(np.zeros(60 * 8000, np.float32))  # six minutes: 11.5 MB as float32
    source = AudioFile(path, realtime=False, clock=NoClock(), chunk_s=5.0)
    samples = 0
    tracemalloc.start()
    async for chunk in source:
        samples += len(chunk.samples)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert samples == 6 * 60 * 8000
    assert peak < 2e6


async def test_leaving_early_ends_the_thread(tmp_path):
    before = threading.active_count()
    chunks = aiter(AudioFile(write(tmp_path / "a.wav", tone(5, 16000)), realtime=False, clock=NoClock()))
    await anext(chunks)
    assert threading.active_count() == before + 1
    await chunks.aclose()
    assert threading.active_count() == before
