"""Files as sources: a talk, or several of them one after the other, in any format that FFmpeg (PyAV) decodes."""

from __future__ import annotations

import os
import struct
from collections.abc import AsyncGenerator, Collection, Generator, Sequence
from contextlib import aclosing
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from pipeline.audio.multichannel import ChannelLevels
from pipeline.audio.resampling import Resampler
from pipeline.clock import Clock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Notice, Samples
from pipeline.lane import Lane
from pipeline.sources.media import EXACT, Media, in_chunks
from pipeline.sources.packet_tap import PacketTap

if TYPE_CHECKING:
    from av.container import InputContainer

MISSING_S, MISSING_SHARE = 0.5, 0.05  # a file that ends so far before the length it states was cut short
LOCAL = "file,crypto,data"  # protocols: a playlist on disk fetches nothing from a network
_UNKNOWN = (0, 0xFFFFFFFF)
_AFTER_SAMPLES = {b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"JUNK", b"PAD ", b"fact", b"cue ", b"smpl", b"PEAK"}
_TAGS = (b"ID3", b"TAG")  # that programs append to any file


def open_local(path: Path, **options: str) -> InputContainer:
    """Open a file of this machine and nothing else, whatever its name looks like and whatever it names."""
    import av  # noqa: PLC0415

    return cast("InputContainer", av.open(f"file:{path}", options={"protocol_whitelist": LOCAL, **options}))


class WavLength(Enum):
    """Comparison of a WAV file's length with what its header states."""

    AS_STATED = "as stated"  # or no WAV file
    LESS = "less"
    MORE = "more"


def wav_length(path: Path) -> WavLength:
    """Compare a file's length with its header: FFmpeg hears what both allow."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(12)
        if header[:4] != b"RIFF" or header[8:] != b"WAVE":
            return WavLength.AS_STATED
        stated = int.from_bytes(header[4:8], "little")
        streamed = stated in _UNKNOWN or stated >= 0x7FFFFFF0  # written to a pipe, whose header could not be updated
        at, inside = 12, False
        while at + 8 <= size:
            file.seek(at)
            name, length = struct.unpack("<4sI", file.read(8))
            known = name in _AFTER_SAMPLES or (name.isascii() and name != b"RIFF" and at + 8 + length <= size + 1)
            if inside and not known:
                return WavLength.AS_STATED if name.startswith(_TAGS) else WavLength.MORE
            inside = inside or name == b"data"
            if name == b"data" and (length in _UNKNOWN or length >= 0x7FFFFFF0):
                return WavLength.AS_STATED
            at += 8 + length + length % 2
    return WavLength.LESS if not streamed and size + 1 < stated + 8 else WavLength.AS_STATED


class AudioFile:
    """Any file FFmpeg can decode: one audio track as mono chunks of ``chunk_s`` at the file's own rate, without gaps.

    ``track`` is the track's number from 1 or its language; without one the default track is heard, or one of ``languages``.
    ``realtime`` gives each chunk when a listener would have heard its end; otherwise chunks come as fast as they are
    taken. ``levels`` are told how loud each channel is, and a ``tap`` gets the coded packets. The file is checked at
    construction (`BadInput` if nothing in it can be heard) and streamed later, so an hour needs no more memory than a
    second. What is wrong with it is added to ``notices`` when it is known.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        realtime: bool,
        clock: Clock,
        chunk_s: float = 0.1,
        track: str | None = None,
        languages: Collection[str] = (),
        levels: ChannelLevels | None = None,
        tap: PacketTap | None = None,
    ) -> None:
        self.live = realtime
        self.notices: list[Notice] = []
        self.invalid_samples = 0
        self._path = Path(path)
        self._clock = clock
        self._wanted, self._languages, self._levels = track, languages, levels
        self._tap = tap
        self._wav = _checked(self._path)
        self.sample_rate, self.duration_s, self._exact, self.choice = self._probed()
        self._chunk = max(1, round(chunk_s * self.sample_rate))

    async def __aiter__(self) -> AsyncGenerator[AudioChunk, None]:
        began, heard = self._clock.now(), 0
        with Lane("audio file") as lane:
            async with aclosing(lane.iterate(self._chunks())) as chunks:
                async for samples in chunks:
                    chunk = AudioChunk(samples, self.sample_rate, heard / self.sample_rate)
                    heard += len(samples)
                    if self.live:
                        await self._clock.sleep_until(began + chunk.end)
                    yield chunk

    def _check_channels(self, media: Media) -> None:
        channels = media.stream.codec_context.channels
        if self._levels is not None and channels < 2:  # noqa: PLR2004 - a speaker each
            raise BadInput(
                f"{self._path} has one channel: its speakers do not have a channel each", hint="speakers by voice"
            )

    def _open(self) -> InputContainer:
        return open_local(self._path, **({"ignore_length": "1"} if self._wav is WavLength.MORE else {}))

    def _chunks(self) -> Generator[Samples, None, None]:
        """Decode the whole file in chunks of one length, then tell what was wrong with it."""
        with self._open() as container:
            media = Media(str(self._path), container, self._wanted, self._languages, levels=self._levels, tap=self._tap)
            media.notices = self.notices
            if self._tap is not None:
                self._tap.place(0.0)
            yield from in_chunks(media.samples(), self._chunk)
            if self._tap is not None:
                self._tap.ended = True
            self._report(media)

    def _report(self, media: Media) -> None:
        media.report()
        self.invalid_samples = media.invalid_samples
        heard_s = media.end_s - (media.begin_s or 0.0)
        missing_s = (self.duration_s or 0.0) - heard_s
        if self._wav is WavLength.MORE:
            media.fault(f"its header states less than the {heard_s:.1f} s it holds; all of it is heard")
        elif missing_s > max(MISSING_S, MISSING_SHARE * heard_s) or self._wav is WavLength.LESS:
            stated = f" of the {self.duration_s:.1f} s it states" if missing_s > MISSING_S else ""
            media.fault(f"it is truncated: {heard_s:.1f} s{stated} could be heard")
        elif self._exact and missing_s > 0.5 / self.sample_rate:
            media.fault(
                f"it is damaged: {missing_s:.2f} s of it could not be heard, and what follows comes so much earlier"
            )

    def _probed(self) -> tuple[int, float | None, bool, str]:
        """Find sample rate and stated length, if that is exact, and which track of several is heard.

        Raises `BadInput` for a file of which nothing can be decoded.
        """
        import av  # noqa: PLC0415

        try:
            with self._open() as container:
                media = Media(str(self._path), container, self._wanted, self._languages)
                if next(media.decoded(), None) is not None:
                    self._check_channels(media)
                    duration_s = _stated_length_s(container, media)
                    return media.sample_rate, duration_s, container.format.name in EXACT, media.choice
        except (av.error.FFmpegError, OSError) as error:
            raise BadInput(
                f"{self._path} holds no audio that FFmpeg can decode ({error.strerror}); valid are WAV, FLAC, MP3, "
                "Ogg, M4A, MP4, MKV and all else it knows",
                hint="one of them, or raw PCM on standard input",
            ) from error
        raise BadInput(f"{self._path} holds no audio samples, it may be truncated", hint="to fetch or record it again")


def _checked(path: Path) -> WavLength:
    """Compare a WAV file's length with what it states; raises `BadInput` for what is no file that can be read."""
    if not path.exists():
        raise BadInput(f"{path}: there is no such file", hint="another path")
    if not path.is_file():
        hint = "an audio or video file, or raw PCM on standard input"
        raise BadInput(f"{path} is no file but a folder or device", hint=hint)
    if path.stat().st_size == 0:
        raise BadInput(f"{path} is empty", hint="a file with audio in it")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path} may not be read by this user", hint=f"chmod u+r {path}")
    return wav_length(path)


def _stated_length_s(container: InputContainer, media: Media) -> float | None:
    """Give the length of the audio track, which may be shorter than the pictures beside it."""
    import av  # noqa: PLC0415

    stream = media.stream
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration is not None
    return (container.duration or 0) / av.time_base if alone else None


GAP_S = 0.6  # between two recordings: a pause after which an utterance is over


class Playlist:
    """A source that plays its tracks one after the other, at the highest rate of them, with silence between.

    What a track has to say about itself comes when it is known.
    """

    def __init__(self, tracks: Sequence[AudioFile], clock: Clock) -> None:
        self.live = tracks[0].live
        self.sample_rate = max(track.sample_rate for track in tracks)  # a lower one would muffle the others
        self._tracks = tracks
        self._clock = clock

    @property
    def duration_s(self) -> float | None:
        """Sum of what the tracks and the gaps between them last; none if a track does not tell."""
        lengths = [track.duration_s for track in self._tracks]
        known = [length for length in lengths if length is not None]
        return sum(known) + GAP_S * (len(known) - 1) if len(known) == len(lengths) else None

    async def __aiter__(self) -> AsyncGenerator[AudioChunk | Notice, None]:
        end = 0.0
        for number, track in enumerate(self._tracks):
            if number:
                silence = await self._silence(end)
                end = silence.end
                yield silence
            async with aclosing(self._heard(track, end)) as chunks:
                async for chunk in chunks:
                    end = chunk.end
                    yield chunk
                    while track.notices:
                        yield track.notices.pop(0)
            while track.notices:
                yield track.notices.pop(0)

    async def _heard(self, track: AudioFile, start: float) -> AsyncGenerator[AudioChunk, None]:
        """Resample the track's chunks to our rate, placed from ``start`` on."""
        resampler, given = Resampler(track.sample_rate, self.sample_rate), 0
        async with aclosing(aiter(track)) as chunks:
            async for chunk in chunks:
                samples = resampler.process(chunk.samples)
                yield AudioChunk(samples, self.sample_rate, start + given / self.sample_rate)
                given += len(samples)
        if len(rest := resampler.process(np.zeros(0, np.float32), last=True)):
            yield AudioChunk(rest, self.sample_rate, start + given / self.sample_rate)

    async def _silence(self, start: float) -> AudioChunk:
        silence = AudioChunk(np.zeros(round(GAP_S * self.sample_rate), np.float32), self.sample_rate, start)
        if self.live:
            await self._clock.sleep_until(self._clock.now() + silence.duration)
        return silence
