"""Sound from an address on a network, heard live, and connected to again when the connection was lost."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncGenerator, Callable, Collection
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, urlsplit

import numpy as np

from pipeline.audio.resampling import Resampler
from pipeline.audio.streams import ThreadTimer, Timer
from pipeline.channel import Channel, ChannelClosed
from pipeline.clock import Clock
from pipeline.errors import BadInput, NetworkError
from pipeline.events import AudioChunk, Fault, Gap, Notice, Samples
from pipeline.lane import on_loop
from pipeline.sources.media import Media
from pipeline.sources.packet_tap import PacketTap

if TYPE_CHECKING:
    from av.container import InputContainer

CONNECT_S, READ_S = 10.0, 20.0  # without an answer, or without a byte: the connection is lost
RETRY_S, GIVE_UP_S = 1.0, 60.0  # between attempts, and from the loss on
AHEAD_S = 30.0  # of audio that waits: more than a live stream begins with; a recording waits on its server
POLL_S = 0.1
LEAP_S = 10.0  # of timestamps: a stream has begun anew
FRAME_S = 0.01  # of audio, the shortest
SCHEMES = ("http", "https", "rtmp", "rtmps", "rtsp", "srt", "udp", "rtp", "tcp")
PLAYER = "the address in a player, on this machine: is it right, and does its server run?"
PROTOCOLS = "http,https,httpproxy,tls,tcp,udp,rtp,rtsp,rtmp,rtmps,rtmpt,rtmpe,srt,crypto,hls,data"
"""Protocols that an address, and the playlists behind it, may use: none reads files of this machine."""

_PARTS = re.compile(r"([^/?#]*://)?([^/?#]*)([^?#]*).*", re.DOTALL)

Connect = Callable[[str], "InputContainer"]
Item = AudioChunk | Notice


def connect(address: str) -> InputContainer:
    """Open an address with FFmpeg."""
    import av  # noqa: PLC0415

    options = {
        "protocol_whitelist": PROTOCOLS,
        "analyzeduration": "1000000",
        "rtsp_transport": "tcp",
        "reconnect": "1",  # of recordings, at the byte where they broke off; of live streams we do it, and tell the gap
        "reconnect_delay_max": "5",
    }
    return cast("InputContainer", av.open(address, options=options, timeout=(CONNECT_S, READ_S)))


class AddressListener:
    """The work of the thread that listens to an address: connect, decode, deliver, and connect again.

    Stream time is counted in samples; after a loss it is that of the timer, and what nobody heard is a `Gap`. ``ahead``
    gives the seconds of audio that wait to be taken. Raises `NetworkError` if nothing could be heard from the beginning.
    """

    def __init__(
        self,
        address: str,
        deliver: Callable[[Item], None],
        timer: Timer,
        ahead: Callable[[], float],
        *,
        connector: Connect = connect,
        track: str | None = None,
        languages: Collection[str] = (),
        tap: PacketTap | None = None,
    ) -> None:
        self.name = shown(address)
        self._address = address
        self._deliver = deliver
        self._timer = timer
        self._ahead = ahead
        self._connect = connector
        self._wanted, self._languages, self._tap = track, languages, tap
        self._rate = self._position = 0
        self._began = self._heard_at = timer.now()
        self._held_back_at = -AHEAD_S

    def run(self) -> None:
        """Listen until the timer is stopped, the stream has ended or it cannot be reached any more."""
        container: InputContainer | None = self._first()
        told = False
        while container is not None:
            position = self._position
            with container:
                lost = self._hear(container)
            if lost is None:
                return
            if not self._rate:
                raise NetworkError(f"{self.name} cannot be heard: {lost}", hint=PLAYER)
            if not told or self._position > position:
                told = True
                self._tell(f"the connection was lost ({lost}); connecting again")
            container = self._again()

    def _first(self) -> InputContainer:
        import av  # noqa: PLC0415

        try:
            return self._connect(self._address)
        except av.error.ProtocolNotFoundError as error:
            message = f"{self.name} cannot be heard: the FFmpeg that PyAV was built with lacks its protocol"
            raise NetworkError(message, hint="an address with http, https, rtmp or rtsp") from error
        except (av.error.FFmpegError, OSError) as error:
            raise NetworkError(f"{self.name} cannot be heard: {error.strerror or error}", hint=PLAYER) from error

    def _again(self) -> InputContainer | None:
        """Connect again; none when the session is over, or nothing was heard for `GIVE_UP_S`, which is told."""
        import av  # noqa: PLC0415

        while self._timer.now() < self._heard_at + GIVE_UP_S:
            if self._timer.wait(RETRY_S):
                return None
            with contextlib.suppress(av.error.FFmpegError, OSError):
                return self._connect(self._address)
        self._tell("it cannot be reached any more; what was heard is translated")
        return None

    def _hear(self, container: InputContainer) -> str | None:
        """Give all that one connection brings; says how it was lost, or nothing where the sound is over."""
        import av  # noqa: PLC0415

        media = Media(self.name, container, self._wanted, self._languages, leap_s=LEAP_S, tap=self._tap)
        if media.choice and not self._rate:
            self._deliver(Fault("source", media.choice, fatal=False))
        resampler: Resampler | None = None
        lost = "it ended"
        try:
            for samples in media.decoded():
                if resampler is None:
                    self._begin(media.sample_rate)
                    if self._tap is not None:
                        self._tap.place(self._position / self._rate)
                    resampler = Resampler(media.sample_rate, self._rate)
                self._give(resampler.process(samples))
                while media.notices:
                    self._deliver(media.notices.pop(0))
                if self._is_over():
                    return None
        except (av.error.FFmpegError, OSError) as error:
            lost = error.strerror or str(error)
        if resampler is not None:
            self._give(resampler.process(np.zeros(0, np.float32), last=True))
        if not self._is_recording(container):
            return lost
        if lost != "it ended":
            self._tell(f"it broke off ({lost})")
        if self._tap is not None:
            self._tap.ended = True
        return None

    def _begin(self, rate: int) -> None:
        """Take the first sample of a connection: what came between it and the last one was not heard."""
        if not self._rate:
            self._rate, self._began = rate, self._timer.now()
            return
        missed_from = self._position
        self._position = max(missed_from, round((self._timer.now() - self._began) * self._rate))
        if self._position > missed_from:
            self._deliver(Gap(missed_from / self._rate, self._position / self._rate, "the connection was lost"))

    def _give(self, samples: Samples) -> None:
        if len(samples):
            self._deliver(AudioChunk(samples, self._rate, self._position / self._rate))
            self._position += len(samples)
            self._heard_at = self._timer.now()

    def _tell(self, message: str) -> None:
        self._deliver(Fault("source", f"{self.name}: {message}", fatal=False))

    def _is_over(self) -> bool:
        """Wait while more is ahead than live sound can be; True when the session is over."""
        while self._ahead() > AHEAD_S:
            self._held_back_at = self._timer.now()
            if self._timer.wait(POLL_S):
                return True
        return self._timer.wait(0)

    def _is_recording(self, container: InputContainer) -> bool:
        """Tell if the sound has a stated length, or came faster than it was said: its end is no loss."""
        now = self._timer.now()
        held_back = now - self._held_back_at < AHEAD_S
        fast = now - self._began < self._position / (self._rate or 1) / 2
        return bool(self._rate) and (container.duration is not None or held_back or fast)


class Address:
    """A live `Source` of what FFmpeg hears at an address: http(s), HLS, rtmp, rtsp, and srt where PyAV was built with it.

    A lost connection is told and made again, with a `Gap`. A recording is heard at the pace at which it was spoken.
    ``track`` and ``languages`` choose one of several audio tracks; a ``tap`` gets the coded packets. Raises `BadInput` for
    another scheme than `SCHEMES`; when it is heard, `NetworkError` if it cannot be reached and `BadInput` if it has no such
    track.
    """

    live = True

    def __init__(
        self,
        address: str,
        *,
        clock: Clock,
        track: str | None = None,
        languages: Collection[str] = (),
        connector: Connect = connect,
        tap: PacketTap | None = None,
    ) -> None:
        if (scheme := parts_of(address).scheme.lower()) not in SCHEMES:
            raise BadInput(f"{shown(address)}: {scheme} addresses cannot be heard; valid: {', '.join(SCHEMES)}")
        self._address = address
        self._clock = clock
        self._timer = ThreadTimer()
        self._options: dict[str, Any] = {"connector": connector, "track": track, "languages": languages, "tap": tap}
        self._waiting = Channel[Item](round(2 * AHEAD_S / FRAME_S))
        self._given_s = self._taken_s = 0.0
        self._error: Exception | None = None

    async def __aiter__(self) -> AsyncGenerator[Item, None]:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._listen, args=(loop,), name="address", daemon=True)
        thread.start()
        began: float | None = None
        try:
            async for item in self._waiting:
                if isinstance(item, AudioChunk):
                    began = self._clock.now() if began is None else began
                    await self._clock.sleep_until(began + item.end)
                    self._taken_s = item.end
                yield item
        finally:
            self._timer.stop()
            thread.join(timeout=1)  # a read that waits for bytes ends with the process, or its time
        if self._error is not None:
            raise self._error

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run as a thread: hand everything to the loop; the loop's end ends the thread."""

        def deliver(item: Item) -> None:
            if isinstance(item, AudioChunk):
                self._given_s = item.end
            on_loop(loop, self._take, item)

        try:
            AddressListener(
                self._address, deliver, self._timer, lambda: self._given_s - self._taken_s, **self._options
            ).run()
        except Exception as error:  # raised where it is heard
            self._error = error
        finally:
            on_loop(loop, self._waiting.close)

    def _take(self, item: Item) -> None:
        with contextlib.suppress(ChannelClosed):
            self._waiting.send_newest(item)


def is_here(host: str) -> bool:
    """Tell if a host is this machine by its own address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shown(address: str) -> str:
    """Give an address, or what should be one, without what may be secret in it: user, password and query."""
    found = _PARTS.fullmatch(address)
    assert found is not None, "any text is matched"
    scheme, place, path = found.groups()
    return f"{scheme or ''}{place.rpartition('@')[2]}{path}"


def parts_of(address: str) -> SplitResult:
    """Split an address; raises `BadInput` where its host or port cannot be."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise BadInput(f"{shown(address)} is no address: {error}") from error
    return parts
