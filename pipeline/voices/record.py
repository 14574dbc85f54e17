"""The record of an enrolled voice, and the names that a voice may have."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import BadInput

SAME = "same"
"""The name that stands for the live speaker's own voice."""

_RESERVED = frozenset({SAME, "auto", "none", "preset"})
_NAME = re.compile(r"[^\W_][\w-]{0,39}")  # no dot, slash or space: a name is also a folder


@dataclass(frozen=True, slots=True)
class Consent:
    """A speaker's agreement to the copy of their voice."""

    who: str
    when: str  # ISO 8601, UTC
    statement: str  # the text that was said
    sha256: str  # of the recording
    checked: Literal["heard", "confirmed"]  # recognized in the recording, or said only by the user to be there


@dataclass(frozen=True, slots=True)
class ArraysFile:
    """A voice as one model learned it: a safetensors file beside the record, and its SHA-256."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class VoiceRecord:
    """An enrolled voice."""

    name: str
    language: str  # of the recording
    speech_s: float  # in the recording
    snr_db: float
    enrolled: str  # ISO 8601, UTC
    consent: Consent
    arrays: dict[str, ArraysFile] = field(default_factory=dict)  # by the model that made them
    clip: str | None = None  # the file of the speech itself, where it was kept
    format: Literal[1] = 1


def checked_name(name: str) -> str:
    """Spell the name of a new voice; raises `BadInput` for what is no name, and for a number, as unknown speakers have."""
    normal = spelled(name)
    if normal.isdigit():
        raise BadInput(f"the number {name!r} stands for a speaker who is not known", hint="a name with a letter, as anna-2")
    return normal


def spelled(name: str) -> str:
    """Put a name in one spelling (NFC); raises `BadInput` for what is no name."""
    normal = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(normal):
        raise BadInput(
            f"{name!r} cannot name a voice; valid: a letter or digit, then up to 39 letters, digits, - and _, as anna-2"
        )
    if normal.casefold() in _RESERVED:
        raise BadInput(f"the name {name!r} has a meaning of its own", hint="another name")
    return normal
