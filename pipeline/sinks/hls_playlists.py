"""Playlists of HLS as FFmpeg writes them, made what players need, and those of captions beside them (RFC 8216)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.sinks.cues import shown, timestamp
from pipeline.sinks.live_stream import CAPTIONS

LEAST_SEGMENTS = 3  # of a playlist that is not complete
_SEGMENT = re.compile(r"#EXTINF:([\d.]+),[^\n]*\n(?:#[^\n]*\n)*\S+_(\d+)\.m4s\n?")
_SOUND = re.compile(r'NAME="audio_(\d+)",DEFAULT=(YES|NO)(?:,LANGUAGE="[^"]*")?')


class MediaPlaylist:
    """Playlist of one track's segments, of which those of the last ``window_s`` are shown (none: all).

    Tracks have segments of their own lengths, so players put them beside each other by the date of the first that is shown;
    that of timestamp 0 is ``sent_at``. The target duration, which must not change, never falls.
    """

    def __init__(self, sent_at: datetime, window_s: float | None = None) -> None:
        self.begin_s = 0.0
        self._sent_at, self._window_s = sent_at, window_s
        self._begins_s: dict[int, float] = {}  # of segments, by number
        self._end_s: float | None = None
        self._target_s = 0

    def begin(self, at_s: float) -> None:
        """Take in when the first segment begins; what is told later changes nothing."""
        self.begin_s = self.begin_s or at_s

    def mended(self, text: str) -> str:
        """Give the playlist as it is to be written."""
        segments = list(_SEGMENT.finditer(text))
        if not segments:
            return text
        for segment in segments:
            if (number := int(segment[2])) not in self._begins_s:
                begin_s = self._begins_s[number] = self.begin_s if self._end_s is None else self._end_s
                self._end_s = begin_s + float(segment[1])
        first = self._first_shown(segments)
        number = int(segments[first][2])
        self._begins_s = {one: begin_s for one, begin_s in self._begins_s.items() if one >= int(segments[0][2])}
        head, rest = text[: segments[0].start()], text[segments[first].start() :]
        head = re.sub(r"(#EXT-X-MEDIA-SEQUENCE:)\d+", rf"\g<1>{number}", head)
        head = re.sub(r"(#EXT-X-TARGETDURATION:)(\d+)", self._target, head)
        date = (self._sent_at + timedelta(seconds=self._begins_s[number])).isoformat(timespec="milliseconds")
        return f"{head}#EXT-X-PROGRAM-DATE-TIME:{date}\n{rest}"

    def _first_shown(self, segments: Sequence[re.Match[str]]) -> int:
        """Index the first segment that is in the window."""
        total_s = sum(float(segment[1]) for segment in segments)
        first = 0
        while self._window_s and total_s > self._window_s and len(segments) - first > LEAST_SEGMENTS:
            total_s -= float(segments[first][1])
            first += 1
        return first

    def _target(self, found: re.Match[str]) -> str:
        self._target_s = max(self._target_s, int(found[2]))
        return f"{found[1]}{self._target_s}"


@dataclass(frozen=True, slots=True)
class Rendition:
    """Track of sound or captions as players list it; ``language`` is empty where it is not known."""

    name: str
    language: str
    chosen: bool = True  # by players for listeners of this language, who chose nothing

    def attributes(self, default: str) -> str:
        """Format its attributes."""
        language = f',LANGUAGE="{self.language}"' if self.language else ""
        return f'NAME="{self.name}",DEFAULT={default},AUTOSELECT={"YES" if self.chosen else "NO"}{language}'


def main_playlist(text: str, sounds: Sequence[Rendition], captions: Mapping[str, Rendition], *, rare: bool = False) -> str:
    """Name the sounds of a playlist of playlists, in their order, and add captions, by the names of their playlists.

    Players leave a stream out of which they cannot decode all. So where the last sound is of a codec that is ``rare``, the
    stream is listed twice: with all sounds, and without that one.
    """
    text = _SOUND.sub(lambda found: sounds[int(found[1]) - 1].attributes(found[2]), text)
    head, stream, rest = text.partition("#EXT-X-STREAM-INF")
    if rare and 'CODECS="' in rest:
        media = re.findall(r"#EXT-X-MEDIA:TYPE=AUDIO.*\n", head)
        head += "".join(media[:-1]).replace('GROUP-ID="', 'GROUP-ID="without_')
        without = re.sub(r',[^,"]*",AUDIO="', '",AUDIO="without_', stream + rest)
        rest = f"{rest.rstrip()}\n{without}"
    for name, track in captions.items():
        head += f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="{CAPTIONS}",{track.attributes("NO")},URI="{name}"\n'
    group = f',SUBTITLES="{CAPTIONS}"' if captions else ""
    return head + re.sub(r"#EXT-X-STREAM-INF:.*", rf"\g<0>{group}", stream + rest)


SHOWN_S = 1.0  # from the begin of a cue to that of the next, at least
_HEADER = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n"


class HlsCaptions:
    """Captions in one language beside a picture, in WebVTT (RFC 8216, 3.5).

    Their ``playlist`` lists segments of the same numbers and lengths as the picture's. Times are those of timestamps in the
    picture's segments. A cue is in every segment during which it is shown.
    """

    def __init__(self, playlist: Path) -> None:
        self.playlist = playlist
        self._segment = playlist.name.removesuffix(f"_vtt{playlist.suffix}")
        self._cues: deque[tuple[float, float, str]] = deque()
        self._files: dict[str, Path] = {}  # by number
        self._end_s = 0.0

    def add(self, start_s: float, end_s: float, text: str) -> None:
        """Add a cue; the one before ends where it begins, and where that had no `SHOWN_S`, it is shown later."""
        late_s = 0.0
        if self._cues:
            begin_s, until_s, before = self._cues.pop()
            late_s = max(0.0, begin_s + SHOWN_S - start_s)
            self._cues.append((begin_s, min(until_s, start_s + late_s), before))
        self._cues.append((start_s + late_s, end_s + late_s, text))

    def follow(self, picture: str, begin_s: float) -> None:
        """Write what the picture's playlist has more than before, of which the first segment begins at ``begin_s``."""
        listed = _SEGMENT.findall(picture)
        for length, number in listed:
            if number not in self._files:
                start_s = self._end_s or begin_s
                self._end_s = start_s + float(length)
                path = self._files[number] = self.playlist.with_name(f"{self._segment}{number}.vtt")
                path.write_text(self._cues_until(start_s, self._end_s), encoding="utf-8", errors="replace")
        lines = [line for line in picture.splitlines() if not line.startswith("#EXT-X-MAP")]
        names = [re.sub(r"^[^#].*_(\d+)\.m4s$", rf"{self._segment}\1.vtt", line) for line in lines]
        temporary = self.playlist.with_name(f"{self.playlist.name}.tmp")
        temporary.write_text("\n".join([*names, ""]), encoding="utf-8")
        temporary.replace(self.playlist)
        oldest = int(listed[0][1]) if listed else 0
        for number in [one for one in self._files if int(one) < oldest - 1]:  # who has the list before may still ask
            self._files.pop(number).unlink(missing_ok=True)

    def _cues_until(self, start_s: float, end_s: float) -> str:
        """Return the text of a segment, and forget what is over by its end."""
        while self._cues and self._cues[0][1] <= start_s:
            self._cues.popleft()
        blocks = [
            f"{timestamp(start, 'vtt')} --> {timestamp(end, 'vtt')}\n{shown(text, 'vtt')}\n"
            for start, end, text in self._cues
            if start < end_s
        ]
        return "\n".join([_HEADER, *blocks, ""])  # a blank line at the end, since some players read them as one file
