"""A dubbed live broadcast: the picture as it was, a fixed delay later, and speech at the delayed time of its source."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from pipeline.audio.loudness import LoudnessMeter
from pipeline.events import AudioChunk, Event, Fault, Notice
from pipeline.lane import on_loop
from pipeline.policies.pace import DELAY_S, PaceOptions
from pipeline.sinks.dub import WINDOW_S, Dub, DubTracks
from pipeline.sinks.film_container import SAMPLE_RATE
from pipeline.sinks.live_stream import ORIGINAL, Added
from pipeline.sinks.live_writer import Destination, LiveWriter, Piece
from pipeline.sources.packet_tap import PacketTap

PIECE_S = 0.1
GROWN_S = 1.0  # by which speech is later than was told, before it is told again


class Broadcast:
    """A `Sink` that sends what a ``tap`` of the source gives, ``delay_s`` after it was heard, to ``destination``.

    Stream time is that of the source throughout, so the picture and the speech of its words lie beside each other; what
    was heard at a time is sent when the source is ``delay_s`` further, and the rest when it ends. Speech that is not there
    by then is shifted, and told. ``spoken``, ``language``, ``pace``, ``speaks_own`` and ``original`` are as in a `Film`,
    and so are captions, where the destination has a place for them. Without a tap there is no picture. Raises what the
    destination's check raises.
    """

    def __init__(
        self,
        destination: Destination,
        tap: PacketTap | None,
        *,
        targets: Sequence[str],
        spoken: Sequence[str],
        language: str = "",
        delay_s: float = DELAY_S,
        pace: PaceOptions | None = None,
        speaks_own: bool = False,
        original: float = 0.0,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.path = destination.name
        self.notices: list[Notice] = []
        destination.check()
        self._tap = tap
        self._tell = tell
        self._delay_s = delay_s
        loudness = LoudnessMeter(WINDOW_S)
        pace = pace or PaceOptions()
        dubs = {one: Dub(SAMPLE_RATE, pace, loudness, original, delay_s, waits=False) for one in spoken}
        self._tracks = DubTracks(dubs, targets, loudness, language, speaks_own)
        self._writer = LiveWriter(destination, Added(tuple(spoken), (*targets, ORIGINAL)), tap)
        self._sent = [0] * len(dubs)  # samples
        self._sent_s: float | None = None
        self._told_s = 0.0

    async def put(self, event: Event) -> None:
        """Take in an event, and hand on what is final by it; raises what ended the writer."""
        if self._writer.error is not None:
            raise self._writer.error
        known = [len(dub.skipped) for dub in self._tracks.dubs.values()]
        self._tracks.take_in(event)
        if isinstance(event, AudioChunk):
            self._send(self._tracks.heard_s - self._delay_s)
            self.notices += self._tracks.skipped_since(known)
            self._tell_late()
        while self._writer.notices:
            self.notices.append(self._writer.notices.popleft())

    async def close(self) -> None:
        """Send the rest and the end; raises what ended the writer."""
        if self._sent_s is not None:
            self._tracks.finish_captions()
            ended = self._tap is None or self._tap.ended
            self._send(math.inf if ended else self._tracks.heard_s, final=True)
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        self._writer.finish(partial(on_loop, loop, done.set))
        await done.wait()
        for notice in self._writer.notices:
            if isinstance(notice, Fault):
                self._tell(f"notice: {notice.message}")
        if self._writer.error is not None:
            raise self._writer.error
        if self._sent_s is not None:
            self._tell(self.line())

    def line(self) -> str:
        """Say how near the speech is to its source, and how much was not sent."""
        lost_s = self._writer.lost_s
        return self._tracks.line(f"broadcast, {self._delay_s:g} s delayed") + (
            f"; {lost_s:.1f} s could not be sent" if lost_s else ""
        )

    def _send(self, until_s: float, *, final: bool = False) -> None:
        """Hand on all before a moment; the first piece is empty, so that what cannot be sent is known at once."""
        if self._sent_s is None:
            self._sent_s = 0.0
            self._writer.put(Piece(0.0, 0.0, 0.0))
        if until_s < self._sent_s + PIECE_S and not final:
            return
        sounds = []
        for number, dub in enumerate(self._tracks.dubs.values()):
            samples = np.concatenate([np.zeros(0, np.float32), *dub.take(final)])
            sounds.append((self._sent[number], samples))
            self._sent[number] += len(samples)
        captions = tuple(self._tracks.captions_until(until_s))
        end_s = max(self._sent_s, min(until_s, self._tracks.heard_s))
        self._writer.put(Piece(self._sent_s, end_s, until_s, tuple(sounds), captions, self._tracks.language))
        self._sent_s = end_s

    def _tell_late(self) -> None:
        missed_s = max((dub.missed_s for dub in self._tracks.dubs.values()), default=0.0)
        if missed_s > self._told_s + (GROWN_S if self._told_s else PIECE_S):
            self._told_s = missed_s
            late = f"speech came {missed_s:.1f} s later than the delay of {self._delay_s:g} s allows, and is shifted"
            self.notices.append(Fault("broadcast", f"{late}; a longer delay leaves it where it belongs", fatal=False))
