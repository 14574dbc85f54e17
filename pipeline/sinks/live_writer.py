"""The thread that writes a broadcast: whoever hears and speaks never waits for a server or disk."""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.errors import BadInput, NetworkError
from pipeline.events import Fault, Notice, Samples
from pipeline.sinks.cues import Cue
from pipeline.sinks.hls import HlsStream
from pipeline.sinks.live_stream import Added, LiveStream, held
from pipeline.sinks.rtmp import FlvStream, RtmpConnection, named
from pipeline.sinks.writing import Claim, cannot_go_on, cannot_write, check_folder, reason_of
from pipeline.sources.packet_tap import CodedPacket, PacketTap, described

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.stream import Stream

RETRY_S, MOST_RETRY_S, GIVE_UP_S = 1.0, 15.0, 300.0  # between attempts to connect, doubled each time; and from the loss on
MOST_PIECES = 1000  # that wait, of 0.1 s or more


class Destination(Protocol):
    """A place where a broadcast can be watched; ``name`` is what it is called, without what is secret in it."""

    name: str
    kind: str  # of container: flv or hls
    retries: bool  # it may come back once it was lost

    def check(self) -> None:
        """Raise `DeviceError` or `NetworkError` if nothing can be written there."""

    def open(self, added: Added, templates: Mapping[str, Stream]) -> LiveStream:
        """Begin a stream."""

    def leave(self) -> None:
        """Let go of all that is still held at the end; may wait for a server."""


class RtmpServer:
    """A server that sends a stream on, by RTMP."""

    kind, retries = "flv", True

    def __init__(self, address: str) -> None:
        self.name = named(address)
        self._address = address
        self._ready: RtmpConnection | None = None

    def check(self) -> None:
        """Connect; the first stream uses that."""
        self._ready = RtmpConnection(self._address)

    def open(self, added: Added, templates: Mapping[str, Stream]) -> LiveStream:
        """Begin a stream on a connection."""
        connection, self._ready = self._ready or RtmpConnection(self._address), None
        return FlvStream(connection, added, templates)

    def leave(self) -> None:
        """Hang up, if no stream was begun."""
        if self._ready is not None:
            self._ready.close()


class HlsFolder:
    """A folder of HLS, whose playlist is ``path``; segments older than ``window_s`` are deleted (none: none is)."""

    kind, retries = "hls", False

    def __init__(self, path: Path, window_s: float | None) -> None:
        self.name = str(path)
        self._path, self._window_s = path, window_s
        self._claim: Claim | None = None

    def check(self) -> None:
        """Look if there can be a folder, and if the playlist is no other session's."""
        if "%" in self.name:  # FFmpeg puts numbers there
            raise BadInput(f"{self.name}: HLS cannot be written where a name has a %", hint="another name")
        check_folder(self._path.parent)
        if self._path.parent.is_dir():
            self._take()
            self.leave()

    def open(self, added: Added, templates: Mapping[str, Stream]) -> LiveStream:
        """Make the folder, and begin a stream in it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._take()
            return HlsStream(self._path, added, templates, self._window_s)
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def leave(self) -> None:
        """Give the playlist back."""
        if self._claim is not None:
            self._claim.release()
            self._claim = None

    def _take(self) -> None:
        try:
            self._claim = Claim(self._path)
        except OSError as error:
            raise cannot_write(self._path, error) from error


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Piece of stream time to write next, with its speech by track, as first sample and samples, and captions by language.

    Packets are copied up to ``until_s``, which is later than ``end_s`` where a picture goes on after the sound. Cues of the
    original are those of `ORIGINAL`; ``language`` is what is said there, empty while that is not known.
    """

    start_s: float
    end_s: float
    until_s: float
    sounds: tuple[tuple[int, Samples], ...] = ()
    captions: tuple[tuple[str, Cue], ...] = ()
    language: str = ""


class LiveWriter:
    """Writes pieces and the packets of a ``tap`` to a destination, in a thread of its own.

    A server that is lost is connected to again, at growing intervals of stream time; what comes meanwhile is not sent, but
    counted in ``lost_s``. ``error`` is what ended it. ``notices`` may be taken by another thread.
    """

    def __init__(self, destination: Destination, added: Added, tap: PacketTap | None) -> None:
        self.notices: deque[Notice] = deque()
        self.error: Exception | None = None
        self.lost_s = 0.0
        self._destination, self._added, self._tap = destination, added, tap
        self._pieces: queue.Queue[Piece | None] = queue.Queue(MOST_PIECES)
        self._stream: LiveStream | None = None
        self._unlike: list[Stream] = []  # templates that the stream cannot go on with
        self._lost_at_s: float | None = None
        self._retry_at_s, self._retry_s = -math.inf, RETRY_S
        self._dropped_s = 0.0
        self._ended = False
        self._finishing = threading.Event()
        self._done: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="broadcast", daemon=True)

    def put(self, piece: Piece) -> None:
        """Queue a piece; one for which there is no room is lost, and counted."""
        if not self._thread.ident:
            self._thread.start()
        try:
            self._pieces.put_nowait(piece)
        except queue.Full:
            if not self._dropped_s:
                self._tell("it takes nothing; what does not fit is left out")
            self._dropped_s += piece.end_s - piece.start_s

    def finish(self, done: Callable[[], None]) -> None:
        """Write what is queued and the end, then call ``done`` from the thread."""
        self._done = done
        if self._ended:
            done()
        self._finishing.set()
        with suppress(queue.Full):  # it does not wait for a piece, and asks when it has written them
            self._pieces.put_nowait(None)
        if not self._thread.ident:
            self._thread.start()

    def _run(self) -> None:
        try:
            while not (self._finishing.is_set() and self._pieces.empty()) and (piece := self._pieces.get()) is not None:
                self._write(piece)
            if self._stream is not None:
                self._close(self._stream)
        except Exception as error:  # raised where the next piece is given
            self.error = error
            if self._stream is not None:
                self._stream.abandon()
        self._destination.leave()
        self.lost_s += self._dropped_s
        self._ended = True
        self._done()

    def _write(self, piece: Piece) -> None:
        import av  # noqa: PLC0415

        offered = self._tap.next_templates() if self._tap and self._stream is None else {}
        packets = self._tap.take_until(piece.until_s) if self._tap else []
        if self._stream is None and not self._connected(piece, offered):
            self.lost_s += piece.end_s - piece.start_s
            return
        assert self._stream is not None
        try:
            if piece.language:
                self._stream.know_language(piece.language)
            for number, (start, samples) in enumerate(piece.sounds):
                self._stream.add_sound(number, start, samples)
            for coded in packets:
                self._copy(coded)
            for language, cue in piece.captions:
                start_s, end_s = max(cue.start, piece.start_s), max(cue.end, piece.start_s + 1.0)
                self._stream.add_caption(start_s, end_s, cue.target, language)
        except (av.error.FFmpegError, OSError) as error:
            self._lose(piece, error)

    def _copy(self, coded: CodedPacket) -> None:
        """Copy a packet; where it is coded otherwise than those before it, only a stream that begins anew can hold it."""
        assert self._stream is not None
        before = self._stream.templates.get(coded.kind)
        if before is None or coded.template in self._unlike:
            return
        if coded.template is not before and described(coded.template) != described(before):
            what = f"the {'picture' if coded.kind == 'video' else 'original sound'} is coded otherwise from here on"
            if self._destination.retries:
                raise ConnectionError(what)
            self._unlike.append(coded.template)
            self._tell(f"{what}, and is left out")
            return
        self._stream.templates[coded.kind] = coded.template
        self._stream.add_packet(coded)

    def _connected(self, piece: Piece, offered: Mapping[str, Stream]) -> bool:
        """Begin the stream, or begin it again, for what is ``offered``; False while that cannot be."""
        if piece.end_s < self._retry_at_s:
            return False
        templates = held(offered, self._destination.kind)
        if "video" in templates and self._destination.kind == "hls" and "audio" in {*offered} - {*templates}:
            self._tell("the original sound is left out: HLS cannot hold it as it is")
        try:
            self._stream = self._destination.open(self._added, templates)
        except NetworkError:
            if self._lost_at_s is None or piece.end_s > self._lost_at_s + GIVE_UP_S:
                raise
            self._retry_at_s = piece.end_s + self._retry_s
            self._retry_s = min(2 * self._retry_s, MOST_RETRY_S)
            return False
        if self._lost_at_s is not None:
            self._tell(f"connected again; {piece.start_s - self._lost_at_s:.1f} s were not sent")
            self._lost_at_s, self._retry_s = None, RETRY_S
        return True

    def _lose(self, piece: Piece, error: Exception) -> None:
        """Note that what is written is not taken any more; a disk does not come back."""
        assert self._stream is not None
        if not self._destination.retries:
            raise cannot_go_on(Path(self._destination.name), reason_of(error)) from error
        self._tell(f"the stream broke off ({reason_of(error)}); connecting again")
        self._stream.abandon()
        self._stream = None
        self._lost_at_s, self._retry_at_s = piece.start_s, piece.end_s
        self.lost_s += piece.end_s - piece.start_s

    def _close(self, stream: LiveStream) -> None:
        import av  # noqa: PLC0415

        try:
            stream.close()
        except (av.error.FFmpegError, OSError) as error:
            if not self._destination.retries:
                raise cannot_go_on(Path(self._destination.name), reason_of(error)) from error
            self._tell(f"its end was not taken ({reason_of(error)})")

    def _tell(self, message: str) -> None:
        self.notices.append(Fault("broadcast", f"{self._destination.name}: {message}", fatal=False))
