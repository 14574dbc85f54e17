"""Sound from addresses: connections are scripted, but for one to a server on this machine."""

import asyncio
import io
import threading
from itertools import pairwise

import av
import numpy as np
import pytest
import soundfile

from pipeline.client.connection import Remote
from pipeline.clock import LoopClock
from pipeline.errors import BadInput, NetworkError, StageFailed
from pipeline.events import AudioChunk, Fault, Gap
from pipeline.sinks.rtmp import named
from pipeline.sources.address import GIVE_UP_S, PLAYER, Address, AddressListener, connect, shown
from pipeline.sources.packet_tap import PacketTap
from tests.encoded_sound import RATE, encoded
from tests.file_server import FileServer
from tests.scripted import SetClock
from tests.unit.test_audio_files import tone
from tests.unit.test_audio_microphone import VirtualTimer

NAME = "https://anna:secret@radio.example:8000/live.aac?key=secret"


class Stream:
    """Encoded sound that comes at ``pace`` times the speed at which it was said; then it ends, or breaks."""

    def __init__(self, timer, seconds=20.0, breaks=None, pace=1.0):
        self.timer, self.breaks = timer, breaks
        self.data = io.BytesIO(encoded("adts", "aac", tracks=[np.resize(tone(1, RATE), round(seconds * RATE))]))
        self.byte_s = seconds / len(self.data.getvalue()) / pace

    def read(self, size):
        data = self.data.read(min(size, 1_000))
        self.timer.time += len(data) * self.byte_s
        if not data and self.breaks:
            raise self.breaks
        return data


def listen(timer, connections, ahead=lambda: 0.0, **options):
    """Run a listener on scripted connections: streams, and errors of those that fail."""
    items, script = [], list(connections)

    def connector(address):
        assert address == NAME
        stream = script.pop(0) if script else OSError("refused")
        if isinstance(stream, OSError | av.error.FFmpegError):
            raise stream
        return av.open(stream)

    AddressListener(NAME, items.append, timer, ahead, connector=connector, **options).run()
    return [item for item in items if isinstance(item, AudioChunk)], [
        item for item in items if not isinstance(item, AudioChunk)
    ]


@pytest.mark.parametrize("breaks", [None, ConnectionResetError(104, "reset")])
def test_a_lost_live_stream_is_heard_again_at_its_place_in_time(breaks):
    timer = VirtualTimer(float("inf"))
    first, second = Stream(timer, 20, breaks), Stream(timer, 10)
    chunks, notices = listen(timer, [first, OSError("refused"), OSError("refused"), second])
    lost, gap, lost_again, given_up = notices
    assert "the connection was lost" in lost.message
    before = [chunk for chunk in chunks if chunk.end <= gap.start + 1e-6]
    after = [chunk for chunk in chunks if chunk.start >= gap.end - 1e-6]
    assert len(before) + len(after) == len(chunks)
    assert before[-1].end == pytest.approx(gap.start) == pytest.approx(20, abs=0.2)
    assert isinstance(gap, Gap)
    assert gap.end == pytest.approx(after[0].start) == pytest.approx(23, abs=2.0)  # three attempts, and what is analysed
    assert after[-1].end - after[0].start == pytest.approx(10, abs=0.2)
    assert "connection was lost" in lost_again.message
    assert "cannot be reached any more" in given_up.message


def test_the_packets_of_a_lost_stream_lie_beside_its_sound_in_time():
    timer, tap = VirtualTimer(float("inf")), PacketTap()
    chunks, _ = listen(timer, [Stream(timer), OSError("refused"), Stream(timer, 10)], tap=tap)
    packets = tap.take_until(float("inf"))
    assert {one.kind for one in packets} == {"audio"}
    second = next(chunk.start for before, chunk in pairwise(chunks) if chunk.start - before.end > 1)
    again = [one for one in packets if one.at_s > 20.5]
    assert again[0].at_s == pytest.approx(second, abs=0.1)
    assert again[-1].at_s == pytest.approx(chunks[-1].end, abs=0.1)
    stamps = [float((one.packet.pts or 0) * one.packet.time_base) + one.shift_s for one in packets]
    assert stamps == pytest.approx([one.at_s for one in packets])
    assert not tap.ended


def test_no_notice_tells_what_is_secret_in_an_address():
    timer = VirtualTimer(float("inf"))
    _, notices = listen(timer, [Stream(timer)])
    assert all(isinstance(notice, Fault) for notice in notices)
    assert "https://radio.example:8000/live.aac: the connection" in notices[0].message
    assert not any("secret" in notice.message for notice in notices)
    for address, told in (
        ("rtmp://host/app", "rtmp://host/app"),
        ("redis://ana:secret@[::1?token=secret", "redis://[::1"),
        ("https://ana:secret@host:80/a/b#secret", "https://host:80/a/b"),
        ("https://host?token=secret", "https://host"),
        ("ana:secret@host/a", "host/a"),
        ("nonsense", "nonsense"),
        ("", ""),
    ):
        assert shown(address) == told


@pytest.mark.parametrize("address", ["http://[::1", "rtsp://host:99999/x", "rtsp://host:x/"])
def test_a_host_or_port_that_cannot_be_is_told(address):
    with pytest.raises(BadInput, match="is no address"):
        Address(address, clock=SetClock())
    with pytest.raises(BadInput, match="is no address"):
        named(address)
    with pytest.raises(BadInput, match="is no address"):
        _ = Remote(address).address


def test_a_stream_that_stays_away_is_given_up_and_told_once():
    timer = VirtualTimer(float("inf"))
    empty = [io.BytesIO() for _ in range(5)]
    chunks, notices = listen(timer, [Stream(timer), *empty])
    assert chunks[-1].end == pytest.approx(20, abs=0.2)
    assert [" ".join(notice.message.split()[1:4]) for notice in notices] == ["the connection was", "it cannot be"]
    assert timer.now() == pytest.approx(20 + GIVE_UP_S, abs=3)


def test_the_end_of_what_comes_faster_than_it_was_said_is_an_end():
    timer = VirtualTimer(float("inf"))
    chunks, notices = listen(timer, [Stream(timer, pace=100.0), Stream(timer)])
    assert chunks[-1].end == pytest.approx(20, abs=0.2)
    assert notices == []


def test_a_recording_that_breaks_off_is_not_heard_from_its_beginning_again():
    timer = VirtualTimer(float("inf"))
    chunks, [notice] = listen(timer, [Stream(timer, 20, OSError(5, "broken"), pace=100.0), Stream(timer)])
    assert chunks[-1].end == pytest.approx(20, abs=0.2)
    assert "it broke off" in notice.message


def test_more_than_a_live_stream_begins_with_waits_on_the_server():
    timer = VirtualTimer(float("inf"))
    chunks, _ = listen(timer, [Stream(timer, pace=1000.0)], lambda: 100.0 - timer.now())
    assert timer.now() == pytest.approx(70, abs=0.2)
    assert chunks[-1].end == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("connection", [OSError(111, "Connection refused"), io.BytesIO(b"<html>no sound</html>" * 100)])
def test_an_address_without_sound_is_an_error_of_the_network(connection):
    with pytest.raises(
        NetworkError, match=r"radio.example:8000/live.aac cannot be heard.*try: the address in a player, on"
    ):
        listen(VirtualTimer(), [connection])


def test_a_protocol_that_pyav_was_built_without_is_named_as_the_reason():
    with pytest.raises(NetworkError, match=r"lacks its protocol; try: an address with http"):
        listen(VirtualTimer(), [av.error.ProtocolNotFoundError(1330794744, "Protocol not found")])


@pytest.mark.parametrize("address", ["ftp://a/b.mp3", "file:///etc/passwd", "concat://a"])
def test_other_schemes_are_refused(address):
    with pytest.raises(BadInput, match=r"addresses cannot be heard; valid: http, https, rtmp"):
        Address(address, clock=SetClock())


def test_a_track_that_is_not_there_is_refused():
    timer = VirtualTimer()
    with pytest.raises(BadInput, match="has no audio track 2"):
        listen(timer, [Stream(timer)], track="2")


async def test_an_address_is_heard_at_the_pace_at_which_it_was_spoken():
    file = io.BytesIO()
    soundfile.write(file, tone(3, 16_000), 16_000, format="FLAC")
    clock = SetClock(50.0)
    with FileServer({"/talk.flac": file.getvalue()}).running() as server:
        chunks = []
        async for item in Address(f"{server.url}/talk.flac", clock=clock):
            assert clock.now() == pytest.approx(50.0 + item.end)
            chunks.append(item)
    np.testing.assert_allclose(np.concatenate([chunk.samples for chunk in chunks]), tone(3, 16_000), atol=1e-3)


async def test_a_recording_whose_connection_breaks_is_heard_on_from_there():
    data = encoded("mp3", "libmp3lame", tracks=[np.resize(tone(1, RATE), 20 * RATE)], bit_rate=320_000)
    with FileServer({"/talk.mp3": data}).running() as server:
        server.cuts = 1
        items = [item async for item in Address(f"{server.url}/talk.mp3", clock=SetClock())]
    assert all(isinstance(item, AudioChunk) for item in items)
    assert items[-1].end == pytest.approx(20, abs=0.1)
    assert server.begun_at[-1] == len(data) // 2


async def test_what_is_not_at_its_address_is_told():
    with FileServer({}).running() as server, pytest.raises(NetworkError, match="cannot be heard"):
        [item async for item in Address(f"{server.url}/talk.flac", clock=SetClock())]


async def test_leaving_early_ends_the_thread():
    before = threading.active_count()
    items = aiter(Address(NAME, clock=LoopClock(), connector=lambda _: av.open(Stream(VirtualTimer()))))
    async with asyncio.timeout(30):
        await anext(items)
    await items.aclose()
    assert threading.active_count() == before


def test_a_playlist_on_a_network_reads_no_file_of_this_machine(tmp_path):
    soundfile.write(tmp_path / "private.wav", tone(1, 16_000), 16_000)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/private.wav\n#EXT-X-ENDLIST\n"
    server = FileServer({"/live.m3u8": playlist.encode()})
    with server.running(), pytest.raises((OSError, av.error.FFmpegError)):
        connect(f"{server.url}/live.m3u8")


def test_an_address_that_does_not_answer_is_told_as_such_and_not_as_a_fault_of_a_stage():
    cause = NetworkError("http://127.0.0.1:9/x.mp4 cannot be heard: Connection refused", hint=PLAYER)
    failed = StageFailed("capture", cause)
    assert str(failed).startswith(
        "http://127.0.0.1:9/x.mp4 cannot be heard: Connection refused; try: the address in a player"
    )
    assert failed.exit_code == cause.exit_code
