import errno
import os
import resource
import stat
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from pipeline.errors import BadInput, DeviceError
from pipeline.events import AudioChunk, Draft, SpeechChunk
from pipeline.sinks.audio_writer import AudioWriter
from pipeline.sinks.speech_file import SessionRecording, SpeechFile
from pipeline.sinks.writing import check_file

RATE_HZ = 24_000


def heard(start, seconds=1.0, rate_hz=16_000, level=0.5):
    return AudioChunk(np.full(round(seconds * rate_hz), level, np.float32), rate_hz, start)


def said(start, seconds, unit=0):
    return SpeechChunk(unit, np.full(round(seconds * RATE_HZ), 0.5, np.float32), RATE_HZ, True, start)


@pytest.fixture(autouse=True)
def no_threads_are_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
async def test_the_file_lies_beside_its_source_and_says_what_it_is(tmp_path, suffix):
    path = tmp_path / f"talk{suffix}"
    file = SpeechFile(path)
    for second in range(5):
        await file.put(heard(second))
        await file.put(Draft("not for us", "es"))
        if second == 2:
            await file.put(said(2.5, 1.0))
    await file.close()
    samples, rate_hz = soundfile.read(path)
    assert (len(samples), rate_hz) == (5 * RATE_HZ, RATE_HZ)
    assert np.flatnonzero(np.abs(samples) > 0.1)[[0, -1]].tolist() == [60_000, 83_999]
    with soundfile.SoundFile(path) as opened:
        assert "AI-generated speech" in opened.comment


async def test_a_name_that_is_no_utf_8_can_be_written(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    file = SpeechFile(path)
    await file.put(heard(0))
    await file.close()
    assert len(soundfile.read(os.fsencode(path))[0]) == RATE_HZ


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
async def test_a_file_that_another_session_is_writing_is_refused_and_left_whole(tmp_path, suffix):
    path = tmp_path / f"talk{suffix}"
    first = SpeechFile(path)
    await first.put(heard(0))
    with pytest.raises(DeviceError, match="another session is writing"):
        check_file(path)
    with pytest.raises(DeviceError, match="another session is writing"):
        AudioWriter(path, RATE_HZ, "second")
    await first.put(heard(1))
    await first.close()
    assert len(soundfile.read(path)[0]) == 2 * RATE_HZ
    check_file(path)
    second = AudioWriter(path, RATE_HZ, "second")
    second.write(np.zeros(10, np.float32))
    second.close()
    assert len(soundfile.read(path)[0]) == 10


async def test_the_original_is_mixed_under_it(tmp_path):
    file = SpeechFile(tmp_path / "a.wav", RATE_HZ, original=0.2)
    await file.put(heard(0, 2.0, rate_hz=RATE_HZ))
    await file.put(said(1.0, 1.0))
    await file.close()
    samples, _ = soundfile.read(tmp_path / "a.wav")
    np.testing.assert_allclose(samples[[100, -100]], [0.1, 0.6], atol=1e-3)


async def test_a_wav_file_is_valid_after_every_write(tmp_path):
    file, path = SpeechFile(tmp_path / "a.wav"), tmp_path / "a.wav"
    assert soundfile.info(path).frames == 0
    for second in range(4):
        await file.put(said(second, 1.0, unit=second))
        await file.put(heard(second))
        assert soundfile.info(path).frames == (second + 1) * RATE_HZ
    await file.close()


async def test_nothing_said_and_nothing_heard_is_a_valid_file(tmp_path):
    await SpeechFile(tmp_path / "a.wav").close()
    assert soundfile.info(tmp_path / "a.wav").frames == 0


def test_another_suffix_is_refused_with_what_is_valid(tmp_path):
    with pytest.raises(BadInput, match=r"\.wav or \.flac"):
        SpeechFile(tmp_path / "a.mp3")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DeviceError, match="mkdir -p"):
        SpeechFile(tmp_path / "nowhere" / "a.wav")


def test_a_folder_in_its_place_is_refused(tmp_path):
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(DeviceError, match="Is a directory; try: the name of a file"):
        SpeechFile(tmp_path / "a.wav")


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    def refuse(path, flags, mode):  # the superuser may write anywhere, so the refusal is scripted
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DeviceError, match="Permission denied.*chmod u\\+w"):
        SpeechFile(tmp_path / "a.wav")


@pytest.fixture
def full_disk():
    """No file can grow beyond 100 kB: writes fail in the system, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
async def test_on_a_full_disk_put_says_so_and_what_was_written_can_be_heard(tmp_path, full_disk, name):
    file = SpeechFile(tmp_path / name)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, RATE_HZ).astype(np.float32)

    async def talk():
        for second in range(10):
            await file.put(SpeechChunk(second, noise, RATE_HZ, True, second))
            await file.put(heard(second))

    with pytest.raises(DeviceError, match=rf"{name} any more: the disk may be full, .*try: another disk"):
        await talk()
    await file.close()
    assert (tmp_path / name).stat().st_size <= 100_000
    with soundfile.SoundFile(tmp_path / name) as opened:
        np.testing.assert_allclose(opened.read(RATE_HZ), noise, atol=1e-4)


def test_a_file_on_a_full_disk_is_named_with_the_reason_that_soundfile_hides(tmp_path, monkeypatch):
    (tmp_path / "a.wav").symlink_to("/dev/full")
    with pytest.raises(
        DeviceError, match=r"cannot write .*a\.wav: the disk may be full, .*try: another disk, or another place"
    ):
        SpeechFile(tmp_path / "a.wav")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4096))
    with pytest.raises(DeviceError, match=r"a\.wav: the disk is full"):
        SpeechFile(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(BadInput, match=r"is a named pipe, and only files are written; try: the name of a file$"):
        SpeechFile(tmp_path / name)


def test_a_wav_file_ends_before_its_header_overflows(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.sinks.audio_writer.WAV_LIMIT_BYTES", 1000)
    writer = AudioWriter(tmp_path / "a.wav", RATE_HZ, "a test")
    writer.write(np.zeros(500, np.float32))
    with pytest.raises(DeviceError, match=r"\.flac"):
        writer.write(np.zeros(1, np.float32))
    writer.close()


async def test_a_recording_is_two_private_files_on_one_clock(tmp_path):
    folder = tmp_path / "new" / "folder"
    recording = SessionRecording(folder)
    await recording.put(heard(0, 1.0))
    await recording.put(heard(3, 1.0))  # the microphone was away for two seconds
    await recording.put(said(1.5, 1.0))
    await recording.close()
    original, rate_hz = soundfile.read(folder / "original.wav")
    translated, _ = soundfile.read(folder / "translated.wav")
    assert len(original) / rate_hz == len(translated) / RATE_HZ == 4
    assert set(np.flatnonzero(np.abs(original) > 0.1) // rate_hz) == {0, 3}
    assert np.flatnonzero(translated)[0] == 1.5 * RATE_HZ
    for name in ("original.wav", "translated.wav"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


async def test_the_original_is_on_disk_as_soon_as_it_was_heard(tmp_path):
    recording = SessionRecording(tmp_path)
    await recording.put(heard(0, 1.0))
    assert soundfile.info(tmp_path / "original.wav").frames == 16_000
    await recording.close()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="File exists; try: another name"):
        SessionRecording(tmp_path / "file")


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
async def test_long_silence_before_what_is_heard_is_in_the_file_without_being_written_by_the_second(tmp_path, suffix):
    path = tmp_path / f"talk{suffix}"
    file = SpeechFile(path, RATE_HZ, original=1.0, patience_s=0)
    await file.put(heard(100.0))
    await file.put(heard(200.0))
    await file.close()
    samples, _ = soundfile.read(path)
    assert len(samples) == 201 * RATE_HZ
    loud = np.abs(samples) > 0.1
    assert [int(loud[second * RATE_HZ + RATE_HZ // 2]) for second in (0, 99, 100, 101, 199, 200)] == [0, 0, 1, 0, 0, 1]
