"""Containers whose timestamps, tracks and channels are as real files have them; each file is made here."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from pipeline.errors import BadInput
from pipeline.sources.files import AudioFile
from tests.encoded_sound import FORMS, RATE, encoded
from tests.unit.test_audio_files import NoClock, silences, tone, write


async def heard(path, **options):
    file = AudioFile(path, realtime=False, clock=NoClock(), **options)
    chunks = [chunk async for chunk in file]
    assert [chunk.start for chunk in chunks[1:]] == pytest.approx([chunk.end for chunk in chunks[:-1]])
    return file, np.concatenate([chunk.samples for chunk in chunks])


def first_sound_s(samples, rate=RATE):
    return float(np.argmax(np.abs(samples) > 0.05)) / rate


def film(path, tracks, *, begins_s=0.0, codec="aac", picture_s=8.0, picture_from_s=0.0, disposition=()):
    """Write pictures from ``picture_from_s`` on, and one audio track for each (samples, language, title)."""
    codec_of_pictures = "mpeg2video" if path.suffix == ".ts" else "mpeg4"
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        video = container.add_stream(codec_of_pictures, rate=25)
        video.width = video.height = 32
        streams = []
        for number, (_, language, title) in enumerate(tracks):
            stream = container.add_stream(codec, rate=RATE, layout="mono")
            stream.metadata.update({"language": language, "title": title})
            stream.disposition = av.stream.Disposition.default if number in disposition else av.stream.Disposition(0)
            streams.append(stream)
        packets = []
        for number in range(round(picture_s * 25)):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = number + round(picture_from_s * 25), Fraction(1, 25)
            packets += video.encode(frame)
        packets += video.encode(None)
        for stream, (samples, _, _) in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), round(begins_s * RATE)
            packets += [*stream.encode(frame), *stream.encode(None)]
        for packet in sorted(packets, key=lambda one: float(one.dts * one.time_base)):
            container.mux(packet)
    return path


def copied(path, to, keep):
    """Copy the packets of a file's only audio track that ``keep`` (given number and packet) lets through."""
    with av.open(str(path)) as old, av.open(str(to), "w") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for number, packet in enumerate(old.demux(old.streams.audio[0])):
            if packet.size and (kept := keep(number, packet)) is not None:
                kept.stream = stream
                new.mux(kept)
    return to


@pytest.mark.parametrize("name", ["late.mkv", "late.mp4", "late.ts"])
async def test_audio_that_starts_after_the_picture_lies_where_its_timestamps_say(tmp_path, name):
    file, got = await heard(film(tmp_path / name, [(tone(2, RATE), "eng", "")], begins_s=5.0))
    assert first_sound_s(got) == pytest.approx(5.0, abs=0.06)
    assert len(got) / RATE == pytest.approx(7.0, abs=0.06)
    assert file.notices == []


@pytest.mark.parametrize("name", ["cut.mkv", "cut.ts"])
async def test_times_count_from_the_containers_start_also_before_zero(tmp_path, name):
    """As after a cut that kept what a picture needs: the pictures begin 2 s before zero, the sound 1 s after it."""
    path = film(tmp_path / name, [(tone(1, RATE), "eng", "")], begins_s=1.0, picture_from_s=-2.0)
    with av.open(str(path)) as container:
        assert container.start_time == -2_000_000
    _, got = await heard(path)
    assert first_sound_s(got) == pytest.approx(3.0, abs=0.06)


async def test_what_lies_behind_a_hole_in_the_timestamps_lies_where_they_say(tmp_path):
    whole = film(tmp_path / "whole.mkv", [(tone(4, RATE), "eng", "")], picture_s=0.2)
    path = copied(whole, tmp_path / "hole.mkv", lambda number, packet: None if 60 <= number < 120 else packet)
    _, got = await heard(path)
    [(begin, length)] = [(at, size) for at, size in silences(got) if size > 2000]
    assert begin / RATE == pytest.approx(60 * 1024 / RATE, abs=0.06)
    assert length / RATE == pytest.approx(60 * 1024 / RATE, abs=0.06)
    assert len(got) / RATE == pytest.approx(4.0, abs=0.06)


@pytest.mark.parametrize("hurt", [range(60, 70), range(150, 190)])
async def test_packets_that_cannot_be_decoded_leave_a_hole_of_their_length_and_one_notice(tmp_path, hurt):
    whole = film(tmp_path / "whole.mkv", [(tone(4, RATE), "eng", "")], picture_s=0.2)

    def damaged(number, packet):
        if number not in hurt:
            return packet
        bad = av.Packet(b"\xff" * packet.size)
        bad.pts, bad.dts, bad.duration, bad.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
        return bad

    file, got = await heard(copied(whole, tmp_path / "hurt.mkv", damaged))
    assert len(got) / RATE == pytest.approx(4.0, abs=0.06)
    [notice] = file.notices
    begin, end = hurt.start * 1024 / RATE, min(4.0, hurt.stop * 1024 / RATE)
    assert not got[round((begin + 0.03) * RATE) : round((end - 0.05) * RATE)].any()
    said = notice.message.split()
    assert float(said[said.index("at") + 1]) == pytest.approx(begin, abs=0.03)
    assert "could not be decoded" in notice.message


@pytest.mark.parametrize("form", ["mp3 without a tag", "mp3 with a tag", "mp2", "ac3", "mpegts", "flv", "flac"])
async def test_bytes_that_are_no_sound_leave_a_hole_of_their_length_and_one_notice(tmp_path, form):
    kind, codec, options = FORMS[form]
    data = bytearray(encoded(kind, codec, tracks=[np.resize(tone(1, RATE), 6 * RATE)], **options))
    half, hurt = len(data) // 2, len(data) // 20
    data[half : half + hurt] = (bytes(range(250)) * (hurt // 250 + 1))[:hurt]
    (tmp_path / f"hurt.{kind}").write_bytes(data)
    file, got = await heard(tmp_path / f"hurt.{kind}")
    assert len(got) / RATE == pytest.approx(6.0, abs=0.1)
    [notice] = file.notices
    said = notice.message.split()
    begin, end = (float(said[said.index(word) + 1]) for word in ("at", "to"))
    assert begin == pytest.approx(3.0, abs=0.7)  # half of the bytes
    assert end - begin == pytest.approx(0.3, abs=0.15)
    assert not got[round((begin + 0.05) * RATE) : round((end - 0.05) * RATE)].any()


@pytest.mark.parametrize("name", ["12:30.wav", "file:x.wav", "concat:a|b.wav", "http:x.wav", "pipe:0", "data:,a"])
async def test_names_with_a_colon_are_files(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    soundfile.write("plain.wav", tone(0.5, 16_000), 16_000)
    (tmp_path / "plain.wav").rename(name)
    for path in (name, f"./{name}", tmp_path / name):
        _, got = await heard(path)
        assert len(got) == 8_000


VOICE, OTHER = tone(2, RATE), 0.3 * tone(2, RATE)
TRACKS = [(VOICE, "eng", "Main"), (OTHER, "spa", ""), (OTHER, "eng", "Commentary")]


@pytest.mark.parametrize(
    ("options", "default", "number"),
    [
        ({}, (), 1),
        ({}, (1,), 2),
        ({"languages": ("es",)}, (), 2),
        ({"languages": ("es",)}, (0, 1), 2),
        ({"languages": ("es",)}, (0,), 1),
        ({"languages": ("de",)}, (2,), 3),
        ({"track": "3"}, (0,), 3),
        ({"track": "spa"}, (0,), 2),
        ({"track": "es"}, (0,), 2),
        ({"track": "English", "languages": ("es",)}, (2,), 1),
    ],
)
async def test_of_several_tracks_the_wanted_the_default_or_one_in_the_language_is_heard_and_named(
    tmp_path, options, default, number
):
    file, got = await heard(film(tmp_path / "film.mkv", TRACKS, picture_s=0.4, disposition=default), **options)
    assert (np.abs(got).max() > 0.4) == (number == 1)
    about = ["1 (eng, Main)", "2 (spa)", "3 (eng, Commentary)"]
    assert f"audio track {about[number - 1]} of 3 is heard" in file.choice
    assert all(one in file.choice for one in about)


def test_a_track_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    path = film(tmp_path / "film.mkv", TRACKS, picture_s=0.4)
    for wanted in ("4", "0", "fra"):
        with pytest.raises(BadInput, match=rf"no audio track {wanted}; it has: 1 \(eng, Main\); 2 \(spa\); 3"):
            AudioFile(path, realtime=False, clock=NoClock(), track=wanted)


async def test_one_track_is_no_choice(tmp_path):
    file, _ = await heard(write(tmp_path / "a.wav", tone(0.1, 16_000)))
    assert file.choice == ""


@pytest.mark.parametrize(("chosen", "seconds", "told"), [("1", 2, 1), ("1", 14, 1), ("2", 2, 0)])
async def test_a_silent_track_beside_one_with_sound_is_told(tmp_path, chosen, seconds, told):
    tracks = [(np.zeros(seconds * RATE, np.float32), "eng", "Music"), (tone(seconds, RATE), "eng", "Voice")]
    file, _ = await heard(film(tmp_path / "film.mkv", tracks, picture_s=0.4), track=chosen)
    assert [notice.message.partition(": ")[2] for notice in file.notices] == told * [
        "audio track 1 (eng, Music) is silent; track 2 (eng, Voice) has sound"
    ]


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
@pytest.mark.parametrize(("gain", "noise"), [(-1.0, 0.0), (-0.8, 0.0), (-1.0, 0.02)])
async def test_of_channels_that_cancel_the_louder_is_heard_and_told(tmp_path, name, gain, noise):
    voice = tone(2, RATE)
    hiss = noise * np.random.default_rng(1).standard_normal(len(voice)).astype(np.float32)
    file, got = await heard(write(tmp_path / name, np.stack([voice, gain * voice + hiss], 1), RATE))
    assert np.sqrt(np.mean(got[RATE // 2 : RATE] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    [notice] = file.notices
    assert "cancel each other (opposite phase) at 0.0" in notice.message
    assert notice.message.endswith(
        tuple(f"the louder one, {channel}, is heard" for channel in ("FL", "FR", "channel 1", "channel 2"))
    )


@pytest.mark.parametrize(("left", "right"), [(1, 1), (1, 0), (0, 1), (1, 0.5), (1, 1j)])
async def test_channels_that_do_not_cancel_are_mixed(tmp_path, left, right):
    voice, turned = tone(1, RATE), (0.5 * np.cos(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
    second = turned if right == 1j else right * voice
    file, got = await heard(write(tmp_path / "a.wav", np.stack([left * voice, second], 1), RATE, subtype="FLOAT"))
    np.testing.assert_allclose(got, (left * voice + second) / 2, atol=1e-5)
    assert file.notices == []


async def test_the_mix_returns_when_the_channels_no_longer_cancel(tmp_path):
    voice = tone(4, RATE)
    right = np.where(np.arange(len(voice)) < 2 * RATE, -voice, 0)
    _, got = await heard(write(tmp_path / "a.wav", np.stack([voice, right], 1), RATE, subtype="FLOAT"))
    np.testing.assert_allclose(got[:RATE], voice[:RATE], atol=1e-5)
    np.testing.assert_allclose(got[-RATE:], voice[-RATE:] / 2, atol=1e-5)


@pytest.mark.parametrize("stated", [40_000, 2, 0])
async def test_a_wav_that_states_less_than_it_holds_is_heard_to_its_end(tmp_path, stated):
    samples = tone(5, 16_000)
    path = write(tmp_path / "a.wav", samples)
    content = bytearray(path.read_bytes())
    at = content.index(b"data")
    content[at + 4 : at + 8] = stated.to_bytes(4, "little")
    content[4:8] = (at + stated).to_bytes(4, "little")
    path.write_bytes(content)
    file, got = await heard(path)
    np.testing.assert_allclose(got, samples, atol=1e-3)
    assert [("states less than" in notice.message) for notice in file.notices] == [True] * bool(stated)


async def test_of_recordings_joined_byte_by_byte_all_is_heard(tmp_path):
    samples = tone(3, 16_000)
    for name in ("a.wav", "a.flac", "a.mp3", "a.ogg"):
        path = write(tmp_path / name, samples)
        path.write_bytes(2 * path.read_bytes())
        file, got = await heard(path)
        assert len(got) / 16_000 == pytest.approx(6.0, abs=0.3)  # of FLAC, the decoder loses a block
        assert np.sqrt(np.mean(got[-8_000:-2_000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)
        assert len(file.notices) <= 1


async def test_timestamps_that_leap_begin_anew_there(tmp_path):
    whole = film(tmp_path / "whole.ts", [(tone(2, RATE), "eng", "")], picture_s=0.2, picture_from_s=4.0, begins_s=4.0)
    path = tmp_path / "joined.ts"
    path.write_bytes(2 * whole.read_bytes())
    file, got = await heard(path)
    assert len(got) / RATE == pytest.approx(4.0, abs=0.1)
    [notice] = file.notices
    assert "its timestamps jump by -2." in notice.message


@pytest.mark.parametrize("behind", [b"LIST\x04\0\0\0INFO", b"PEAKx", b"ID3\x04\0\0\0\0\0\x7f" + bytes(900), b""])
async def test_what_programs_append_to_a_wav_is_no_sound(tmp_path, behind):
    path = write(tmp_path / "a.wav", tone(1, 16_000))
    path.write_bytes(path.read_bytes() + behind)
    file, got = await heard(path)
    assert len(got) == 16_000
    assert file.notices == []
