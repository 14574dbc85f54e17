"""HLS in a folder: playlists, and segments of fragmented MP4 (FFmpeg by PyAV)."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.events import Samples
from pipeline.sinks.hls_captions import HlsCaptions
from pipeline.sinks.live_stream import LEAD_S, Added, LiveStream, ai_generated
from pipeline.sources.packet_tap import CodedPacket

if TYPE_CHECKING:
    from av.stream import Stream

SEGMENT_S = 4.0
ORIGINAL, PICTURE, CAPTIONS = "original", "picture", "captions"  # as files are named


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
        self._picture = path.with_name(f"{path.stem}_{PICTURE}{path.suffix}")
        captions = added.captions if "video" in templates else ()
        self._captions = {
            one: HlsCaptions(path.with_name(f"{path.stem}_{CAPTIONS}-{one}_vtt{path.suffix}")) for one in captions
        }
        self._begin_s = 0.0  # of the picture
        self._listed = False  # the picture's playlist has been written since captions followed it
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
            self._listed = self._listed or name.removesuffix(".tmp") == str(self._picture)
            return SegmentFile(name, self._failures)

        playlist = str(path.with_name(f"{name}.m3u8"))
        out = av.open(playlist, "w", format="hls", options=options, io_open=opened)
        super().__init__(out, added, templates)

    def add_sound(self, number: int, start: int, samples: Samples) -> None:
        """Write sound, where there is a place for it, name the tracks once their list is there, and write captions."""
        if number < len(self._speech):
            super().add_sound(number, start, samples)
        self._check()
        self._name_tracks()
        self._show_captions()

    def add_packet(self, coded: CodedPacket) -> None:
        """Write a packet; the first of the picture says when that begins."""
        super().add_packet(coded)
        if not self._begin_s and (first := self._held.get("video")) is not None:
            self._begin_s = float((first.pts or 0) * first.time_base)

    def add_caption(self, start_s: float, end_s: float, text: str, language: str) -> None:
        """Take a cue; it is written when the picture beside it is."""
        if language in self._captions:
            self._captions[language].add(start_s + LEAD_S, end_s + LEAD_S, text)

    def close(self) -> None:
        """Write the end of all playlists."""
        super().close()
        self._check()
        self._named = False  # FFmpeg has written their list again
        self._name_tracks()
        self._show_captions()

    def _check(self) -> None:
        """Raise the first error of writing."""
        if self._failures:
            raise self._failures[0]

    def _name_tracks(self) -> None:
        if not self._named and self._master is not None and self._master.is_file():
            temporary = self._master.with_suffix(".tmp")
            text = _named(self._master.read_text(encoding="utf-8"), self._labels)
            lists = {language: captions.playlist.name for language, captions in self._captions.items()}
            temporary.write_text(_with_captions(text, lists), encoding="utf-8")
            temporary.replace(self._master)
            self._named = True

    def _show_captions(self) -> None:
        """Write the captions of what the picture's playlist has more than before."""
        if self._listed and self._picture.is_file():
            self._listed = False
            picture = self._picture.read_text(encoding="utf-8")
            for captions in self._captions.values():
                captions.follow(picture, self._begin_s)


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


def _labels(added: Added, templates: Mapping[str, Stream]) -> Sequence[tuple[str, str]]:
    """Pair the names that FFmpeg gives tracks in a list with ours."""
    speech = [ai_generated(language) for language in added.speech] + (["Original"] if "audio" in templates else [])
    return [(f'NAME="audio_{number}"', f'NAME="{label}"') for number, label in enumerate(speech, 1)]


def _named(text: str, labels: Sequence[tuple[str, str]]) -> str:
    for given, ours in labels:
        text = re.sub(re.escape(given), lambda _, ours=ours: ours, text)  # type: ignore[misc]
    return text


def _with_captions(text: str, lists: Mapping[str, str]) -> str:
    """Add playlists of captions, by language, to a list of playlists."""
    media = "".join(
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="{CAPTIONS}",NAME="{ai_generated(language)}",LANGUAGE="{language}",'
        f'DEFAULT=NO,AUTOSELECT=YES,URI="{name}"\n'
        for language, name in lists.items()
    )
    if not media or media in text:
        return text
    head, streams, rest = text.partition("#EXT-X-STREAM-INF")
    group = rf'\g<0>,SUBTITLES="{CAPTIONS}"'
    return head + media + re.sub(r"#EXT-X-STREAM-INF:.*", group, streams + rest)
