"""Choosing one of several audio tracks of a container."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import BadInput
from pipeline.languages import code_of, same_language

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer


@dataclass(frozen=True, slots=True)
class Track:
    """One audio track: its number from 1, language as the container has it, title, and if players take it by default."""

    number: int
    language: str
    title: str
    default: bool

    def __str__(self) -> str:
        about = ", ".join(filter(None, (self.language, self.title)))
        return f"{self.number} ({about})" if about else str(self.number)

    def speaks(self, language: str) -> bool:
        """Tell if its language is ``language``, by a code of two or three letters or by an English name."""
        return bool(self.language) and same_language(_code(self.language), _code(language))


def tracks_of(container: InputContainer) -> list[Track]:
    """List the audio tracks."""
    return [_track(number, stream) for number, stream in enumerate(container.streams.audio, 1)]


def chosen_track(name: str, tracks: Sequence[Track], wanted: str | None, languages: Collection[str]) -> Track:
    """Choose the track that is wanted by number or language, else a default one, else one of ``languages``, else the first.

    Raises `BadInput`, which lists the tracks, if the one that is wanted is not among them.
    """
    if wanted is not None:
        for track in tracks:
            if wanted == str(track.number) or track.speaks(wanted):
                return track
        raise BadInput(f"{name} has no audio track {wanted}; it has: {'; '.join(map(str, tracks))}")
    defaults = [track for track in tracks if track.default] or tracks
    return next((track for track in defaults if any(map(track.speaks, languages))), defaults[0])


def _track(number: int, stream: AudioStream) -> Track:
    from av.stream import Disposition  # noqa: PLC0415

    language = stream.metadata.get("language", "")
    default = bool(stream.disposition & Disposition.default)
    return Track(number, "" if language == "und" else language, stream.metadata.get("title", ""), default)


def _code(language: str) -> str:
    """Return our code of a language as containers write it, in ISO 639-2; what is none stays as it is."""
    try:
        return code_of(language)
    except BadInput:
        return language
