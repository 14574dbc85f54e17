"""Containers that can be watched while they are written: FLV for an RTMP server, HLS in a folder (FFmpeg by PyAV)."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pipeline.errors import BadInput
from pipeline.events import Samples
from pipeline.languages import iso_639_2, language_name
from pipeline.sinks.caption_text import shown
from pipeline.sinks.film_container import kept_streams
from pipeline.sinks.rtmp import RtmpConnection
from pipeline.sources.files import open_local
from pipeline.sources.packet_tap import CodedPacket

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer
    from av.stream import Stream

SAMPLE_RATE = 48_000
COMMENT = "AI-generated speech and captions: a live machine translation by translate-live"
SEGMENT_S = 4.0
LEAD_S = 1.0  # added to all timestamps, so that none before the first picture, for a decoder to start with, is negative
ORIGINAL, PICTURE, CAPTIONS = "original", "picture", "captions"  # as HLS's files are named
FLV_PICTURES = {"h264"}  # that RTMP servers take
HLS_SOUNDS = {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}
_MS = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class Added:
    """Tracks that are added: speech by language, the first by default, and captions in a language (empty: none)."""

    speech: tuple[str, ...]
    captions: str = ""


def pictures_of(kind: str) -> set[str]:
    """List the codecs of pictures that ``flv`` or ``hls`` can hold."""
    import av  # noqa: PLC0415

    if kind == "flv":
        return FLV_PICTURES
    with av.open(os.devnull, "w", format="mp4") as container:
        able: set[str] = container.supported_codecs
        return able & {"h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9"}


def check_picture(codec: str, kind: str) -> None:
    """Raise `BadInput`, which names what can, if a live stream cannot hold a picture."""
    if codec not in pictures_of(kind):
        able = "a playlist, live.m3u8" if kind == "flv" and codec in pictures_of("hls") else "a film as a file, .mkv"
        name = "an RTMP stream" if kind == "flv" else "HLS"
        raise BadInput(f"{name} cannot hold the {codec} picture of what is heard", hint=able, code="container")


def held(templates: Mapping[str, Stream], kind: str) -> dict[str, Stream]:
    """Give the streams of a source that a live stream can hold; raises `BadInput` if the picture is not among them."""
    if "video" in templates:
        check_picture(templates["video"].codec.canonical_name, kind)
    able = HLS_SOUNDS if kind == "hls" and "video" in templates else ()
    return {name: one for name, one in templates.items() if name == "video" or one.codec.canonical_name in able}


def check_source(source: Path, kind: str) -> None:
    """Raise `BadInput` if a live stream cannot hold a film's picture."""
    import av  # noqa: PLC0415

    with suppress(av.error.FFmpegError, OSError), open_local(source) as film:  # who hears it tells
        for stream in kept_streams(film):
            if stream.type == "video":
                check_picture(stream.codec.canonical_name, kind)


class LiveStream:
    """A container that is being written; times are stream time, and packets come in the order in which they are coded.

    ``templates`` are those of a `PacketTap` that it can hold. Its methods wait for who takes what is written.
    """

    def __init__(self, out: OutputContainer, added: Added, templates: Mapping[str, Stream]) -> None:
        self.templates = dict(templates)
        self._out = out
        self._out.metadata["comment"] = COMMENT
        self._copied = {kind: out.add_stream_from_template(template, opaque=True) for kind, template in templates.items()}
        self._speech: list[Any] = [self._speech_stream(language) for language in added.speech]
        self._captions = self._caption_stream(added.captions) if added.captions else None
        self._shown_ms = 0
        self._last_dts: dict[str, int] = {}
        self._held: dict[str, Packet] = {}  # the last of each kind, until it is known how long it lasts
        self._whole = "video" not in templates  # a key frame was written, with which a decoder can start

    def add_sound(self, number: int, start: int, samples: Samples) -> None:
        """Write samples [n] of a track of speech that begin at sample ``start`` at `SAMPLE_RATE`."""
        import av  # noqa: PLC0415

        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), "flt", "mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        frame.pts = start + round(LEAD_S * SAMPLE_RATE)
        self._out.mux(self._speech[number].encode(frame))

    def add_packet(self, coded: CodedPacket) -> None:
        """Write a packet as it is, when the next is known; those of a picture before its first key frame are left out."""
        packet = coded.packet
        if coded.kind == "video":
            self._whole = self._whole or packet.is_keyframe
        if coded.kind not in self._copied or not self._whole:
            return
        shift = round((coded.shift_s + LEAD_S) / packet.time_base)
        stamp = packet.dts if packet.dts is not None else cast(int, packet.pts)
        dts = max(stamp + shift, self._last_dts.get(coded.kind, -1) + 1)
        packet.pts = dts if packet.pts is None else max(packet.pts + shift, dts)
        packet.dts = self._last_dts[coded.kind] = dts
        before, self._held[coded.kind] = self._held.get(coded.kind), packet
        if before is not None:
            before.duration = dts - cast(int, before.dts)  # by which MP4 places the first packet of a segment
            self._mux_copied(coded.kind, before)

    def _mux_copied(self, kind: str, packet: Packet) -> None:
        packet.stream = self._copied[kind]
        self._out.mux(packet)

    def add_caption(self, start_s: float, end_s: float, text: str) -> None:
        """Write a cue, where there are captions."""
        import av  # noqa: PLC0415

        if self._captions is None:
            return
        packet: Packet = av.Packet(shown(text, "vtt").encode(errors="replace"))
        packet.stream, packet.time_base = self._captions, _MS
        packet.pts = packet.dts = max(round((start_s + LEAD_S) * 1000), self._shown_ms)
        packet.duration = max(1, round((end_s + LEAD_S) * 1000) - packet.pts)
        self._shown_ms = packet.pts + packet.duration
        self._out.mux(packet)

    def close(self) -> None:
        """Write the end."""
        for kind, packet in self._held.items():
            self._mux_copied(kind, packet)
        self._held.clear()
        for stream in self._speech:
            self._out.mux(stream.encode(None))
        self._out.close()

    def abandon(self) -> None:
        """Let go of a container that cannot be written any more."""
        import av  # noqa: PLC0415

        with suppress(av.error.FFmpegError, OSError):  # it has said once that it cannot go on
            self._out.close()

    def _speech_stream(self, language: str) -> Any:  # noqa: ANN401 - PyAV's types tell streams by literals
        stream: Any = self._out.add_stream("aac", rate=SAMPLE_RATE)
        stream.layout, stream.bit_rate = "mono", 96_000
        stream.metadata.update(language=iso_639_2(language), title=ai_generated(language))
        return stream

    def _caption_stream(self, language: str) -> Stream:
        stream = self._out.add_mux_stream("webvtt")
        stream.time_base = _MS
        stream.metadata.update(language=iso_639_2(language))
        return stream


class FlvStream(LiveStream):
    """FLV, with a picture and one track of speech, on an RTMP connection."""

    def __init__(self, connection: RtmpConnection, added: Added, templates: Mapping[str, Stream]) -> None:
        import av  # noqa: PLC0415

        options = {"max_interleave_delta": "1000000", "flvflags": "no_duration_filesize", "flush_packets": "1"}
        out = av.open(cast(io.RawIOBase, connection), "w", format="flv", options=options)
        super().__init__(out, Added(added.speech[:1]), templates)
        self._connection = connection

    def close(self) -> None:
        """Write the end, and close the connection."""
        try:
            super().close()
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Let go of the connection."""
        super().abandon()
        self._connection.close()


class SegmentFile:
    """A file that FFmpeg writes; the errors, which its HLS muxer does not heed, are added to ``failures``."""

    def __init__(self, name: str, failures: list[OSError]) -> None:
        self._failures = failures
        self._file: io.FileIO | None = None
        try:
            self._file = io.FileIO(name, "w")
        except OSError as error:
            failures.append(error)

    def write(self, data: bytes) -> int:
        """Write all of it, or nothing more after an error."""
        left = memoryview(data)
        try:
            while left and self._file is not None and not self._failures:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._failures.append(error)
        return len(data)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class HlsStream(LiveStream):
    """HLS in fragmented MP4: a playlist of playlists with picture, each track of speech, original sound, captions.

    Without a picture it is one playlist of the first track of speech. Segments that are older than ``window_s`` are deleted
    (none: none is). A second stream at the same place would have others' names for its segments.
    """

    def __init__(self, path: Path, added: Added, templates: Mapping[str, Stream], window_s: float | None) -> None:
        import av  # noqa: PLC0415

        flags = "independent_segments+temp_file" + ("+delete_segments" if window_s else "")
        options = {
            "hls_segment_type": "fmp4",
            "hls_time": f"{SEGMENT_S:g}",
            "hls_list_size": str(max(3, round(window_s / SEGMENT_S)) if window_s else 0),
            "hls_flags": flags,
            "hls_start_number_source": "epoch",
            "max_interleave_delta": "1000000",
        } | ({} if window_s else {"hls_playlist_type": "event"})
        self._labels = _labels(added, templates)
        self._master: Path | None = None
        self._named = False
        name = path.stem
        if "video" in templates:
            self._master = path
            options["master_pl_name"] = path.name
            options["var_stream_map"] = _variants(added, templates)
            name = f"{path.stem}_%v"
            path.unlink(missing_ok=True)
        else:
            added = Added(added.speech[:1])
        options["hls_segment_filename"] = f"{path.with_name(name)}_%d.m4s"
        options["hls_fmp4_init_filename"] = f"{name}_init.mp4"
        self._failures: list[OSError] = []

        def opened(name: str, flags: int, options: Mapping[str, str]) -> SegmentFile:
            return SegmentFile(name, self._failures)

        playlist = str(path.with_name(f"{name}.m3u8"))
        out = av.open(playlist, "w", format="hls", options=options, io_open=opened)
        super().__init__(out, added, templates)

    def add_sound(self, number: int, start: int, samples: Samples) -> None:
        """Write sound, where there is a place for it, and name the tracks once their list is there."""
        if number < len(self._speech):
            super().add_sound(number, start, samples)
        self._check()
        self._name_tracks()

    def close(self) -> None:
        """Write the end of all playlists."""
        super().close()
        self._check()
        self._named = False  # FFmpeg has written their list again
        self._name_tracks()

    def _check(self) -> None:
        """Raise the first error of writing."""
        if self._failures:
            raise self._failures[0]

    def _name_tracks(self) -> None:
        if not self._named and self._master is not None and self._master.is_file():
            temporary = self._master.with_suffix(".tmp")
            temporary.write_text(_named(self._master.read_text(encoding="utf-8"), self._labels), encoding="utf-8")
            temporary.replace(self._master)
            self._named = True


def ai_generated(language: str) -> str:
    """Give the name of a track in a language."""
    return f"{language_name(language)} (AI-generated)"


def _variants(added: Added, templates: Mapping[str, Stream]) -> str:
    """Map streams, in the order in which they are added, to playlists, as FFmpeg has it."""
    captions = f",s:0,sgroup:{CAPTIONS}" if added.captions else ""
    parts = [f"v:0,agroup:sound{captions},name:{PICTURE}"]
    copied = 1 if "audio" in templates else 0
    for number, language in enumerate(added.speech):
        default = ",default:yes" if not number else ""
        parts.append(f"a:{number + copied},agroup:sound,language:{language}{default},name:{language}")
    if copied:
        language = templates["audio"].metadata.get("language", "und")
        parts.append(f"a:0,agroup:sound,language:{language},name:{ORIGINAL}")
    return " ".join(parts)


def _labels(added: Added, templates: Mapping[str, Stream]) -> Sequence[tuple[str, str]]:
    """Pair the names that FFmpeg gives tracks in a list with ours."""
    speech = [ai_generated(language) for language in added.speech] + (["Original"] if "audio" in templates else [])
    labels = [(f'NAME="audio_{number}"', f'NAME="{label}"') for number, label in enumerate(speech, 1)]
    captions = f'NAME="{ai_generated(added.captions)}",LANGUAGE="{added.captions}"'
    return [*labels, ('NAME="subtitle_0"', captions)]


def _named(text: str, labels: Sequence[tuple[str, str]]) -> str:
    for given, ours in labels:
        text = re.sub(re.escape(given), lambda _, ours=ours: ours, text)  # type: ignore[misc]
    return text
