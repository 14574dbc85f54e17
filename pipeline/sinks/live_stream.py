"""Containers that can be watched while they are written (FFmpeg by PyAV): what FLV and HLS have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.errors import BadInput
from pipeline.events import Samples
from pipeline.sinks.film_container import SAMPLE_RATE, add_speech, kept_streams, sound_frame
from pipeline.sources.files import open_local
from pipeline.sources.packet_tap import CodedPacket

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer
    from av.stream import Stream

COMMENT = "AI-generated speech and captions: a live machine translation by translate-live"
ORIGINAL, PICTURE, CAPTIONS = "original", "picture", "captions"  # tracks, as files of HLS are named
LEAD_S = 1.0  # added to all timestamps, so that none before the first picture, for a decoder to start with, is negative
FLV_PICTURES = {"h264"}  # that RTMP servers take
HLS_SOUNDS = {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}


@dataclass(frozen=True, slots=True)
class Added:
    """Tracks that are added: speech by language, the first by default, and captions by language, or `ORIGINAL`."""

    speech: tuple[str, ...]
    captions: tuple[str, ...] = ()


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
        for stream in self._copied.values():
            if stream.codec.canonical_name == "hevc" and out.format.name == "hls":
                stream.codec_tag = "hvc1"  # the only one that Apple's players take
        self._speech: list[Any] = [add_speech(out, "aac", language) for language in added.speech]
        self._last_dts: dict[str, int] = {}
        self._held: dict[str, Packet] = {}  # the last of each kind, until it is known how long it lasts
        self._whole = "video" not in templates  # a key frame was written, with which a decoder can start

    def add_sound(self, number: int, start: int, samples: Samples) -> None:
        """Write samples [n] of a track of speech that begin at sample ``start`` at `SAMPLE_RATE`."""
        if len(samples):
            frame = sound_frame(samples, start + round(LEAD_S * SAMPLE_RATE))
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

    def know_language(self, language: str) -> None:
        """Take in what language is said, where the container has a place for it."""

    def add_caption(self, start_s: float, end_s: float, text: str, language: str) -> None:
        """Take a cue, where the container has a place for captions."""

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
