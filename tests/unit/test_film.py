"""A dubbed film, read again by decoding it."""

import json
import math
import resource
import shutil
import signal
import struct
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.film_made import best_place, described, loudness_lufs, make_film, picture_packets, track
from pipeline.audio.loudness import LoudnessMeter
from pipeline.cli import main
from pipeline.errors import BadInput, DeviceError
from pipeline.events import AudioChunk, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript, Word
from pipeline.policies.pace import PaceOptions, place
from pipeline.sinks.dub import TOO_LATE, Dub
from pipeline.sinks.film import Film
from tests.unit.test_cli_translate import SCRIPTED

RATE = 16_000
PACE = PaceOptions()
SOUND = np.random.default_rng(5).normal(0, 0.05, 8 * RATE).astype(np.float32)
STARTS_S = (0.5, 2.5, 3.2, 6.0)


def noise(number, seconds, level=0.1):
    return np.random.default_rng(number).normal(0, level, round(seconds * RATE)).astype(np.float32)


def unit(number, start, end, text="", target="es"):
    words = (Word(f" word{number}", start, end, 1.0),)
    return ReadingUnit(number, words, text or f"unidad {number}", target, start, end, end + 1, target, "en")


def said(number, seconds=0.6):
    return SpeechChunk(number, noise(number, seconds), RATE, True)


@pytest.fixture
def talk(tmp_path) -> Path:
    path = tmp_path / "talk.mp4"
    make_film(path, SOUND, RATE)
    return path


async def dub(source, out, *, seconds=8.0, starts=STARTS_S, close=True, **options):
    """Drive a film's sink through a talk whose units are spoken three seconds after they were heard."""
    film = Film(source, out, **{"targets": ["es"], "spoken": ["es"], "language": "en"} | options)
    late = list(enumerate(starts))
    for step in range(round(seconds * 10)):
        samples = SOUND[step * RATE // 10 % len(SOUND) :][: RATE // 10]
        await film.put(AudioChunk(samples, RATE, step / 10))
        for number, start in enumerate(starts):
            if step == round(10 * start) + 10:
                await film.put(Transcript((Word(" hi", start, start + 0.5, 1.0),), (), "en", step / 10, 0.0, True))
                await film.put(unit(number, start, start + 0.6))
        while late and step >= 10 * late[0][1] + 30:
            await film.put(said(late.pop(0)[0]))
    for number, _ in late:
        await film.put(said(number))
    if close:
        await film.close()
    return film


@pytest.mark.parametrize(
    ("suffix", "picture", "sound"),
    [("mp4", "libx264", "aac"), ("mkv", "libx264", "aac"), ("mov", "libx264", "aac"), ("webm", "libvpx-vp9", "libopus")],
)
async def test_picture_sound_chapters_captions_and_speech_lie_where_they_were(tmp_path, suffix, picture, sound):
    source, out = tmp_path / f"talk.{suffix}", tmp_path / f"talk.es.{suffix}"
    rate = 48_000 if sound == "libopus" else RATE
    make_film(source, np.repeat(SOUND, rate // RATE), rate, picture=picture, sound=sound)
    film = await dub(source, out)
    before, after = picture_packets(source), picture_packets(out)
    assert [one[:2] for one in after] == [one[:2] for one in before]
    assert [one[2] for one in after] == pytest.approx([one[2] for one in before], abs=0.0011)
    about = described(out)
    assert about["chapters"] == described(source)["chapters"]
    assert (about["sound"], about["captions"], about["texts"]) == (["spa", "eng"], ["spa", "eng"], [4, 4])
    assert "AI-generated" in about["comment"]
    original, spoken = track(out, 1, RATE), track(out, 0, RATE)
    moved_s = best_place(original, track(source, 0, RATE)[RATE : 3 * RATE], RATE, (0, 3))[0] - 1
    assert abs(moved_s) < 0.1
    for number, start in enumerate(STARTS_S):
        at_s, likeness = best_place(spoken, noise(number, 0.2), RATE, (0, 8))
        assert likeness > 0.5
        assert at_s - moved_s == pytest.approx(start, abs=0.03)
    assert film.line() == "film: 4 of 4 spoken units at the time of their source"
    assert abs(loudness_lufs(spoken, RATE) - loudness_lufs(original, RATE)) < 2.0


async def test_captions_of_every_target_and_a_track_for_each_that_is_spoken(talk, tmp_path):
    out = tmp_path / "out.mp4"
    film = Film(talk, out, targets=["es", "pt", "ca"], spoken=["ca", "es"], language="en")
    await film.put(AudioChunk(SOUND, RATE, 0.0))
    for number, target in enumerate(("es", "pt", "ca")):
        await film.put(unit(0, 1.0 + number, 2.0 + number, target=target))
    await film.put(replace(said(0), target="ca"))
    await film.put(replace(said(0), target="es"))
    await film.close()
    about = described(out)
    assert about["sound"] == ["cat", "spa", "eng"]
    assert (about["captions"], about["texts"]) == (["spa", "por", "cat", "eng"], [1, 1, 1, 1])
    for number, start in ((0, 3.0), (1, 1.0)):
        assert best_place(track(out, number, RATE), noise(0, 0.2), RATE, (0, 6))[0] == pytest.approx(start, abs=0.01)


async def test_a_unit_too_late_for_one_track_is_spoken_in_the_other(talk, tmp_path):
    out = tmp_path / "out.mkv"
    film = Film(talk, out, targets=["es", "ca"], spoken=["es", "ca"], language="en")
    for number, start in enumerate((0.5, 3.0, 3.6)):
        for target in ("es", "ca"):
            await film.put(unit(number, start, start + 0.5, target=target))
    for number, seconds in enumerate((20.0, 0.6, 0.6)):
        await film.put(replace(said(number, seconds), target="es"))
    await film.put(AudioChunk(SOUND, RATE, 0.0))
    await film.put(AudioChunk(np.tile(SOUND, 4), RATE, 8.0))
    assert film.notices == [Skipped(1, 1, TOO_LATE, "es")]
    await film.put(film.notices[0])
    for number in range(3):
        await film.put(replace(said(number), target="ca"))
    await film.close()
    assert best_place(track(out, 1, RATE), noise(1, 0.2), RATE, (0, 8))[1] > 0.5


@pytest.mark.parametrize("speaks_own", [False, True])
async def test_speech_that_is_in_the_target_already_is_waited_for_only_if_it_is_spoken(talk, tmp_path, speaks_own):
    film = Film(talk, tmp_path / "out.mkv", targets=["es"], spoken=["es"], language="es", speaks_own=speaks_own)
    await film.put(AudioChunk(SOUND[: RATE // 2], RATE, 0.0))
    await film.put(replace(unit(0, 0.1, 0.4), source_language="es"))
    await film.put(AudioChunk(np.tile(SOUND, 4), RATE, 0.5))
    written_s = film._file.sound_s
    await film.close()
    assert (written_s < 1.0) == speaks_own


async def test_the_original_is_mixed_under_at_a_gain_and_kept(talk, tmp_path):
    out = tmp_path / "out.mkv"
    await dub(talk, out, original=0.5)
    under, original = track(out, 0, RATE)[4 * RATE : 5 * RATE], track(out, 1, RATE)[4 * RATE : 5 * RATE]
    assert np.std(under) == pytest.approx(0.5 * np.std(original), rel=0.05)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
async def test_what_was_written_can_be_played_after_a_kill(tmp_path, suffix):
    source, out, left = (tmp_path / f"{name}.{suffix}" for name in ("talk", "out", "left"))
    make_film(source, np.tile(SOUND, 8), RATE)
    film = await dub(source, out, seconds=60.0, close=False)
    shutil.copyfile(out, left)
    assert len(track(left, 0, RATE)) > 10 * RATE
    assert len(picture_packets(left)) > 250
    await film.close()
    assert len(picture_packets(out)) == len(picture_packets(source))


async def test_a_session_that_is_stopped_leaves_a_film_up_to_there(talk, tmp_path):
    out = tmp_path / "out.mp4"
    await dub(talk, out, seconds=4.0, starts=(0.5,), length_s=8.0)
    assert len(picture_packets(out)) == pytest.approx(100, abs=3)


async def test_a_rotated_film_stays_rotated(talk, tmp_path):
    data = bytearray(talk.read_bytes())
    matrix = data.find(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    talk.write_bytes(data)
    for suffix in ("mp4", "mkv"):
        out = tmp_path / f"out.{suffix}"
        await dub(talk, out, seconds=2.0, starts=(0.5,))
        with av.open(str(out)) as film:
            assert next(film.decode(video=0)).rotation == -90


async def test_frames_that_come_at_a_varying_rate_keep_their_times(tmp_path):
    source, out = tmp_path / "talk.mp4", tmp_path / "out.mp4"
    make_film(source, SOUND[: 2 * RATE], RATE, stamp=lambda number: number + number // 7 * 3)
    await dub(source, out, seconds=2.0, starts=(0.5,))
    assert [one[2] for one in picture_packets(out)] == pytest.approx([one[2] for one in picture_packets(source)], abs=1e-3)


async def test_sound_without_a_picture_becomes_tracks_without_one(tmp_path):
    source, out = tmp_path / "talk.mka", tmp_path / "out.mp4"
    with av.open(str(source), "w", format="matroska") as made:
        sound = made.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(SOUND[None], "flt", "mono")
        frame.sample_rate, frame.pts = RATE, 0
        made.mux([*sound.encode(frame), *sound.encode(None)])
    await dub(source, out)
    assert described(out)["sound"] == ["spa", None] or described(out)["sound"] == ["spa", "und"]


def test_a_container_that_cannot_hold_the_film_names_those_that_can(talk, tmp_path):
    out = tmp_path / "out.webm"
    with pytest.raises(BadInput, match="cannot hold the h264 picture and aac sound|aac sound and h264 picture") as raised:
        Film(talk, out, targets=["es"], spoken=["es"])
    assert "out.mp4" in raised.value.hint
    assert "out.mkv" in raised.value.hint
    assert not out.exists()


async def test_a_full_disk_is_told_once_and_what_was_written_can_be_played(tmp_path):
    source, out = tmp_path / "talk.mkv", tmp_path / "out.mkv"
    make_film(source, np.tile(SOUND, 8), RATE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(DeviceError, match="cannot write .*out.mkv any more"):
            await dub(source, out, seconds=60.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert picture_packets(out)


async def test_a_session_in_which_nothing_was_heard_leaves_no_file(talk, tmp_path):
    film = Film(talk, tmp_path / "out.mp4", targets=["es"], spoken=["es"])
    await film.close()
    assert not (tmp_path / "out.mp4").exists()


@given(
    wanted=st.floats(0, 100),
    late=st.floats(-20, 20),
    natural=st.floats(0.05, 20),
    room=st.floats(0, 20) | st.just(math.inf),
)
def test_speech_begins_with_its_source_or_when_the_track_is_free_and_is_hurried_as_far_as_needed(
    wanted, late, natural, room
):
    placed = place(wanted, wanted + late, natural, wanted + room, PACE)
    if placed is None:
        assert late > PACE.max_lag_s
        return
    assert placed.start == max(wanted, wanted + late)
    assert 1.0 <= placed.rate <= PACE.max_rate
    end = placed.start + natural / placed.rate
    if placed.rate < PACE.max_rate:
        assert end <= wanted + room + 1e-6
    if placed.rate > 1.0:
        assert placed.start + natural > wanted + room - 1e-9


def test_a_unit_that_would_come_too_late_and_make_the_next_late_is_left_out():
    track_ = Dub(RATE, PACE, LoudnessMeter())
    for number in range(12):
        track_.expect(unit(number, number * 1.0, number + 0.9))
        track_.speak(said(number, 3.0))
    list(track_.take(final=True))
    assert {skipped.reason for skipped in track_.skipped} == {TOO_LATE}
    assert max(track_.late_s) < PACE.max_lag_s + 3.0


def test_nothing_is_written_past_a_unit_whose_speech_is_to_come():
    track_ = Dub(RATE, PACE, LoudnessMeter())
    taken = 0
    for second in range(120):
        track_.hear(AudioChunk(np.zeros(RATE, np.float32), RATE, float(second)))
        if second == 40:
            track_.expect(unit(0, 38.0, 39.0))
            track_.expect(unit(1, 41.0, 42.0))
        taken += sum(map(len, track_.take()))
    assert taken == 38 * RATE
    track_.speak(said(0))
    track_.leave_out(Skipped(1, 1, "muted"))
    rest = np.concatenate(list(track_.take()))
    assert np.flatnonzero(np.abs(rest) > 0.01)[0] < 10
    assert taken + len(rest) == 90 * RATE


def test_units_that_are_spoken_as_one_make_room_up_to_the_next():
    track_ = Dub(RATE, PACE, LoudnessMeter())
    for number, start in enumerate((0.0, 1.0, 2.0, 6.0)):
        track_.expect(unit(number, start, start + 0.9))
    for number in range(3):
        track_.join(Lag(number, 0.0, 0.0, 0.0, 1.0, 0))
    track_.speak(said(0, 4.0))
    track_.speak(said(3, 0.5))
    played = np.concatenate(list(track_.take(final=True)))
    assert best_place(played, noise(3, 0.2), RATE, (0, 7))[0] == pytest.approx(6.0, abs=0.01)
    assert np.abs(played[round(3.5 * RATE) : round(3.9 * RATE)]).max() > 0.01  # not hurried: there was room


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000])
def test_loudness_is_that_of_broadcasters_however_sound_is_cut(rate):
    sound = np.random.default_rng(2).normal(0, 0.1, 5 * rate).astype(np.float32)
    sound[rate : 2 * rate] *= 0.001
    whole, cut = LoudnessMeter(), LoudnessMeter()
    whole.hear(sound, rate)
    for piece in np.array_split(sound, 37):
        cut.hear(piece, rate)
    assert cut.lufs == whole.lufs
    assert whole.lufs == pytest.approx(loudness_lufs(sound, rate), abs=0.3)
    assert LoudnessMeter().lufs == -math.inf


@pytest.fixture
def translate(talk, tmp_path, capsys):
    """Run the command on the film with scripted models; gives exit code and standard error."""
    config = tmp_path / "scripted.yaml"
    config.write_text(json.dumps(SCRIPTED))

    def run(*options) -> tuple[int, str]:
        code = main([str(word) for word in (*options, "--to", "es", "--profile", "cpu", "--config", config)])
        return code, capsys.readouterr().err

    return run


def test_the_command_dubs_a_film_and_says_how_well(talk, tmp_path, translate):
    out = tmp_path / "talk.es.mkv"
    code, told = translate(talk, "--out", out, "--from", "en", "--captions", tmp_path / "talk.vtt")
    assert code == 0
    assert described(out)["sound"] == ["spa", "eng"]
    assert "film: " in told
    assert "ear-voice" not in told
    assert [one[:2] for one in picture_packets(out)] == [one[:2] for one in picture_packets(talk)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("{talk}", "--out", "{talk}"), "would be overwritten while it is heard"),
        (("{talk}", "{talk}", "--out", "{folder}/out.mp4"), "dubs one film"),
        (("--mic", "--out", "{folder}/out.mp4"), "dubs one film"),
        (("{talk}", "--out", "{folder}/out.avi"), ".mkv"),
        (("{talk}", "--out", "{folder}/out.webm"), "cannot hold the"),
        (("{folder}/silent.mp4", "--out", "{folder}/out.mp4"), "has no audio stream"),
        (
            ("{talk}", "--out", "{folder}/out.mp4", "--captions", "{folder}/c.srt", "--captions-time", "speech"),
            "at the time of its source",
        ),
    ],
)
def test_what_cannot_be_dubbed_is_refused_before_anything_is_written(talk, tmp_path, translate, options, said):
    make_film(tmp_path / "silent.mp4", np.zeros(0, np.float32), RATE)
    before = talk.read_bytes()
    code, told = translate(*(option.format(talk=talk, folder=tmp_path) for option in options))
    assert code == 2
    assert said in told
    assert talk.read_bytes() == before
    assert not list(tmp_path.glob("out.*"))


def test_a_scene_that_changes_is_coded_whole_and_watched(tmp_path):
    path = tmp_path / "slides.mp4"
    slides = np.random.default_rng(3).integers(0, 255, (2, 90, 160, 3)).astype(np.uint8)
    make_film(path, SOUND, RATE, image=lambda number: slides[int(number >= 66)])
    keys = [at_s for _, key, at_s in picture_packets(path) if key]
    assert any(at_s == pytest.approx(66 / 25, abs=0.05) for at_s in keys)
