"""What is known of an enrolled voice, and the names that a voice may have."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import BadInput

SAME = "same"
"""``--voice same``: the live speaker's own voice."""

_RESERVED = frozenset({SAME, "auto", "none", "preset"})
_NAME = re.compile(r"[^\W_][\w-]{0,39}")  # no dot, slash or space: a name is also a folder


@dataclass(frozen=True, slots=True)
class Consent:
    """Who agreed to the copy of their voice, when (ISO 8601, UTC), with which ``statement``, in which recording.

    ``checked`` is "heard" where the recording was recognized as the statement, "confirmed" where only the user says so.
    """

    who: str
    when: str
    statement: str
    sha256: str
    checked: Literal["heard", "confirmed"]


@dataclass(frozen=True, slots=True)
class ArraysFile:
    """What one model learned of a voice: a safetensors file beside the record, and its SHA-256."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class VoiceRecord:
    """An enrolled voice: the ``language`` it was recorded in, seconds of speech, when, and the consent.

    ``arrays`` are kept by the model that made them; ``clip`` is the file of the speech itself, where it was kept.
    """

    name: str
    language: str
    speech_s: float
    snr_db: float
    enrolled: str
    consent: Consent
    arrays: dict[str, ArraysFile] = field(default_factory=dict)
    clip: str | None = None
    format: Literal[1] = 1


def checked_name(name: str) -> str:
    """The name in one spelling (NFC); raises `BadInput` for what is no name."""
    normal = unicodedata.normalize("NFC", name)
    if not _NAME.fullmatch(normal):
        raise BadInput(
            f"{name!r} cannot name a voice; valid: a letter or digit, then up to 39 letters, digits, - and _, as anna-2"
        )
    if normal.casefold() in _RESERVED:
        raise BadInput(f"the name {name!r} has a meaning of its own (--voice {normal.casefold()}); choose another")
    return normal
