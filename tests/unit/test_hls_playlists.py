"""Playlists of HLS, and what players need that heed no edit list and ask for what they can decode."""

import re
from datetime import UTC, datetime

import av
import pytest

from benchmarks.film_made import make_film
from pipeline.sinks.hls import HlsStream
from pipeline.sinks.hls_playlists import MediaPlaylist, Rendition, main_playlist
from pipeline.sinks.live_stream import LEAD_S, Added
from pipeline.sinks.live_writer import HlsFolder
from tests.unit.test_broadcast import broadcast
from tests.unit.test_film import RATE, SOUND

SENT_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def listed(first, lengths, target=4) -> str:
    head = f"#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    return head + "".join(f"#EXTINF:{length:f},\nlive_es_{number}.m4s\n" for number, length in enumerate(lengths, first))


def test_the_first_segment_of_a_list_is_dated_also_when_older_ones_have_left_it():
    playlist = MediaPlaylist(SENT_AT)
    playlist.begin(1.25)
    playlist.begin(9.0)  # not the first
    assert "DATE-TIME:2026-01-01T12:00:01.250+00:00\n#EXTINF" in playlist.mended(listed(7, (4.0, 6.0)))
    assert "DATE-TIME:2026-01-01T12:00:11.250+00:00\n#EXTINF" in playlist.mended(listed(9, (4.0, 4.0)))


def test_a_list_shows_the_segments_of_its_window_and_three_at_least():
    shown = MediaPlaylist(SENT_AT, 20.0).mended(listed(7, [8.0] * 5))
    assert re.findall(r"_(\d+)\.m4s", shown) == ["9", "10", "11"]
    assert "MEDIA-SEQUENCE:9\n" in shown
    assert "DATE-TIME:2026-01-01T12:00:16.000" in shown


def test_the_target_duration_of_a_list_never_falls():
    playlist = MediaPlaylist(SENT_AT)
    assert "TARGETDURATION:6\n" in playlist.mended(listed(1, [6.0], 6))
    assert "TARGETDURATION:6\n" in playlist.mended(listed(2, [4.0], 4))
    assert "TARGETDURATION:8\n" in playlist.mended(listed(3, [8.0], 8))


def test_a_sound_that_players_may_not_decode_costs_them_nothing_else():
    text = "".join(
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="group_sound",NAME="audio_{number}",DEFAULT=NO,URI="{number}.m3u8"\n'
        for number in (1, 2)
    )
    text += '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1.4d400c,mp4a.40.2,ac-3",AUDIO="group_sound"\nlive_picture.m3u8\n\n'
    sounds = [Rendition("Spanish", "es"), Rendition("Original", "", chosen=False)]
    once = main_playlist(text, sounds, {})
    assert once.count("#EXT-X-STREAM-INF") == 1
    assert 'NAME="Original",DEFAULT=NO,AUTOSELECT=NO,URI' in once
    twice = main_playlist(text, sounds, {"cc.m3u8": Rendition("Spanish", "es")}, rare=True)
    both, without = re.findall(r"#EXT-X-STREAM-INF.*\nlive_picture", twice)
    assert 'CODECS="avc1.4d400c,mp4a.40.2,ac-3",AUDIO="group_sound",SUBTITLES="captions"' in both
    assert 'CODECS="avc1.4d400c,mp4a.40.2",AUDIO="without_group_sound",SUBTITLES="captions"' in without
    assert re.findall(r'GROUP-ID="without_group_sound",NAME="(\w+)"', twice) == ["Spanish"]


async def test_segments_say_themselves_when_they_begin(tmp_path):
    source = tmp_path / "talk.mp4"
    make_film(source, SOUND, RATE)
    await broadcast(source, HlsFolder(tmp_path / "live.m3u8", None))
    for track, before_s in (("picture", 2 / 25), ("es", 1024 / 48_000), ("original", 1024 / RATE)):  # B-frames; priming
        made, first = (tmp_path / f"live_{track}_init.mp4").read_bytes(), min(tmp_path.glob(f"live_{track}_*.m4s"))
        assert b"elst" not in made
        header, data = made.index(b"mdhd"), first.read_bytes()
        timescale = int.from_bytes(made[header + 16 : header + 20])
        begin = int.from_bytes(data[data.index(b"tfdt") + 8 :][:8])
        assert begin / timescale == pytest.approx(LEAD_S - before_s, abs=0.002)


async def test_what_is_said_has_captions_beside_the_translation(tmp_path):
    source = tmp_path / "talk.mp4"
    make_film(source, SOUND, RATE)
    await broadcast(source, HlsFolder(tmp_path / "live.m3u8", None))
    main = (tmp_path / "live.m3u8").read_text()
    assert 'NAME="English, original (AI-generated)",DEFAULT=NO,AUTOSELECT=YES,LANGUAGE="en",URI="live_captions-orig' in main
    captions = "".join(path.read_text() for path in tmp_path.glob("live_captions-original*.vtt"))
    assert [captions.count(f"word{number}") for number in range(4)] == [1, 1, 1, 1]
    assert "unidad" not in captions


def test_the_language_of_what_is_said_is_listed_as_soon_as_it_is_known(tmp_path):
    source, path = tmp_path / "talk.mp4", tmp_path / "live.m3u8"
    make_film(source, SOUND, RATE, sound="flac")
    with av.open(str(source)) as film:
        stream = HlsStream(path, Added(("es",), ("es", "original")), {"video": film.streams.video[0]}, None)
        for second in range(8):
            stream.add_sound(0, second * 48_000, SOUND[:48_000])
        stream._main = "#EXTM3U\n"
        assert not path.exists()
        stream.know_language("en")
    assert 'NAME="English, original (AI-generated)"' in path.read_text()
    stream.abandon()


async def test_hevc_is_tagged_as_apple_players_need_it(tmp_path):
    source = tmp_path / "talk.mp4"
    make_film(source, SOUND[: 2 * RATE], RATE, picture="libx265")
    await broadcast(source, HlsFolder(tmp_path / "live.m3u8", None), starts=(0.5,))
    assert b"hvc1" in (tmp_path / "live_picture_init.mp4").read_bytes()


@pytest.mark.parametrize("with_picture", [True, False])
async def test_a_playlist_is_written_by_its_name_however_its_ending_is_spelled(tmp_path, with_picture):
    source = tmp_path / "talk.mp4"
    make_film(source, SOUND[: 2 * RATE], RATE)
    await broadcast(source if with_picture else [SOUND[: 2 * RATE]], HlsFolder(tmp_path / "Live.M3U8", None), starts=(0.5,))
    text = (tmp_path / "Live.M3U8").read_text()
    assert ('NAME="Spanish (AI-generated)"' if with_picture else "#EXT-X-PROGRAM-DATE-TIME") in text
    assert not [*tmp_path.glob("*.m3u8")]
