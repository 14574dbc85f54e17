"""The container of a dubbed film (FFmpeg by PyAV): picture and original sound copied, speech and captions added."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.events import Fault, Notice, Samples
from pipeline.languages import iso_639_2
from pipeline.sinks.cues import shown
from pipeline.sinks.film_container import CONTAINERS, SAMPLE_RATE, add_speech, ai_generated, kept_streams, sound_frame
from pipeline.sinks.writing import cannot_go_on, create, reason_of
from pipeline.sources.files import open_local

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer
    from av.stream import Stream

UNDATED = 16  # the most packets that a picture is coded ahead
COMMENT = "AI-generated speech and captions: a machine translation by translate-live"
_MS = Fraction(1, 1000)
_ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,18,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""  # what FFmpeg makes the description of an MP4 text track from


class FilmFile:
    """A film that is written as it becomes known; its methods wait for the disk.

    `begin` names the languages of the tracks that are added. Times are seconds from the beginning of
    ``source``. The file can be played after a kill, too: Matroska as it is, MP4 because it is written in fragments, to
    which the usual index and the captions are added in the end. Raises `DeviceError` when it cannot be made or written.
    """

    def __init__(self, source: Path, path: Path) -> None:
        import av  # noqa: PLC0415

        self.path = path
        self.notices: list[Notice] = []
        self._container = CONTAINERS[path.suffix.lower()]
        self._is_mp4 = self._container.captions == "mov_text"
        self._claim = create(path, private=False)
        self._broken = False
        try:
            self._film = open_local(source)
            options = {"max_interleave_delta": "1000000", "flush_packets": "1"}
            if self._is_mp4:
                options["movflags"] = "+hybrid_fragmented+frag_keyframe+delay_moov"
            else:
                options["avoid_negative_ts"] = "disabled"  # it would move all tracks, but no chapter
            self._out: OutputContainer = av.open(f"file:{path}", "w", format=self._container.format, options=options)
        except (av.error.FFmpegError, OSError) as error:
            os.close(self._claim)
            raise cannot_go_on(path, reason_of(error)) from error
        self._start_s = (self._film.start_time or 0) / av.time_base
        self._packets: Iterator[Packet] | None = None
        self._next: Packet | None = None
        self._placed: list[int] = []  # samples
        self._speech: list[Any] = []
        self._captions: list[Stream] = []
        self._shown_ms: list[int] = []  # until when each track has captions
        self._cues: list[Packet] = []  # of MP4 until the end: FFmpeg misplaces text in all fragments but the last
        self._streams: dict[int, Stream] = {}
        self._last_dts: dict[int, int] = {}
        self._undated: dict[int, list[Packet]] = {}

    def begin(self, speech: Sequence[str], captions: Sequence[str]) -> None:
        """Declare tracks of speech and of captions by their languages (empty: not known); once, before all else."""
        self._copy_description()
        self._placed = [0] * len(speech)
        self._speech = [self._speech_stream(language, default=not number) for number, language in enumerate(speech)]
        self._copy_streams()
        self._captions = [self._caption_stream(language) for language in captions]
        self._shown_ms = [0] * len(captions)

    @property
    def sound_s(self) -> float:
        """Give how far all tracks of speech were written."""
        return min(self._placed, default=0) / SAMPLE_RATE

    def add_sound(self, number: int, samples: Samples) -> None:
        """Append samples [n] at `SAMPLE_RATE` to a track of speech."""
        frame = sound_frame(samples, self._placed[number])
        self._placed[number] += len(samples)
        with self._writing():
            self._out.mux(self._speech[number].encode(frame))

    def add_caption(self, number: int, start_s: float, end_s: float, text: str) -> None:
        """Append a cue to a track of captions."""
        import av  # noqa: PLC0415

        data = shown(text, "vtt" if self._container.captions == "webvtt" else "srt").encode(errors="replace")
        if self._is_mp4:
            data = len(data).to_bytes(2, "big") + data
        packet = av.Packet(data)
        packet.stream, packet.time_base = self._captions[number], _MS
        packet.pts = packet.dts = max(round(start_s * 1000), self._shown_ms[number])  # FFmpeg aborts where they overlap
        packet.duration = max(1, round(end_s * 1000) - packet.pts)
        self._shown_ms[number] = packet.pts + packet.duration
        self._cues.append(packet)
        if not self._is_mp4:
            self._write_cues()

    def copy_until(self, moment_s: float) -> None:
        """Copy what the film holds before a moment."""
        while (packet := self._next or self._read()) is not None:
            self._next = packet
            if packet.size and (self._time_s(packet) or 0.0) >= moment_s:
                return
            self._next = None
            if packet.size:
                self._copy(packet)
        for waiting in self._undated.values():
            while waiting:
                self._place(waiting.pop(0))

    def _write_cues(self) -> None:
        with self._writing():
            while self._cues:
                self._out.mux(self._cues.pop(0))

    def close(self) -> None:
        """Finish the file; idempotent."""
        if self._claim < 0:
            return
        try:
            if not self._broken:
                self._write_cues()
                with self._writing():
                    for stream in self._speech:
                        self._out.mux(stream.encode(None))
                    self._out.close()
        finally:
            with suppress(Exception):  # the border to FFmpeg: it has said once that it cannot go on
                self._out.close()
            self._film.close()
            os.close(self._claim)
            self._claim = -1

    def _read(self) -> Packet | None:
        import av  # noqa: PLC0415

        try:
            return next(self._packets, None) if self._packets else None
        except (av.error.FFmpegError, OSError) as error:
            self._packets = None
            message = f"reading the picture failed ({reason_of(error)}); the film has what came before"
            self.notices.append(Fault("film", message, fatal=False))
            return None

    def _time_s(self, packet: Packet) -> float | None:
        stamp = packet.pts if packet.dts is None else packet.dts
        return None if stamp is None else float(stamp * packet.time_base) - self._start_s

    def _copy(self, packet: Packet) -> None:
        """Copy one packet, whose place in the order of decoding may be missing at the beginning of Matroska."""
        index = packet.stream.index
        waiting = self._undated.setdefault(index, [])
        if packet.dts is None and packet.pts is not None and index not in self._last_dts and len(waiting) < UNDATED:
            waiting.append(packet)
            return
        first = packet.dts if packet.dts is not None else packet.pts
        for place, earlier in enumerate(waiting):
            step = (earlier.duration or 1) * (place - len(waiting))
            earlier.dts = None if first is None else first + step
            self._place(earlier)
        waiting.clear()
        self._place(packet)

    def _place(self, packet: Packet) -> None:
        """Write a packet, counted from the film's beginning; timestamps that stand still or go back move on by one."""
        index, begin = packet.stream.index, round(self._start_s / packet.time_base)
        last = self._last_dts.get(index)
        stamp = packet.dts if packet.dts is not None else packet.pts
        dts = (last or 0) + 1 if stamp is None else stamp - begin
        if last is not None and dts <= last:
            dts = last + 1
        packet.pts = dts if packet.pts is None else max(packet.pts - begin, dts)
        if not self._is_mp4 and packet.stream.type == "audio" and packet.pts + (packet.duration or 0) <= 0:
            return  # MP4 has sound before its beginning, for the decoder to start with; Matroska has no such times
        packet.dts = self._last_dts[index] = dts
        packet.stream = self._streams[index]
        with self._writing():
            self._out.mux(packet)

    def _copy_description(self) -> None:
        ours = {"encoder", "major_brand", "minor_version", "compatible_brands", "comment"}
        kept = {key: value for key, value in self._film.metadata.items() if key.lower() not in ours}
        comment = next((value for key, value in self._film.metadata.items() if key.lower() == "comment"), "")
        self._out.metadata.update(kept, comment=f"{comment}. {COMMENT}".removeprefix(". "))
        self._out.set_chapters(self._film.chapters())

    def _copy_streams(self) -> None:
        from av.stream import Disposition  # noqa: PLC0415

        for stream in kept_streams(self._film):
            try:
                copied = self._out.add_stream_from_template(stream, opaque=True)
            except ValueError:  # captions only: the rest was checked
                left_out = f"captions of the kind {stream.codec.canonical_name}"
                message = f"{left_out} are left out: a {self.path.suffix} file cannot hold them"
                self.notices.append(Fault("film", message, fatal=False))
                continue
            copied.metadata.update({key: value for key, value in stream.metadata.items() if key.isalpha()})
            copied.disposition = stream.disposition
            if stream.type == "audio":
                copied.disposition = (stream.disposition | Disposition.original) & ~Disposition.default
            self._streams[stream.index] = copied
        kept = [stream for stream in kept_streams(self._film) if stream.index in self._streams]
        self._packets = self._film.demux(kept) if kept else None

    def _speech_stream(self, language: str, default: bool) -> Any:  # noqa: ANN401 - PyAV's types tell streams by literals
        from av.stream import Disposition  # noqa: PLC0415

        stream = add_speech(self._out, self._container.sound, language)
        stream.disposition = Disposition.dub | (Disposition.default if default else Disposition(0))
        return stream

    def _caption_stream(self, language: str) -> Stream:
        kind = self._container.captions
        if self._is_mp4:
            stream: Any = self._out.add_stream(kind)
            stream.codec_context.subtitle_header = _ASS_HEADER
        else:
            stream = self._out.add_mux_stream(kind)
        stream.time_base = _MS
        stream.metadata.update(language=iso_639_2(language), title=ai_generated(language))
        return cast("Stream", stream)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn FFmpeg's errors into ours."""
        import av  # noqa: PLC0415

        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            self._broken = True
            raise cannot_go_on(self.path, reason_of(error)) from error
