"""HLS in a folder: playlists, and segments of fragmented MP4 (FFmpeg by PyAV)."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.events import Samples
from pipeline.languages import canonical, language_name
from pipeline.sinks.film_container import SAMPLE_RATE, ai_generated
from pipeline.sinks.hls_playlists import HlsCaptions, MediaPlaylist, Rendition, main_playlist
from pipeline.sinks.live_stream import CAPTIONS, LEAD_S, ORIGINAL, PICTURE, Added, LiveStream
from pipeline.sources.packet_tap import CodedPacket

if TYPE_CHECKING:
    from av.stream import Stream

SEGMENT_S = 4.0
BROWSER_SOUNDS = {"aac", "opus", "flac"}  # that every browser decodes in fragmented MP4


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


def files_of(playlist: Path) -> list[Path]:
    """List the files in which a broadcast is that was written to a playlist, and others before it at the same place."""
    track = r"(_[A-Za-z]+(-[A-Za-z0-9]+)*)?"
    name = re.compile(
        re.escape(playlist.stem) + rf"(\.tmp|{track}(_\d+\.m4s|\d+\.vtt|_init\.mp4|(_vtt)?{playlist.suffix})(\.tmp)?)"
    )
    folder = playlist.parent
    return sorted(path for path in folder.iterdir() if name.fullmatch(path.name)) if folder.is_dir() else []


class PlaylistFile:
    """A playlist that FFmpeg writes, which is ``mended`` before it is there."""

    def __init__(self, name: str, failures: list[OSError], mended: Callable[[str], str]) -> None:
        self._file = SegmentFile(name, failures)
        self._mended = mended
        self._data = b""

    def write(self, data: bytes) -> int:
        """Keep it until the end."""
        self._data += data
        return len(data)

    def close(self) -> None:
        """Write all of it, and close the file."""
        self._file.write(self._mended(self._data.decode()).encode())
        self._file.close()


class HlsStream(LiveStream):
    """HLS in fragmented MP4: a playlist of playlists with picture, each track of speech, original sound, captions.

    Without a picture it is one playlist of the first track of speech. Segments that are older than ``window_s`` are deleted
    (none: none is). A second stream at the same place would have others' names for its segments.
    """

    def __init__(self, path: Path, added: Added, templates: Mapping[str, Stream], window_s: float | None) -> None:
        import av  # noqa: PLC0415

        options = {
            "hls_segment_type": "fmp4",
            # Players by Media Source Extensions heed no edit list, so that segments themselves must say when they begin.
            "hls_segment_options": "movflags=+frag_discont:use_editlist=0:avoid_negative_ts=disabled",
            "hls_time": f"{SEGMENT_S:g}",
            "hls_list_size": str(math.ceil(window_s / SEGMENT_S) + 2 if window_s else 0),
            "hls_flags": "independent_segments+temp_file" + ("+delete_segments" if window_s else ""),
            "hls_start_number_source": "epoch",
            "max_interleave_delta": "1000000",
        } | ({} if window_s else {"hls_playlist_type": "event"})
        self._path = path
        self._main = ""  # the playlist of playlists as FFmpeg wrote it
        self._language = ""  # of what is said
        captions = added.captions if "video" in templates else ()
        self._captions = {
            one: HlsCaptions(path.with_name(f"{path.stem}_{CAPTIONS}-{one}_vtt{path.suffix}")) for one in captions
        }
        self._picture = ""  # its playlist, until captions have followed it
        name = path.stem
        if "video" in templates:
            options["master_pl_name"] = path.name
            options["var_stream_map"] = _variants(added, templates)
            name = f"{path.stem}_%v"
            path.unlink(missing_ok=True)
        else:
            added = Added(added.speech[:1])
        self._spoken = added.speech
        options["hls_segment_filename"] = f"{path.with_name(name)}_%d.m4s"
        options["hls_fmp4_init_filename"] = f"{name}_init.mp4"
        sent_at = datetime.now(UTC) - timedelta(seconds=LEAD_S)
        self._playlists = {one: MediaPlaylist(sent_at) for one in (ORIGINAL, *added.speech)}
        self._playlists[PICTURE] = MediaPlaylist(sent_at, window_s)  # its segments are the longer ones
        self._failures: list[OSError] = []

        def opened(name: str, flags: int, options: Mapping[str, str]) -> SegmentFile | PlaylistFile:
            stem, dot, suffix = Path(name).name.removesuffix(".tmp").rpartition(".")
            if f"{dot}{suffix}" != path.suffix:
                return SegmentFile(name, self._failures)
            return PlaylistFile(name, self._failures, partial(self._mended, stem.removeprefix(path.stem).removeprefix("_")))

        playlist = str(path.with_name(f"{name}{path.suffix}"))
        out = av.open(playlist, "w", format="hls", options=options, io_open=opened)
        super().__init__(out, added, templates)

    def know_language(self, language: str) -> None:
        """Take in what language is said; players that come from then on see it."""
        if language != self._language:
            self._language = language
            if self._main:
                temporary = self._path.with_suffix(".tmp")
                temporary.write_text(self._named(self._main), encoding="utf-8")
                temporary.replace(self._path)

    def add_sound(self, number: int, start: int, samples: Samples) -> None:
        """Write sound, where there is a place for it, and captions."""
        if number < len(self._spoken):
            self._playlists[self._spoken[number]].begin(start / SAMPLE_RATE + LEAD_S)
            super().add_sound(number, start, samples)
        self._check()
        self._show_captions()

    def add_packet(self, coded: CodedPacket) -> None:
        """Write a packet; the first of its kind says when that begins."""
        super().add_packet(coded)
        if (held := self._held.get(coded.kind)) is not None:
            track = PICTURE if coded.kind == "video" else ORIGINAL
            self._playlists[track].begin(float((held.pts or 0) * held.time_base))

    def add_caption(self, start_s: float, end_s: float, text: str, language: str) -> None:
        """Take a cue; it is written when the picture beside it is."""
        if language in self._captions:
            self._captions[language].add(start_s + LEAD_S, end_s + LEAD_S, text)

    def close(self) -> None:
        """Write the end of all playlists."""
        super().close()
        self._check()
        self._show_captions()

    def _check(self) -> None:
        """Raise the first error of writing."""
        if self._failures:
            raise self._failures[0]

    def _mended(self, track: str, text: str) -> str:
        """Give a playlist as it is to be written: a track's, or that of all of them."""
        if not track and "video" in self.templates:
            self._main = text
            return self._named(text)
        text = self._playlists[track or self._spoken[0]].mended(text)
        if track == PICTURE:
            self._picture = text
        return text

    def _named(self, text: str) -> str:
        """Name the tracks in the playlist of playlists."""
        sounds = [Rendition(ai_generated(one), one) for one in self._spoken]
        sound = self.templates.get("audio")
        if sound is not None:
            language = canonical(sound.metadata.get("language", "und"))
            sounds.append(Rendition("Original", self._language if language == "und" else language, chosen=False))
        original = f"{language_name(self._language)}, original" if self._language else "Original"
        captions = {
            playlist.playlist.name: Rendition(f"{original} (AI-generated)", self._language)
            if one == ORIGINAL
            else Rendition(ai_generated(one), one)
            for one, playlist in self._captions.items()
        }
        rare = sound is not None and sound.codec.canonical_name not in BROWSER_SOUNDS
        return main_playlist(text, sounds, captions, rare=rare)

    def _show_captions(self) -> None:
        """Write the captions of what the picture's playlist has more than before."""
        if picture := self._picture:
            self._picture = ""
            for captions in self._captions.values():
                captions.follow(picture, self._playlists[PICTURE].begin_s)


def _variants(added: Added, templates: Mapping[str, Stream]) -> str:
    """Map streams, in the order in which they are added, to playlists, as FFmpeg has it."""
    parts = [f"v:0,agroup:sound,name:{PICTURE}"]
    copied = 1 if "audio" in templates else 0
    for number, language in enumerate(added.speech):
        default = ",default:yes" if not number else ""
        parts.append(f"a:{number + copied},agroup:sound,language:{language}{default},name:{language}")
    if copied:
        language = templates["audio"].metadata.get("language", "und")
        parts.append(f"a:0,agroup:sound,language:{language},name:{ORIGINAL}")
    return " ".join(parts)
