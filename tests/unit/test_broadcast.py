"""A dubbed live broadcast, read again by decoding what was sent or written."""

import io
import json
import math
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.film_made import best_place, make_film, picture_packets
from benchmarks.rtmp_receiver import rtmp_server
from pipeline.cli import main
from pipeline.errors import BadInput, DeviceError, NetworkError
from pipeline.events import AudioChunk, Fault, ReadingUnit, Transcript, Word
from pipeline.sinks import rtmp_relay
from pipeline.sinks.broadcast import Broadcast
from pipeline.sinks.hls import files_of
from pipeline.sinks.hls_playlists import HlsCaptions
from pipeline.sinks.live_stream import LEAD_S, Added, LiveStream, check_picture
from pipeline.sinks.live_writer import GIVE_UP_S, MOST_PIECES, HlsFolder, LiveWriter, Piece, RtmpServer
from pipeline.sinks.rtmp import RtmpConnection, named
from pipeline.sources.files import AudioFile
from pipeline.sources.media import Media
from pipeline.sources.packet_tap import PacketTap
from tests.encoded_sound import encoded
from tests.unit.test_cli_translate import SCRIPTED
from tests.unit.test_film import RATE, SOUND, STARTS_S, noise, said, unit

DELAY_S = 4.0


@pytest.fixture
def talk(tmp_path) -> Path:
    path = tmp_path / "talk.mp4"
    make_film(path, np.tile(SOUND, 2), RATE)
    return path


@dataclass
class Told:
    """A stream that notes what it is given; it breaks at any piece that begins at ``breaks_s``, once each."""

    templates: dict
    breaks_s: list[float]
    sounds: list[tuple[int, int]] = field(default_factory=list)
    packets: list = field(default_factory=list)
    cues: list = field(default_factory=list)
    closed: bool = False
    language: str = ""

    def add_sound(self, number, start, samples):
        if self.breaks_s and start >= self.breaks_s[0] * 48_000:
            self.breaks_s.pop(0)
            raise ConnectionResetError(104, "reset by peer")
        self.sounds.append((start, len(samples)))

    def add_packet(self, coded):
        self.packets.append(coded)

    def know_language(self, language):
        self.language = language

    def add_caption(self, start_s, end_s, text, language):
        self.cues.append((start_s, end_s, text, language))

    def close(self):
        self.closed = True

    def abandon(self):
        self.closed = True


class ScriptedServer:
    """A destination whose streams break where ``breaks_s`` says, and which refuses ``refusals`` times after the first."""

    name, kind, retries = "rtmp://host/live/…", "flv", True

    left = 0

    def __init__(self, breaks_s=(), refusals=0):
        self.breaks_s, self.refusals = list(breaks_s), refusals
        self.streams: list[Told] = []

    def check(self):
        pass

    def open(self, added, templates):
        if self.streams and self.refusals:
            self.refusals -= 1
            raise NetworkError("refused")
        self.streams.append(Told(dict(templates), self.breaks_s))
        return self.streams[-1]

    def leave(self):
        self.left += 1


async def broadcast(
    source, destination, *, starts=STARTS_S, late_s=3.0, stop_s=math.inf, after=lambda sink: None, kind=Broadcast, **options
):
    """Drive a broadcast through a film heard at its pace; units are spoken ``late_s`` after their words began."""
    tap = PacketTap()
    sink = kind(destination, tap, **{"targets": ["es"], "spoken": ["es"], "delay_s": DELAY_S, "original": 0.0} | options)
    late, told, heard_s = list(enumerate(starts)), [], 0.0
    for samples in AudioFile(source, realtime=False, clock=None, tap=tap)._chunks() if isinstance(source, Path) else source:
        chunk = AudioChunk(samples, RATE, heard_s)
        heard_s = chunk.end
        await sink.put(chunk)
        for number, start in enumerate(starts):
            if chunk.start <= start + 1 < chunk.end:
                await sink.put(Transcript((Word(" hi", start, start + 0.5, 1.0),), (), "en", heard_s, 0.0, True))
                await sink.put(unit(number, start, start + 0.6))
        while late and heard_s >= late[0][1] + late_s:
            await sink.put(said(late.pop(0)[0]))
        after(sink)
        told += sink.notices
        sink.notices.clear()
        if heard_s >= stop_s:
            break
    await sink.close()
    return sink, told


def decoded(path: Path) -> np.ndarray:
    """Mono sound at `RATE`, from stream time 0 on."""
    resampler = av.AudioResampler("flt", "mono", RATE)
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    samples = np.concatenate([piece.to_ndarray()[0] for frame in [*frames, None] for piece in resampler.resample(frame)])
    begin = round((frames[0].time - LEAD_S) * RATE)
    return samples[-begin:] if begin < 0 else np.concatenate([np.zeros(begin, np.float32), samples])


def first_picture_s(path: Path) -> float:
    with av.open(str(path)) as file:
        return next(file.decode(video=0)).time - LEAD_S


async def test_hls_has_the_picture_as_it_was_speech_beside_it_original_sound_and_captions(talk, tmp_path):
    folder = tmp_path / "show"
    sink, told = await broadcast(talk, HlsFolder(folder / "live.m3u8", None))
    assert told == []
    assert sink.line() == "broadcast, 4 s delayed: 4 of 4 spoken units at the time of their source"
    assert [one[:2] for one in picture_packets(folder / "live_picture.m3u8")] == [one[:2] for one in picture_packets(talk)]
    assert first_picture_s(folder / "live_picture.m3u8") == pytest.approx(0.0, abs=0.001)
    spoken, original = decoded(folder / "live_es.m3u8"), decoded(folder / "live_original.m3u8")
    for number, start in enumerate(STARTS_S):
        at_s, likeness = best_place(spoken, noise(number, 0.2), RATE, (0, 8))
        assert likeness > 0.5
        assert at_s == pytest.approx(start, abs=0.03)
    assert best_place(original, SOUND[RATE : 2 * RATE], RATE, (0, 4))[0] == pytest.approx(1.0, abs=0.05)
    master = (folder / "live.m3u8").read_text()
    assert 'NAME="Spanish (AI-generated)",DEFAULT=YES' in master
    assert 'NAME="Original"' in master
    assert 'TYPE=SUBTITLES,GROUP-ID="captions",NAME="Spanish (AI-generated)"' in master
    assert b"AI-generated speech and captions" in (folder / "live_es_init.mp4").read_bytes()
    captions = "".join(path.read_text() for path in sorted(folder.glob("*.vtt")))
    assert [captions.count(f"unidad {number}") for number in range(4)] == [1, 1, 1, 1]
    assert "00:01.500 --> " in captions  # with the lead that all timestamps have
    for path in folder.glob("live_*.m3u8"):
        assert path.read_text().rstrip().endswith("#EXT-X-ENDLIST")


async def test_hls_has_captions_of_each_language_beside_the_segments_of_the_picture(talk, tmp_path):
    folder = tmp_path / "show"

    class Both(Broadcast):
        """A broadcast that is given each unit in Portuguese, too."""

        async def put(self, event):
            await super().put(event)
            if isinstance(event, ReadingUnit) and event.target == "es":
                await super().put(replace(event, text=f"peça {event.number}", language="pt", target="pt"))

    _, told = await broadcast(talk, HlsFolder(folder / "live.m3u8", None), kind=Both, targets=["es", "pt"])
    assert told == []
    picture = (folder / "live_picture.m3u8").read_text()
    lengths = re.findall(r"#EXTINF:([\d.]+),\n\S+_(\d+)\.m4s", picture)
    master = (folder / "live.m3u8").read_text()
    assert master.count('SUBTITLES="captions"') == master.count("#EXT-X-STREAM-INF")
    for language, name, word in (("es", "Spanish", "unidad"), ("pt", "Portuguese", "peça")):
        assert re.search(rf'SUBTITLES.*NAME="{name} \(AI-generated\)".*,LANGUAGE="{language}"', master)
        playlist = (folder / f"live_captions-{language}_vtt.m3u8").read_text()
        assert re.findall(r"#EXTINF:([\d.]+),\n\S+?(\d+)\.vtt", playlist) == lengths
        begin_s = LEAD_S
        told_in = []
        for length, number in lengths:
            text = (folder / f"live_captions-{language}{number}.vtt").read_text()
            for start, said_ in re.findall(rf"00:00:([\d.]+) -->.*\n{word} (\d)", text):
                assert float(start) < begin_s + float(length)
                if int(said_) < 3:  # the last is known to be over when the film is; a cue has a second at least
                    assert float(start) == pytest.approx(STARTS_S[int(said_)] + LEAD_S, abs=0.5)
                told_in.append(int(said_))
            begin_s += float(length)
        assert sorted(set(told_in)) == [0, 1, 2, 3]
    with av.open(str(folder / "live_captions-pt_vtt.m3u8")) as captions:  # as a player reads it
        texts = [bytes(packet).decode() for packet in captions.demux() if packet.size]
    assert list(dict.fromkeys(texts)) == [f"peça {number}" for number in range(4)]


def test_a_cue_is_in_every_segment_during_which_it_is_shown_and_no_two_at_once(tmp_path):
    captions = HlsCaptions(tmp_path / "live_captions-es_vtt.m3u8")
    for cue in ((1.0, 3.0, "a & b"), (2.0, 6.5, "long"), (3605.0, 3606.0, "late")):
        captions.add(*cue)
    segments = [f"#EXTINF:4.000000,\nlive_picture_{number}.m4s" for number in (7, 8, 9)]
    head = '#EXTM3U\n#EXT-X-MAP:URI="live_picture_init.mp4"'
    captions.follow("\n".join([head, *segments[:1]]), 1.0)
    captions.follow("\n".join([head, *segments]), 1.0)
    first, second, third = ((tmp_path / f"live_captions-es{number}.vtt").read_text() for number in (7, 8, 9))
    assert "00:00:01.000 --> 00:00:02.000\na &amp; b" in first
    assert "00:00:02.000 --> 00:00:06.500\nlong" in first
    assert re.findall(r"\n(\w+)\n", second.split("\n\n", 1)[1]) == ["long"]
    assert "-->" not in third
    assert "MAP" not in captions.playlist.read_text()
    captions.follow("#EXTINF:3600.0,\nlive_picture_10.m4s", 1.0)
    assert "01:00:05.000 --> 01:00:06.000\nlate" in (tmp_path / "live_captions-es10.vtt").read_text()
    assert sorted(path.name for path in tmp_path.glob("*.vtt")) == ["live_captions-es10.vtt", "live_captions-es9.vtt"]
    assert {path.suffix for path in files_of(tmp_path / "live.m3u8")} == {".vtt", ".m3u8"}


def test_cues_that_come_late_are_shown_one_after_the_other(tmp_path):
    captions = HlsCaptions(tmp_path / "live_captions-es_vtt.m3u8")
    for cue in ((2.0, 4.0, "one"), (2.0, 3.5, "two"), (2.5, 5.5, "three"), (4.5, 6.0, "four")):
        captions.add(*cue)
    captions.follow("#EXTINF:9.0,\nlive_picture_0.m4s", 1.0)
    shown = re.findall(r"00:00:0([\d.]+) --> 00:00:0([\d.]+)\n(.+)", (tmp_path / "live_captions-es0.vtt").read_text())
    assert [(float(start), float(end), text) for start, end, text in shown] == [
        (2.0, 3.0, "one"),
        (3.0, 4.0, "two"),
        (4.0, 5.0, "three"),
        (5.0, 6.5, "four"),
    ]


async def test_original_sound_that_hls_cannot_hold_is_left_out_and_told(tmp_path):
    source, folder = tmp_path / "talk.mkv", tmp_path / "show"
    make_film(source, SOUND, RATE, sound="pcm_s16le")
    _, told = await broadcast(source, HlsFolder(folder / "live.m3u8", None))
    assert ["original sound is left out" in notice.message for notice in told] == [True]
    assert best_place(decoded(folder / "live_es.m3u8"), noise(1, 0.2), RATE, (0, 8))[0] == pytest.approx(2.5, abs=0.03)
    assert 'NAME="Spanish (AI-generated)"' in (folder / "live.m3u8").read_text()
    assert not (folder / "live_original.m3u8").exists()


async def test_segments_older_than_the_window_are_deleted_and_all_are_kept_if_asked_for(tmp_path):
    source = tmp_path / "talk.mp4"
    make_film(source, np.tile(SOUND, 5), RATE)
    for window_s, least, most in ((20.0, 4, 8), (None, 9, 12)):
        folder = tmp_path / f"show{window_s}"
        await broadcast(source, HlsFolder(folder / "live.m3u8", window_s))
        assert least <= len(list(folder.glob("live_picture_*.m4s"))) <= most
        for path in folder.glob("live_*.m3u8"):
            listed = [line for line in path.read_text().splitlines() if not line.startswith("#")]
            assert listed
            assert all((folder / name).is_file() for name in listed)


async def test_all_is_sent_when_the_source_is_the_delay_further_never_before(talk):
    server = ScriptedServer()

    def nothing_early(sink):
        heard_s = sink._tracks.heard_s
        assert sink._sent_s == pytest.approx(max(0.0, heard_s - DELAY_S), abs=0.11)

    await broadcast(talk, server, after=nothing_early)
    (stream,) = server.streams
    assert (stream.cues[0][0], stream.cues[0][2]) == (STARTS_S[0], "unidad 0")
    ends = [start + length for start, length in stream.sounds]
    assert [start for start, _ in stream.sounds[1:]] == ends[:-1]
    assert ends[-1] >= 16 * 48_000
    assert len([one for one in stream.packets if one.kind == "video"]) == len(picture_packets(talk))
    assert stream.closed


async def test_speech_that_comes_after_the_delay_is_shifted_whole_and_told(talk, tmp_path):
    folder = tmp_path / "show"
    sink, told = await broadcast(talk, HlsFolder(folder / "live.m3u8", None), late_s=5.5, starts=(0.5, 6.0))
    (fault,) = [notice for notice in told if isinstance(notice, Fault)]
    assert re.search(r"1\.[56] s later than the delay of 4 s allows", fault.message)
    spoken = decoded(folder / "live_es.m3u8")
    for number, start in enumerate((0.5, 6.0)):
        for offset, length in ((0.0, 0.2), (0.4, 0.2)):  # its end, too
            template = noise(number, 0.6)[round(offset * RATE) :][: round(length * RATE)]
            at_s, likeness = best_place(spoken, template, RATE, (0, 10))
            assert likeness > 0.5
            assert at_s == pytest.approx(start + 1.5 + offset, abs=0.15)
    assert "0 of 2 spoken units at the time of their source, the latest 1." in sink.line()


async def test_the_original_is_mixed_under(talk, tmp_path):
    folder = tmp_path / "show"
    await broadcast(talk, HlsFolder(folder / "live.m3u8", None), original=0.5, starts=(0.5,))
    under = decoded(folder / "live_es.m3u8")[4 * RATE : 5 * RATE]
    assert np.std(under) == pytest.approx(0.5 * np.std(SOUND), rel=0.1)


async def test_an_rtmp_server_gets_picture_one_track_and_what_made_it(talk, tmp_path):
    with rtmp_server(tmp_path / "got.mkv") as server:
        _, told = await broadcast(talk, RtmpServer(server.address))
        server.wait()
    assert told == []
    assert [one[:2] for one in picture_packets(server.path)] == [one[:2] for one in picture_packets(talk)]
    with av.open(str(server.path)) as kept:
        assert [stream.codec.canonical_name for stream in kept.streams] == ["h264", "aac"]
        assert any("AI-generated" in value for value in kept.metadata.values())
    spoken, begin_s = decoded(server.path), first_picture_s(server.path)
    for number, start in enumerate(STARTS_S):
        assert best_place(spoken, noise(number, 0.2), RATE, (0, 8))[0] - begin_s == pytest.approx(start, abs=0.03)


async def test_a_server_that_is_lost_is_connected_to_again_and_what_was_lost_is_told(talk):
    server = ScriptedServer(breaks_s=[3.0], refusals=2)
    sink, told = await broadcast(talk, server)
    first, second = server.streams
    broke, again = [notice.message for notice in told]
    assert "the stream broke off (reset by peer); connecting again" in broke
    lost_s = (second.sounds[0][0] - first.sounds[-1][0] - first.sounds[-1][1]) / 48_000
    assert 3.0 < lost_s < 4.0  # at once, after one second, and after two more
    assert f"connected again; {lost_s:.1f} s were not sent" in again
    assert sink.line().endswith(f"{lost_s:.1f} s could not be sent")
    assert second.packets[0].at_s >= second.sounds[0][0] / 48_000 - 0.05
    assert first.closed
    assert second.closed


async def test_a_real_server_that_hangs_up_is_lost(talk, tmp_path):
    with rtmp_server(tmp_path / "got.mkv", most=50) as server:
        sink, told = await broadcast(talk, RtmpServer(server.address))
    message = told[0].message if told else ""
    assert "broke off" in message or "could not be sent" in sink.line()


async def test_a_server_that_stays_away_ends_the_broadcast_and_nothing_else():
    server = ScriptedServer(breaks_s=[3.0], refusals=10**6)
    seconds = (np.zeros(RATE, np.float32) for _ in range(round(GIVE_UP_S) + 60))

    def settle(sink):
        while not sink._writer._pieces.empty() and sink._writer.error is None:
            time.sleep(0)

    with pytest.raises(NetworkError, match="refused"):
        await broadcast(seconds, server, starts=(), after=settle)


async def test_the_end_of_a_film_while_its_server_is_away_is_no_error(talk):
    server = ScriptedServer(breaks_s=[11.0], refusals=100)
    sink, _ = await broadcast(talk, server)
    assert "s could not be sent" in sink.line()
    assert "inf" not in sink.line()


async def test_a_film_that_is_stopped_is_sent_as_far_as_it_was_heard(talk):
    server = ScriptedServer()
    await broadcast(talk, server, stop_s=8.0)
    (stream,) = server.streams
    assert max(one.at_s for one in stream.packets) == pytest.approx(8.0, abs=0.2)
    assert stream.closed


async def test_nothing_that_was_heard_leaves_nothing(tmp_path):
    sink = Broadcast(HlsFolder(tmp_path / "show/live.m3u8", None), None, targets=["es"], spoken=["es"])
    await sink.close()
    assert not (tmp_path / "show").exists()


async def test_a_playlist_is_one_broadcasts_until_that_ends(tmp_path):
    def begun():
        return Broadcast(HlsFolder(path, None), None, targets=["es"], spoken=["es"], delay_s=1.0)

    def settle(sink):
        while sink._writer._stream is None:
            time.sleep(0)

    path = tmp_path / "show/live.m3u8"
    first, second = begun(), begun()
    for number in range(30):
        await first.put(AudioChunk(SOUND[: RATE // 10], RATE, number * 0.1))
    settle(first)
    with pytest.raises(DeviceError, match="another session is writing .*live.m3u8; try"):
        begun()
    with pytest.raises(DeviceError, match="another session is writing"):
        await broadcast([SOUND], HlsFolder(path, None), starts=())
    await second.put(AudioChunk(SOUND[: RATE // 10], RATE, 0.0))
    with pytest.raises(DeviceError, match="another session is writing"):
        await second.close()
    await first.close()
    assert decoded(path).size
    assert not list(path.parent.glob(".*"))
    await begun().close()


async def test_sound_without_a_picture_is_a_playlist_of_speech(tmp_path):
    source, out = tmp_path / "talk.wav", tmp_path / "live.m3u8"
    with av.open(str(source), "w") as made:
        sound = made.add_stream("pcm_s16le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.tile(SOUND, 2)[None], "flt", "mono")
        frame.sample_rate = RATE
        made.mux([*sound.encode(frame), *sound.encode(None)])
    await broadcast(source, HlsFolder(out, None))
    assert best_place(decoded(out), noise(1, 0.2), RATE, (0, 8))[0] == pytest.approx(STARTS_S[1], abs=0.03)
    with rtmp_server(tmp_path / "got.mkv") as server:
        await broadcast(source, RtmpServer(server.address))
        server.wait()
    with av.open(str(server.path)) as kept:
        assert [stream.type for stream in kept.streams] == ["audio"]


@pytest.mark.parametrize("picture", ["libx264", "libvpx-vp9"])
async def test_frames_that_come_at_a_varying_rate_keep_their_times(tmp_path, picture):
    source, sent = tmp_path / "talk.mp4", tmp_path / "live_picture.m3u8"
    make_film(source, SOUND, RATE, stamp=lambda number: number + number // 7 * 3, picture=picture)
    if picture == "libx264":
        with rtmp_server(tmp_path / "got.mkv") as server:
            await broadcast(source, RtmpServer(server.address), starts=(0.5,))
            server.wait()
        sent = server.path
    else:
        await broadcast(source, HlsFolder(tmp_path / "live.m3u8", None), starts=(0.5,))
    assert [one[2] for one in picture_packets(sent)] == pytest.approx([one[2] for one in picture_packets(source)], abs=2e-3)


async def test_a_full_disk_ends_the_broadcast_with_an_error_and_its_beginning_can_be_played(tmp_path):
    source, out = tmp_path / "talk.mp4", tmp_path / "live.m3u8"
    make_film(
        source,
        SOUND,
        RATE,
        image=lambda number: np.random.default_rng(number).integers(0, 255, (90, 160, 3)).astype(np.uint8),
    )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(DeviceError, match="cannot write .*live.m3u8 any more"):
            await broadcast(source, HlsFolder(out, None))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_the_end_of_a_broadcast_whose_queue_is_full_is_written():
    gate, done = threading.Event(), threading.Event()

    class Stuck(ScriptedServer):
        def open(self, added, templates):
            gate.wait()
            return super().open(added, templates)

    server = Stuck()
    writer = LiveWriter(server, Added(("es",)), None)
    for number in range(MOST_PIECES + 10):
        writer.put(Piece(number * 0.1, (number + 1) * 0.1, (number + 1) * 0.1))
    writer.finish(done.set)
    gate.set()
    assert done.wait(30)
    assert server.streams[0].closed
    assert server.left == 1


async def test_a_server_is_left_by_the_thread_where_its_first_stream_cannot_be_or_nothing_was_heard():
    server, threads = ScriptedServer(), []
    server.leave = lambda: threads.append(threading.current_thread().name)
    await Broadcast(server, None, targets=["es"], spoken=["es"]).close()

    def refused(added, templates):
        raise BadInput("cannot be held")

    server.open = refused
    with pytest.raises(BadInput, match="cannot be held"):
        await broadcast([np.zeros(RATE, np.float32)], server, starts=())
    assert threads == ["broadcast", "broadcast"]


@pytest.mark.parametrize("writes_late", [False, True])
@pytest.mark.parametrize("retries", [True, False])
async def test_a_picture_that_is_coded_otherwise_begins_a_new_stream_or_is_left_out_and_told(
    talk, tmp_path, retries, writes_late
):
    other = tmp_path / "other.mp4"
    make_film(other, SOUND, RATE, image=lambda _: np.zeros((90, 160, 3), np.uint8))
    server = ScriptedServer()
    server.retries = retries
    tap = PacketTap()
    lines: list[str] = []  # what the writer's thread says after the last event was put
    sink = Broadcast(server, tap, targets=["es"], spoken=["es"], delay_s=DELAY_S, tell=lines.append)
    sounds = [AudioChunk(np.zeros(RATE // 10, np.float32), RATE, number / 10) for number in range(240)]
    for path, begin_s, heard in ((talk, 0.0, sounds[:160]), (other, 16.0, sounds[160:])):
        with av.open(str(path)) as film:
            tap.begin(film, film.streams.audio[0])
            tap.place(begin_s)
            for packet in film.demux(film.streams.video[0]):
                tap.add(packet, 0.0)
        for sound in () if writes_late else heard:
            await sink.put(sound)
    for sound in sounds if writes_late else ():  # the second film is open before anything of the first is written
        await sink.put(sound)
    await sink.close()
    sizes = [{one.template.codec_context.width for one in stream.packets} for stream in server.streams]
    assert sizes == ([{320}, {160}] if retries else [{320}])
    told = [*(notice.message for notice in sink.notices), *lines]
    assert any("picture is coded otherwise from here on" in line for line in told)


def test_a_tap_that_nobody_takes_from_is_bounded_and_goes_on_with_a_key_frame(talk):
    tap = PacketTap(most_bytes=50_000)
    with av.open(str(talk)) as film:
        tap.begin(film, film.streams.audio[0])
        tap.place(5.0)
        packets = [packet for packet in film.demux(film.streams.video[0]) if packet.size]
        for packet in packets[:400]:
            tap.add(packet, 0.0)
        first = tap.take_until(math.inf)
        for packet in packets[300:]:
            tap.add(packet, 0.0)
    assert 50_000 < sum(one.packet.size for one in first) < 80_000
    assert tap.dropped
    assert first[0].at_s == pytest.approx(5.0, abs=0.1)
    (again, *_) = tap.take_until(math.inf)
    assert again.packet.is_keyframe


def test_sound_alone_that_nobody_takes_is_bounded_too():
    tap = PacketTap(most_bytes=10_000)
    with av.open(io.BytesIO(encoded("adts", "aac"))) as sound:
        tap.begin(sound, sound.streams.audio[0])
        tap.place(0.0)
        packets = [packet for packet in sound.demux() if packet.size]
        for packet in packets[:-1]:
            tap.add(packet, 0.0)
        taken = tap.take_until(math.inf)
        tap.add(packets[-1], 0.0)
    assert 10_000 < sum(one.packet.size for one in taken) < 12_000
    assert tap.dropped == len(packets) - 1 - len(taken)
    assert [one.packet for one in tap.take_until(math.inf)] == packets[-1:]


def in_transport_stream(film: Path, start_s: float) -> bytes:
    file = io.BytesIO()
    with av.open(str(film)) as source, av.open(file, "w", format="mpegts", options={"mpegts_copyts": "1"}) as out:
        streams = [out.add_stream_from_template(one) for one in source.streams]
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                packet.pts += round(start_s / packet.time_base)
                packet.dts += round(start_s / packet.time_base)
                out.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("jump_s", [40.0, 3600.0])
def test_timestamps_that_jump_hold_up_no_packet(talk, jump_s):
    length_s, tap, heard_s, taken = 16.0, PacketTap(), 0.0, []
    data = in_transport_stream(talk, 20.0) + in_transport_stream(talk, 20.0 + length_s + jump_s)
    with av.open(io.BytesIO(data)) as stream:
        media = Media("talk", stream, leap_s=10.0, tap=tap)
        for samples in media.decoded():
            tap.place(0.0)
            heard_s += len(samples) / media.sample_rate
            taken += tap.take_until(heard_s - 1.0)
            if heard_s > 3.0:
                assert taken[-1].at_s > heard_s - 1.5
    assert any("timestamps jump" in notice.message for notice in media.notices)
    taken += tap.take_until(math.inf)
    pictures = [one for one in taken if one.kind == "video"]
    assert len(pictures) == 2 * len(picture_packets(talk))
    assert all(one.at_s < heard_s + 1.0 for one in taken)
    assert [one.at_s for one in pictures] == sorted(one.at_s for one in pictures)


def test_a_connection_that_is_refused_or_never_answered_is_an_error_that_hides_the_key():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(NetworkError, match="no answer for 0.2 s") as raised:
            RtmpConnection(f"rtmp://127.0.0.1:{port}/live/secret", connect_s=0.2)
    assert "secret" not in str(raised.value)
    with pytest.raises(NetworkError, match="refused"):
        RtmpConnection(f"rtmp://127.0.0.1:{port}/live/secret")  # nobody listens there any more
    assert named("rtmps://ana:word@host:443/app/secret?x=1") == "rtmps://host:443/app/…"
    assert named("rtmp://host/secret") == named("rtmp://host//secret/") == "rtmp://host/…"


def test_a_relay_that_ends_before_it_reads_the_address_is_no_connection(tmp_path, monkeypatch):
    program, begun = tmp_path / "relay.py", subprocess.Popen
    program.write_text("print('no such codec')")

    def ended(*arguments, **options):
        process = begun(*arguments, **options)
        process.wait()
        return process

    monkeypatch.setattr(rtmp_relay, "__file__", str(program))
    monkeypatch.setattr(subprocess, "Popen", ended)
    with pytest.raises(NetworkError, match="takes no stream: no such codec"):
        RtmpConnection("rtmp://host/live/secret")


@pytest.fixture
def translate(tmp_path, capsys):
    """Run the command with scripted models; gives exit code, standard output and standard error."""
    config = tmp_path / "scripted.yaml"
    config.write_text(json.dumps(SCRIPTED))

    def run(*options) -> tuple[int, str, str]:
        code = main([str(word) for word in (*options, "--to", "es", "--profile", "cpu", "--config", config)])
        said_ = capsys.readouterr()
        return code, said_.out, said_.err

    return run


def test_the_command_broadcasts_a_film(tmp_path, translate):
    source, out = tmp_path / "talk.mp4", tmp_path / "show/live.m3u8"
    make_film(source, SOUND[: 3 * RATE], RATE)
    code, _, told = translate(source, "--out", out, "--delay", "1", "--from", "en")
    assert code == 0
    assert f"wrote {out}" in told
    assert "broadcast, 1 s delayed: " in told
    assert "ear-voice" not in told
    assert [one[:2] for one in picture_packets(tmp_path / "show/live_picture.m3u8")] == [
        one[:2] for one in picture_packets(source)
    ]


def test_a_server_that_is_not_there_is_told_before_anything_is_heard(talk, translate):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, out, told = translate(talk, "--out", f"rtmp://127.0.0.1:{port}/live/secret", "--allow-network")
    assert code == 5
    assert out == ""
    assert "takes no stream: Connection refused" in told
    assert "secret" not in told
    assert "loading models" not in told


@pytest.mark.parametrize(
    ("options", "said_"),
    [
        (("{talk}", "--out", "rtmp://host/live/secret"), "nothing is sent to a network unless you allow it"),
        (("{talk}", "--out", "ftp://host/x", "--allow-network"), "nothing can be sent to ftp addresses; valid: rtmp"),
        (("{talk}", "{talk}", "--out", "{folder}/live.m3u8"), "is sent one film"),
        (("-", "--out", "{folder}/live.m3u8"), "is sent one film"),
        (("{talk}", "--fast", "--out", "{folder}/live.m3u8"), "faster than a broadcast"),
        (("{talk}", "--delay", "3", "--out", "{folder}/out.mp4"), "does nothing without a broadcast"),
        (("{talk}", "--delay", "0.1", "--out", "{folder}/live.m3u8"), "valid: 1 to 120 seconds"),
        (("{talk}", "--dvr-window", "5", "--out", "{folder}/live.m3u8"), "20 seconds or more"),
        (("{vp9}", "--out", "rtmp://host/live/secret", "--allow-network"), "RTMP stream cannot hold the vp9 picture"),
        (("{vp8}", "--out", "{folder}/live.m3u8"), "HLS cannot hold the vp8 picture"),
        (("{talk}", "--out", "{folder}/50%d/live.m3u8"), "where a name has a %"),
        (("{talk}", "--out", "{folder}/%v.m3u8"), "where a name has a %"),
        (("{talk}", "--no-speech", "--out", "{folder}/live.m3u8"), "leaves nothing to --out"),
    ],
)
def test_what_cannot_be_broadcast_is_refused_before_anything_is_written(talk, tmp_path, translate, options, said_):
    for name, picture in (("vp9.webm", "libvpx-vp9"), ("vp8.webm", "libvpx")):
        if "{" + name[:3] + "}" in options:
            make_film(tmp_path / name, np.zeros(48_000, np.float32), 48_000, picture=picture, sound="libopus")
    names = {"talk": talk, "folder": tmp_path, "vp9": tmp_path / "vp9.webm", "vp8": tmp_path / "vp8.webm"}
    code, _, told = translate(*(option.format(**names) for option in options))
    assert code == 2
    assert said_ in told
    assert "secret" not in told
    assert not list(tmp_path.glob("*.m3u8"))


def test_codecs_that_a_stream_cannot_hold_name_what_can():
    with pytest.raises(BadInput) as raised:
        check_picture("hevc", "flv")
    assert "live.m3u8" in raised.value.hint
    with pytest.raises(BadInput) as raised:
        check_picture("vp8", "flv")
    assert ".mkv" in raised.value.hint


def test_the_real_streams_are_what_the_scripted_one_stands_for():
    for method in ("add_sound", "add_packet", "know_language", "add_caption", "close", "abandon"):
        assert callable(getattr(LiveStream, method))
        assert callable(getattr(Told, method))
