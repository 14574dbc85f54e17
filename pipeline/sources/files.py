"""Audio and video files as a source, decoded by FFmpeg (PyAV) while they are heard."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clock import Clock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault, Notice, Samples
from pipeline.lane import Lane

if TYPE_CHECKING:
    from av import AudioFrame
    from av.container import InputContainer

MISSING_S, MISSING_SHARE = 0.5, 0.05  # a file that ends so far before the length it states was cut short
EXACT = {"flac"}
"""Formats that state their length to the sample, and whose decoder skips what is damaged in silence."""
WEIGHTS = {"FC": 1.0, "FL": 0.5**0.5, "FR": 0.5**0.5, "LFE": 0.0, "LFE2": 0.0}
"""Weights of channels in a mix (ITU-R BS.775): the center carries the speech of films; others have 0.5."""


class AudioFile:
    """Any file FFmpeg can decode: its first audio stream as mono chunks of ``chunk_s`` at the file's own rate.

    ``realtime`` gives each chunk when a listener would have heard its end; otherwise chunks come as fast as they are
    taken. The file is checked at construction (`BadInput` if nothing in it can be heard) and streamed later, so an hour
    needs no more memory than a second. What was wrong with it stands in ``notices`` when the last chunk has been given.
    """

    def __init__(self, path: str | Path, *, realtime: bool, clock: Clock, chunk_s: float = 0.1) -> None:
        self.live = realtime
        self.notices: list[Notice] = []
        self.invalid_samples = 0  # NaN or infinite: heard as silence
        self._path = Path(path)
        self._clock = clock
        self._damaged_packets = 0
        self.sample_rate, self.duration_s, self._exact = _probe(self._path)
        self._cut_short = _is_cut_short(self._path)
        self._chunk = max(1, round(chunk_s * self.sample_rate))

    async def __aiter__(self) -> AsyncIterator[AudioChunk]:
        began, heard = self._clock.now(), 0
        with Lane("audio file") as lane:
            async with aclosing(lane.iterate(self._chunks())) as chunks:  # type: ignore[type-var]
                async for samples in chunks:
                    chunk = AudioChunk(samples, self.sample_rate, heard / self.sample_rate)
                    heard += len(samples)
                    if self.live:
                        await self._clock.sleep_until(began + chunk.end)
                    yield chunk
        self._report(heard / self.sample_rate)

    def _chunks(self) -> Generator[Samples, None, None]:
        """Cut the whole file into chunks of one length, the last one shorter."""
        waiting, size = [np.zeros(0, np.float32)], 0
        for samples in self._decoded():
            waiting.append(samples)
            size += len(samples)
            if size >= self._chunk:
                joined = np.concatenate(waiting)
                whole = size - size % self._chunk
                yield from joined[:whole].reshape(-1, self._chunk)
                waiting, size = [joined[whole:]], size - whole
        if size:
            yield np.concatenate(waiting)

    def _decoded(self) -> Iterator[Samples]:
        """Decode mono samples frame by frame, up to where the file can be read."""
        import av  # noqa: PLC0415

        with av.open(str(self._path)) as container:
            try:
                for packet in container.demux(container.streams.audio[0]):
                    try:
                        frames = packet.decode()
                    except av.error.FFmpegError:
                        self._damaged_packets += 1
                        continue
                    for frame in frames:
                        if frame.sample_rate != self.sample_rate:
                            self._fault(f"it changes its sample rate to {frame.sample_rate} Hz and is heard up to there")
                            return
                        yield self._cleaned(mono(frame))
            except (av.error.FFmpegError, OSError) as error:
                self._fault(f"reading it failed ({error}); it is heard up to there")

    def _cleaned(self, samples: Samples) -> Samples:
        """Replace what is no number by silence, and keep to the range that everybody after us relies on."""
        finite = np.isfinite(samples)
        if not finite.all():
            self.invalid_samples += int(np.count_nonzero(~finite))
            samples = np.where(finite, samples, np.float32(0))
        return np.clip(samples, -1, 1)

    def _report(self, heard_s: float) -> None:
        """Say what was wrong with the file, now that all of it is known."""
        if self._damaged_packets:
            self._fault(f"{self._damaged_packets} damaged packets were left out; {heard_s:.1f} s could be heard")
        if self.invalid_samples:
            self._fault(f"{self.invalid_samples} samples that are no finite numbers are heard as silence")
        missing_s = (self.duration_s or 0.0) - heard_s
        if missing_s > max(MISSING_S, MISSING_SHARE * heard_s) or self._cut_short:
            stated = f" of the {self.duration_s:.1f} s it states" if missing_s > MISSING_S else ""
            self._fault(f"it is truncated: {heard_s:.1f} s{stated} could be heard")
        elif self._exact and missing_s > 0.5 / self.sample_rate:
            self._fault(
                f"it is damaged: {missing_s:.2f} s of it could not be heard, and what follows comes so much earlier"
            )

    def _fault(self, message: str) -> None:
        self.notices.append(Fault("source", f"{self._path}: {message}", fatal=False))


def _probe(path: Path) -> tuple[int, float | None, bool]:
    """Find sample rate and stated length of a file that can be heard, and if that length is exact.

    Raises `BadInput` that says why it cannot.
    """
    import av  # noqa: PLC0415

    if not path.exists():
        raise BadInput(f"{path}: there is no such file", hint="another path")
    if not path.is_file():
        hint = "an audio or video file, or raw PCM on standard input"
        raise BadInput(f"{path} is no file but a folder or device", hint=hint)
    if path.stat().st_size == 0:
        raise BadInput(f"{path} is empty", hint="a file with audio in it")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path} may not be read by this user", hint=f"chmod u+r {path}")
    try:
        with av.open(str(path)) as container:
            return *_stated(path, container), container.format.name in EXACT
    except (av.error.FFmpegError, OSError) as error:
        raise BadInput(
            f"{path} holds no audio that FFmpeg can decode ({error.strerror}); valid are WAV, FLAC, MP3, "
            "Ogg, M4A, MP4, MKV and all else it knows",
            hint="one of them, or raw PCM on standard input",
        ) from error


def _stated_length_s(container: InputContainer) -> float | None:
    """Give the length of the audio stream, which may be shorter than the pictures beside it."""
    import av  # noqa: PLC0415

    stream = container.streams.audio[0]
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration is not None
    return (container.duration or 0) / av.time_base if alone else None


def _stated(path: Path, container: InputContainer) -> tuple[int, float | None]:
    """Find sample rate and stated length, once a first sample could be decoded."""
    import av  # noqa: PLC0415

    if not container.streams.audio:
        raise BadInput(f"{path} has no audio stream", hint="a file with sound")
    stream = container.streams.audio[0]
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue  # a damaged packet; another one may be whole
        for frame in frames:
            if frame.samples and frame.sample_rate:
                return frame.sample_rate, _stated_length_s(container)
    raise BadInput(f"{path} holds no audio samples, it may be truncated", hint="to fetch or record it again")


def _is_cut_short(path: Path) -> bool:
    """True for a WAV file that is shorter than its header says (FFmpeg takes the length from the file's size)."""
    with path.open("rb") as file:
        header = file.read(12)
    if header[:4] != b"RIFF" or header[8:] != b"WAVE":
        return False
    stated = int.from_bytes(header[4:8], "little")
    streamed = stated in (0, 0xFFFFFFFF) or stated >= 0x7FFFFFF0  # written to a pipe, whose header could not be updated
    return not streamed and path.stat().st_size + 1 < stated + 8


def mono(frame: AudioFrame) -> Samples:
    """Mix a decoded frame's channels by weight, float32 [n]; integers are scaled to -1..1."""
    values = frame.to_ndarray()
    channels = frame.layout.nb_channels
    planes = values if frame.format.is_planar else values.reshape(-1, channels).T
    floats = _scaled(planes)
    if channels == 1:
        return np.asarray(floats[0])
    weights: Samples = np.array([WEIGHTS.get(channel.name, 0.5) for channel in frame.layout.channels], np.float32)
    if not weights.any():
        weights[:] = 1
    return np.asarray((weights / weights.sum()) @ floats, np.float32)


def _scaled(values: NDArray[Any]) -> NDArray[np.float32]:
    """Scale integers of any width to -1..1 in float32; floats stay as they are."""
    match values.dtype.kind:
        case "u":  # 8-bit PCM, whose middle is 128
            return (values.astype(np.float32) - np.float32(128)) / np.float32(128)
        case "i":
            return (values / -float(np.iinfo(values.dtype).min)).astype(np.float32)
        case _:
            return values.astype(np.float32)
