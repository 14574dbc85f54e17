"""The voices of Piper that may be offered: ``models/piper_voices.toml``, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class VoiceFile:
    """A file of a voice: its name, its bytes, its MD5 as ``md5:…``, and where the model hub has it."""

    name: str
    size: int
    digest: str
    hub: str


@dataclass(frozen=True, slots=True)
class PiperVoice:
    """A voice: its language, the license and the source of its recordings, and what its training began from, if known.

    ``speaker`` is the one of several that speaks.
    """

    language: str
    license: str
    source: str
    trained: str
    speaker: int
    files: tuple[VoiceFile, VoiceFile]


@cache
def piper_voices() -> Mapping[str, PiperVoice]:
    """Return the voices by their names, in the order of the table: a language's first is its own."""
    read = tomllib.loads((Path(__file__).parents[1] / "piper_voices.toml").read_text(encoding="utf-8"))
    return {voice["name"]: _voice(voice, read["revision"]) for voice in read["voice"]}


def voices_of(language: str) -> list[str]:
    """List the voices of a language, its own first."""
    return [name for name, voice in piper_voices().items() if voice.language == language]


def _voice(read: Mapping[str, str | int], revision: str) -> PiperVoice:
    name = str(read["name"])
    region, speaker, quality = name.split("-")
    place = f"{revision}/{region.partition('_')[0]}/{region}/{speaker}/{quality}"
    files = [
        VoiceFile(file, int(size), f"md5:{digest}", f"{place}/{file}")
        for file, (size, digest) in (
            (f"{name}.onnx", str(read["onnx"]).split()),
            (f"{name}.onnx.json", str(read["json"]).split()),
        )
    ]
    return PiperVoice(
        str(read["language"]),
        str(read["license"]),
        str(read["source"]),
        str(read.get("trained", "")),
        int(read.get("speaker", 0)),
        (files[0], files[1]),
    )
