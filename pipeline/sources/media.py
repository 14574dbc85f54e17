"""Audio of a container that FFmpeg (PyAV) opened: one track as mono samples that lie where their timestamps say."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.multichannel import ChannelLevels, Downmix
from pipeline.errors import BadInput
from pipeline.events import Fault, Notice, Samples
from pipeline.sources.packet_tap import PacketTap
from pipeline.sources.tracks import Track, chosen_track, tracks_of

if TYPE_CHECKING:
    from av import AudioFrame, Packet
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream

EXACT = {"flac"}
"""Formats that state their length to the sample, and whose decoder skips what is damaged in silence."""
FRAMED = {"mp3", "aac", "ac3", "eac3", "dts", "loas", "truehd"}
"""Formats without header and timestamps, which are frames from the first byte on; PCM can be taken for one of them."""
TOLERANCE_S = 0.05  # containers round timestamps, and recorders are late: frames that lie closer follow each other
DAMAGE_TOLERANCE_S = 0.002
LEAP_S, BACK_S = 3600.0, 0.25  # timestamps that jump further begin anew
BLOCK_S = 1.0  # the longest piece of silence at once
PLACES = 3  # damaged places that are told one by one
SILENT = 1e-3  # -60 dB
SILENT_S = 10.0  # of a track, after which one beside it that has sound is named


class Media:
    """The chosen audio track of an open container, from the container's start on, without gaps.

    A sample's position is its timestamp minus the container's start; where nothing lies, or cannot be decoded, there is
    silence. Timestamps that leap by ``leap_s`` begin anew. ``notices`` grows while `samples` runs, with places in seconds
    from the container's start. A ``tap`` gets the coded packets. Raises `BadInput` for no audio track, or none ``wanted``.
    """

    def __init__(
        self,
        name: str,
        container: InputContainer,
        wanted: str | None = None,
        languages: Collection[str] = (),
        *,
        leap_s: float = LEAP_S,
        levels: ChannelLevels | None = None,
        tap: PacketTap | None = None,
    ) -> None:
        self.name = name
        self.notices: list[Notice] = []
        self.invalid_samples = 0  # NaN or infinite: heard as silence
        self.begin_s: float | None = None  # of the first sample that could be decoded
        self.tracks = tracks_of(container)
        if not self.tracks:
            raise BadInput(f"{name} has no audio stream", hint="a file with sound")
        self.track = chosen_track(name, self.tracks, wanted, languages)
        self._container = container
        self.stream: AudioStream = container.streams.audio[self.track.number - 1]
        self._tap = tap
        self._beside_it: list[Stream] = tap.begin(container, self.stream) if tap else []
        self.sample_rate = 0  # known with the first frame
        self._zero_s = None if container.start_time is None else container.start_time / 1e6
        self._shift_s = 0.0
        self._leap_s = leap_s
        self._framed = container.format.name in FRAMED
        self._decoded_bytes, self._decoded_s = 0, 0.0  # of packets
        self._exact = container.format.name in EXACT
        self._position = 0
        self._held: list[Samples] = []  # of frames after damage, until a timestamp says where they lie
        self._hurt_to_s: float | None = None  # the end of packets that could not be decoded
        self._places = self._hurt_packets = 0
        self._downmix, self._levels = Downmix(), levels
        self._peak = 0.0
        self._beside: Track | None = None
        self._told_silent = False

    @property
    def end_s(self) -> float:
        """Give how far it was decoded."""
        return self._position / (self.sample_rate or 1)

    @property
    def choice(self) -> str:
        """Say which of several tracks is heard; empty if there is only one."""
        if len(self.tracks) == 1:
            return ""
        others = "; ".join(str(track) for track in self.tracks if track != self.track)
        return f"{self.name}: audio track {self.track} of {len(self.tracks)} is heard, not {others}"

    def samples(self) -> Iterator[Samples]:
        """Decode the track; an error of reading it ends it with a notice."""
        import av  # noqa: PLC0415

        try:
            yield from self.decoded()
        except (av.error.FFmpegError, OSError) as error:
            self.fault(f"reading it failed ({error}); it is heard up to there")
        yield from self._finished()

    def decoded(self) -> Iterator[Samples]:
        """Decode frame by frame; raises the errors of reading."""
        import av  # noqa: PLC0415

        indices = {stream.index: track for stream, track in zip(self._container.streams.audio, self.tracks, strict=True)}
        for packet in self._container.demux(*self._container.streams.audio, *self._beside_it):
            if self._tap is not None:
                self._tap.add(packet, self._shift_s - (self._zero_s or 0.0))
            if packet.stream.index != self.stream.index:
                if packet.stream.index in indices:
                    self._look_beside(packet, indices[packet.stream.index])
                continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._hurt(packet)
                continue
            self._decoded_bytes += packet.size
            self._decoded_s += _length_s(packet)
            for frame in frames:
                if not isinstance(frame, av.AudioFrame) or not frame.samples or not frame.sample_rate:
                    continue
                self.sample_rate = self.sample_rate or frame.sample_rate
                if frame.sample_rate != self.sample_rate:
                    self.fault(f"it changes its sample rate to {frame.sample_rate} Hz and is heard up to there")
                    return
                yield from self._placed(frame)

    def fault(self, message: str) -> None:
        """Tell what is wrong with it."""
        self.notices.append(Fault("source", f"{self.name}: {message}", fatal=False))

    def report(self) -> None:
        """Tell what is known only at the end."""
        if self._hurt_packets and not self._places:
            self.fault(f"{self._hurt_packets} packets could not be decoded and were left out")
        if self._places > PLACES:
            self.fault(f"{self._places} places of it are damaged; {self._hurt_packets} packets could not be decoded")
        if self.invalid_samples:
            self.fault(f"{self.invalid_samples} samples that are no finite numbers are heard as silence")
        self._tell_silent()

    def _placed(self, frame: AudioFrame) -> Iterator[Samples]:
        """Put a frame where its timestamp says: after silence, or without what lies there already."""
        samples = self._mono(frame)
        if frame.time is None:
            if self._hurt_to_s is not None or self._held or (self._exact and self._position):
                self._held.append(samples)
                if len(self._held) < 100:  # noqa: PLR2004 - no more timestamps come
                    return
                samples, self._held = np.concatenate(self._held), []
            yield self._given(samples)
            return
        if self._zero_s is None:
            self._zero_s = frame.time
        at = round((frame.time - self._zero_s + self._shift_s) * self.sample_rate)
        if self._held:
            at -= sum(map(len, self._held))
            samples, self._held = np.concatenate([*self._held, samples]), []
        ahead = at - self._position
        if not -BACK_S < ahead / self.sample_rate < self._leap_s:
            self._shift_s -= ahead / self.sample_rate
            self.fault(f"its timestamps jump by {ahead / self.sample_rate:+.1f} s at {self._place()}; it goes on there")
        elif ahead > 0 and self._strays(ahead):
            yield from self._silence(ahead, damaged=bool(self._hurt_to_s is not None or (self._exact and self._position)))
        elif ahead < 0 and self._strays(-ahead):
            samples = samples[-ahead:]
        self._hurt_to_s = None
        if len(samples):
            yield self._given(samples)

    def _strays(self, samples: int) -> bool:
        exact = self._exact or self._hurt_to_s is not None
        return samples > (DAMAGE_TOLERANCE_S if exact else TOLERANCE_S) * self.sample_rate

    def _silence(self, length: int, damaged: bool) -> Iterator[Samples]:
        if damaged:
            self._places += 1
            if self._places <= PLACES:
                end_s = (self._position + length) / self.sample_rate
                self.fault(f"it is damaged: {length / self.sample_rate:.2f} s at {self._place()} to {end_s:.2f} s "
                           "could not be decoded and are silence")  # fmt: skip
        while length > 0:
            piece = min(length, round(BLOCK_S * self.sample_rate))
            length -= piece
            self._position += piece
            yield np.zeros(piece, np.float32)

    def _place(self) -> str:
        return f"{self._position / self.sample_rate:.2f} s"

    def _hurt(self, packet: Packet) -> None:
        """Note a packet that cannot be decoded, and where it ends."""
        self._hurt_packets += 1
        self._hurt_to_s = self._hurt_to_s or 0.0
        if self._framed and self._decoded_bytes:  # all damaged bytes come as one packet, of one frame's length
            by_size_s = packet.size * self._decoded_s / self._decoded_bytes
            self._shift_s += max(0.0, by_size_s - _length_s(packet))
        if packet.pts is not None and packet.time_base is not None and self._zero_s is not None:
            end_s = float(packet.pts * packet.time_base) + _length_s(packet)
            self._hurt_to_s = max(self._hurt_to_s, end_s - self._zero_s + self._shift_s)

    def _finished(self) -> Iterator[Samples]:
        """Give what is held, and silence for packets at the end that could not be decoded."""
        if self._held:
            yield self._given(np.concatenate(self._held))
        if self._hurt_to_s and self.sample_rate:
            missing = round(self._hurt_to_s * self.sample_rate) - self._position
            if 0 < missing < self._leap_s * self.sample_rate:
                yield from self._silence(missing, damaged=True)

    def _given(self, samples: Samples) -> Samples:
        """Count samples, and keep them to finite numbers in the range that everybody after us relies on."""
        finite = np.isfinite(samples)
        if not finite.all():
            self.invalid_samples += int(np.count_nonzero(~finite))
            samples = np.where(finite, samples, np.float32(0))
        self.begin_s = self.end_s if self.begin_s is None else self.begin_s
        self._position += len(samples)
        if self._peak < SILENT:
            self._peak = max(self._peak, float(np.abs(samples).max(initial=0)))
            if self.end_s - self.begin_s > SILENT_S:
                self._tell_silent()
        return np.clip(samples, -1, 1)

    def _mono(self, frame: AudioFrame) -> Samples:
        """Mix a frame to mono, and tell once if its channels cancel."""
        louder = self._downmix.louder
        named = [one.name for one in frame.layout.channels]
        names = [f"channel {number}" if name == "NONE" else name for number, name in enumerate(named, 1)]
        planes = planes_of(frame)
        samples = self._downmix.mix(planes, frame.sample_rate, names)
        if self._levels is not None:
            self._levels.add(planes, frame.sample_rate, self.end_s)
        if self._downmix.louder != louder:
            self.fault(
                f"its channels cancel each other (opposite phase) at {self._place()}; "
                f"the louder one, {self._downmix.louder}, is heard"
            )
        return samples

    def _look_beside(self, packet: Packet, track: Track) -> None:
        """Look for sound in another track, while the chosen one has none."""
        import av  # noqa: PLC0415

        if self._beside is not None or self._peak >= SILENT:
            return
        try:
            frames = [frame for frame in packet.decode() if isinstance(frame, av.AudioFrame)]
        except av.error.FFmpegError:
            return
        if any(np.abs(planes_of(frame)).max(initial=0) >= SILENT for frame in frames):
            self._beside = track

    def _tell_silent(self) -> None:
        if self._beside is not None and self._peak < SILENT and not self._told_silent:
            self._told_silent = True
            self.fault(f"audio track {self.track} is silent; track {self._beside} has sound")


def _length_s(packet: Packet) -> float:
    return float(packet.duration * packet.time_base) if packet.duration and packet.time_base else 0.0


def planes_of(frame: AudioFrame) -> NDArray[np.float32]:
    """Give a frame's channels, float32 [channels, n]; integers are scaled to -1..1."""
    values = frame.to_ndarray()
    return _scaled(values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T)


def _scaled(values: NDArray[Any]) -> NDArray[np.float32]:
    """Scale integers of any width to -1..1 in float32; floats stay as they are."""
    match values.dtype.kind:
        case "u":  # 8-bit PCM, whose middle is 128
            return (values.astype(np.float32) - np.float32(128)) / np.float32(128)
        case "i":
            return (values / -float(np.iinfo(values.dtype).min)).astype(np.float32)
        case _:
            return values.astype(np.float32)


def in_chunks(pieces: Iterator[Samples], length: int) -> Iterator[Samples]:
    """Cut pieces into chunks of one length, the last one shorter."""
    waiting, size = [np.zeros(0, np.float32)], 0
    for samples in pieces:
        waiting.append(samples)
        size += len(samples)
        if size >= length:
            joined = np.concatenate(waiting)
            whole = size - size % length
            yield from joined[:whole].reshape(-1, length)
            waiting, size = [joined[whole:]], size - whole
    if size:
        yield np.concatenate(waiting)
