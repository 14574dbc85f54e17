"""Coded packets of a source that is heard, kept for who copies them: they are not decoded for it, and not read twice."""

from __future__ import annotations

import io
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.stream import Stream

MOST_BYTES = 256 * 2**20  # that wait: half a minute of what a broadcaster sends, many times over
MOST_EARLY = 1000  # packets before the first that is heard
AHEAD_S = 5.0  # further than that no packet lies before one that came later


@dataclass(frozen=True, slots=True, eq=False)
class CodedPacket:
    """A packet of ``kind`` video or audio; ``at_s`` and its timestamps plus ``shift_s`` are stream time.

    ``template`` describes how its stream is coded, and lives as long as it is needed.
    """

    packet: Packet
    kind: str
    at_s: float
    shift_s: float
    template: Stream


class PacketTap:
    """The packets of the picture and of the sound that is heard, from the thread that reads them to the one that copies.

    `begin` is called for each container that is opened, and `place` when its beginning's stream time is known. What nobody
    takes is bounded by ``most_bytes``: then the newest packets are dropped, up to the next key frame, and counted. That
    timestamps jumped is known only by the sound that is decoded: packets that came between are then placed again.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.templates: dict[str, Stream] = {}  # of the container that is open, by kind
        self.ended = False  # all that the source has was read
        self.dropped = 0
        self._most_bytes = most_bytes
        self._waiting: deque[CodedPacket] = deque()
        self._lock = threading.Lock()  # of those that wait
        self._shift_s: float | None = None  # of the last packet
        self._early: list[tuple[Packet, str, float]] = []
        self._bytes = 0  # that were added; those that were taken are counted apart, since that is another thread
        self._taken_bytes = 0
        self._begin_s: float | None = None
        self._kinds: dict[int, str] = {}
        self._skips = False

    def begin(self, container: InputContainer, heard: Stream) -> list[Stream]:
        """Take note of a container that was opened; gives its streams that are to be read beside the one that is heard."""
        picture = next(filter(is_kept, container.streams.video), None)
        chosen: dict[str, Stream] = {"audio": heard} | ({"video": picture} if picture else {})
        self._kinds = {stream.index: kind for kind, stream in chosen.items()}
        self.templates = {kind: template for kind, one in chosen.items() if (template := _kept_template(one)) is not None}
        self._begin_s = self._shift_s = None
        self._early.clear()
        return [picture] if picture else []

    def place(self, begin_s: float) -> None:
        """Say where in stream time the container begins; packets that came before are placed, too."""
        if self._begin_s is None:
            self._begin_s = begin_s
            for packet, kind, shift_s in self._early:
                self._place(packet, kind, shift_s + begin_s)
            self._early.clear()

    def add(self, packet: Packet, shift_s: float) -> None:
        """Add the next packet, whose timestamps plus ``shift_s`` are the container's time."""
        kind = self._kinds.get(packet.stream.index)
        if kind is None or kind not in self.templates or not packet.size:
            return
        if self._begin_s is None:
            self._early = [*self._early[-MOST_EARLY:], (packet, kind, shift_s)]
        else:
            self._place(packet, kind, shift_s + self._begin_s)

    def next_templates(self) -> dict[str, Stream]:
        """Return the template of each kind's next packet; that of the container that is open where none waits."""
        with self._lock:
            return self.templates | {one.kind: one.template for one in reversed(self._waiting)}

    def take_until(self, moment_s: float) -> list[CodedPacket]:
        """Take the packets up to the first that is not before a moment."""
        taken = []
        with self._lock:
            while self._waiting and self._waiting[0].at_s < moment_s:
                taken.append(self._waiting.popleft())
                self._taken_bytes += taken[-1].packet.size
        return taken

    def _place(self, packet: Packet, kind: str, shift_s: float) -> None:
        stamp = packet.pts if packet.dts is None else packet.dts
        if self._bytes - self._taken_bytes > self._most_bytes:
            self._skips = True
        elif packet.is_keyframe and (kind == "video" or "video" not in self.templates):
            self._skips = False
        if stamp is None or self._skips:
            self.dropped += 1
            return
        self._bytes += packet.size
        at_s = float(stamp * packet.time_base) + shift_s
        with self._lock:
            if self._shift_s not in {None, shift_s}:
                self._place_again(at_s, shift_s)
            self._shift_s = shift_s
            self._waiting.append(CodedPacket(packet, kind, at_s, shift_s, self.templates[kind]))

    def _place_again(self, at_s: float, shift_s: float) -> None:
        """Shift packets of this container, which would hold up all that come, so that they lie before the next."""
        for number, one in enumerate(self._waiting):
            if one.at_s > at_s + AHEAD_S and one.template is self.templates[one.kind]:
                self._waiting[number] = replace(one, at_s=one.at_s + shift_s - one.shift_s, shift_s=shift_s)


def described(template: Stream) -> tuple[Any, ...]:
    """Give what a decoder must know of a stream: where it differs, the packets of one cannot follow those of the other."""
    context: Any = template.codec_context
    shape = (context.width, context.height) if template.type == "video" else (context.sample_rate, context.channels)
    return (context.name, *shape, context.extradata)


def is_kept(stream: Stream) -> bool:
    """Tell if a stream can be copied: FFmpeg knows how it is coded, and it is no cover."""
    from av.stream import Disposition  # noqa: PLC0415

    return stream.codec_context is not None and not stream.disposition & Disposition.attached_pic


def _kept_template(stream: Stream) -> Stream | None:
    """Describe a stream in a container of our own, since its own may be closed before it is copied."""
    import av  # noqa: PLC0415

    carrier = av.open(io.BytesIO(), "w", format="nut")
    try:
        template: Stream = carrier.add_stream_from_template(stream, opaque=True)
    except ValueError:  # nobody could copy it
        return None
    template.metadata.update(stream.metadata)
    return template
