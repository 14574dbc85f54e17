"""Captions of an HLS broadcast: WebVTT in one language, a segment for each of the picture's (RFC 8216, 3.5)."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

from pipeline.sinks.caption_text import shown, timestamp

_SEGMENT = re.compile(r"#EXTINF:([\d.]+),\s*\n\S+_(\d+)\.m4s")
_SHOWN_S = 1.0  # from the begin of a cue to that of the next, at least
_HEADER = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n"


class HlsCaptions:
    """A rendition beside a picture; its ``playlist`` lists segments of the same numbers and lengths as the picture's.

    Times are those of timestamps in the picture's segments. A cue is in every segment during which it is shown.
    """

    def __init__(self, playlist: Path) -> None:
        self.playlist = playlist
        self._segment = playlist.name.removesuffix(f"_vtt{playlist.suffix}")
        self._cues: deque[tuple[float, float, str]] = deque()
        self._files: dict[str, Path] = {}  # by number
        self._end_s = 0.0

    def add(self, start_s: float, end_s: float, text: str) -> None:
        """Add a cue; the one before ends where it begins, and where that had no `_SHOWN_S`, it is shown later."""
        late_s = 0.0
        if self._cues:
            begin_s, until_s, before = self._cues.pop()
            late_s = max(0.0, begin_s + _SHOWN_S - start_s)
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
