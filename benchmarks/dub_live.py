"""A dubbed live broadcast, by a whole session at real-time pace: HLS read again, and RTMP by a server that notes when.

The delay is from the moment at which a picture's time was heard to its arrival at the server. The server is given the
same events once more, at their pace, since a source has one copy of its packets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np

from benchmarks.corpora.audio import CORPUS_HZ
from benchmarks.dub_units import FOUND, Kept, said_units
from benchmarks.film_made import picture_packets
from benchmarks.metrics.statistics import percentile
from benchmarks.rtmp_receiver import rtmp_server
from pipeline.clock import LoopClock
from pipeline.engine import Engine
from pipeline.events import AudioChunk, Event, ReadingUnit, Samples, SpeechChunk
from pipeline.policies.pace import DELAY_S, at_once
from pipeline.profiles.profile import Profile
from pipeline.request import SessionRequest
from pipeline.sinks.broadcast import Broadcast
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.live_stream import LEAD_S
from pipeline.sinks.live_writer import Destination, HlsFolder, RtmpServer
from pipeline.sources.files import AudioFile
from pipeline.sources.packet_tap import PacketTap

PROBED_S = 3.0  # in which the server looks what comes, before it takes packets as they come


class SlowClock:
    """Real time divided by ``slow``: to a session on it this machine is so much faster, as it is without other programs."""

    def __init__(self, slow: float) -> None:
        self._slow = slow
        self._clock = LoopClock()

    def now(self) -> float:
        """Seconds of it."""
        return self._clock.now() / self._slow

    async def sleep_until(self, moment: float) -> None:
        """Sleep until then."""
        await self._clock.sleep_until(moment * self._slow)


class Stamped(Kept):
    """Events, and when the speech of each unit was whole."""

    def __init__(self, clock: SlowClock) -> None:
        super().__init__()
        self.whole_at: dict[int, float] = {}
        self._clock = clock

    async def put(self, event: Event) -> None:
        """Keep an event."""
        await super().put(event)
        if isinstance(event, SpeechChunk) and event.last:
            self.whole_at[event.unit] = self._clock.now()


async def broadcast_figures(
    film: Path, folder: Path, profile: Profile, source: str, target: str, *, slow: float
) -> dict[str, float]:
    """Broadcast a film into a folder, by a session on a `SlowClock`, and to a server."""
    clock, tap = SlowClock(slow), PacketTap()
    kept = Stamped(clock)

    def sink(destination: Destination, tap: PacketTap) -> Broadcast:
        return Broadcast(destination, tap, targets=[target], spoken=[target], pace=profile.pace)

    hls = folder / "show" / "live.m3u8"
    async with Engine.load(profile) as engine:
        asked = SessionRequest((target,), (source,), spoken=target, pace=at_once(profile.pace, DELAY_S))
        session = await engine.session(asked, clock)
        outlets = [SinkQueue(sink(HlsFolder(hls, None), tap)), SinkQueue(kept)]
        await session.run(AudioFile(film, realtime=True, clock=clock, tap=tap), outlets)
    if outlets[0].error:
        raise outlets[0].error
    said = said_units(kept.events, profile.pace)
    spoken = _from_beginning(hls.with_name(f"live_{target}.m3u8"))
    places = [one.place_in(spoken) for one in said]
    offsets_ms = [1000 * (at_s - one.unit.start) for (at_s, _), one in zip(places, said, strict=True)]
    found = [likeness >= FOUND for _, likeness in places]
    in_time = [
        abs(offset) if ok else math.inf for offset, ok, one in zip(offsets_ms, found, said, strict=True) if one.allowed
    ]
    starts = {event.number: event.start for event in kept.events if isinstance(event, ReadingUnit)}
    needed = [moment - session.clock_time(starts[unit]) for unit, moment in kept.whole_at.items()]
    figures = {
        "live_units_spoken": float(len(said)),
        "live_units_found": float(sum(found)),
        "live_units_pace_allows": float(len(in_time)),
        "live_track_offset_ms_p50": percentile(in_time, 50),
        "live_track_offset_ms_p95": percentile(in_time, 95),
        "live_track_offset_ms_p95_of_all": percentile(offsets_ms, 95),
        "live_delay_needed_s_p50": percentile(needed, 50),
        "live_delay_needed_s_p95": percentile(needed, 95),
        "live_delay_needed_s_max": max(needed),
        "live_picture_packets_equal_hls": float(_equal(film, hls.with_name("live_picture.m3u8"))),
    }
    return figures | await _to_server(film, folder, kept.events, sink)


async def _to_server(
    film: Path, folder: Path, events: Sequence[Event], sink: Callable[[Destination, PacketTap], Broadcast]
) -> dict[str, float]:
    clock, tap, began = LoopClock(), PacketTap(), math.inf
    waiting = list(events)
    with rtmp_server(folder / "sent.mkv") as server:
        broadcast = sink(RtmpServer(server.address), tap)
        async for chunk in AudioFile(film, realtime=True, clock=clock, tap=tap):
            began = min(began, clock.now() - chunk.end)
            await broadcast.put(chunk)
            while waiting and not (isinstance(waiting[0], AudioChunk) and waiting[0].start > chunk.start + 0.01):
                event = waiting.pop(0)
                if not isinstance(event, AudioChunk):
                    await broadcast.put(event)
        end_s = clock.now() - began - DELAY_S  # what comes later is sent at once
        await broadcast.close()
        server.wait()
    delays = [moment - began - (at_s - LEAD_S) for at_s, moment in server.came if PROBED_S < at_s - LEAD_S < end_s]
    return {
        "live_delay_s_p50": percentile(delays, 50),
        "live_delay_s_p95": percentile(delays, 95),
        "live_delay_s_min": min(delays),
        "live_delay_s_max": max(delays),
        "live_picture_packets_equal_rtmp": float(_equal(film, server.path)),
    }


def _equal(film: Path, sent: Path) -> bool:
    return [one[:2] for one in picture_packets(film)] == [one[:2] for one in picture_packets(sent)]


def _from_beginning(path: Path) -> Samples:
    """Decode a track from stream time 0 on, mono [n] at `CORPUS_HZ`."""
    resampler = av.AudioResampler("flt", "mono", CORPUS_HZ)
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    samples = np.concatenate([piece.to_ndarray()[0] for frame in [*frames, None] for piece in resampler.resample(frame)])
    begin = round(((frames[0].time or 0.0) - LEAD_S) * CORPUS_HZ)
    return samples[-begin:] if begin < 0 else np.concatenate([np.zeros(begin, np.float32), samples])
