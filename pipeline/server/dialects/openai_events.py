"""Client events of OpenAI's realtime translations protocol, with our extension: read strictly, unknown fields passed over.

An omitted field changes nothing, ``null`` turns it off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import decode

from pipeline.errors import did_you_mean
from pipeline.languages import SameLanguage
from pipeline.server.asked import LONGEST_GLOSSARY, Note
from pipeline.server.dialects.codec import Code, Name, tags_of

Count = Annotated[int, Meta(ge=0, lt=2**53)]  # what JavaScript counts exactly


class Transcription(Struct):
    """``audio.input.transcription``."""

    model: Name


class NoiseReduction(Struct, omit_defaults=True):
    """``audio.input.noise_reduction``."""

    type: Literal["near_field", "far_field"]
    strength: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET


class Input(Struct):
    """``audio.input``."""

    transcription: Transcription | None | UnsetType = UNSET
    noise_reduction: NoiseReduction | None | UnsetType = UNSET


class Output(Struct):
    """``audio.output``."""

    language: Code | UnsetType = UNSET


class AudioFields(Struct):
    """``session.audio``."""

    input: Input | UnsetType = UNSET
    output: Output | UnsetType = UNSET


class GlossaryRow(Struct):
    """One entry of ``translate_live.glossary``."""

    source: Name
    targets: Annotated[list[Name], Meta(max_length=20)] = []
    mode: Name = "hard"
    language: Name = ""


class Ours(Struct):
    """``session.translate_live``: our extension."""

    extensions: bool | UnsetType = UNSET
    source: Name | UnsetType = UNSET
    targets: Annotated[list[Code], Meta(max_length=8)] | UnsetType = UNSET
    spoken: Annotated[list[Code], Meta(max_length=8)] | UnsetType = UNSET
    silent: Annotated[list[Code], Meta(max_length=8)] | UnsetType = UNSET
    one_track: bool | UnsetType = UNSET
    speak: bool | UnsetType = UNSET
    voice: Name | UnsetType = UNSET
    consent: bool | UnsetType = UNSET
    glossary: Annotated[list[GlossaryRow], Meta(max_length=LONGEST_GLOSSARY)] | UnsetType = UNSET
    glossary_url: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    hints: Annotated[list[Name], Meta(max_length=LONGEST_GLOSSARY)] | UnsetType = UNSET
    hints_url: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    same_language: SameLanguage | UnsetType = UNSET
    speakers: Literal["off", "auto"] | Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET
    keep_seen: bool | UnsetType = UNSET
    speaker_names: Annotated[dict[Name, Name], Meta(max_length=100)] | UnsetType = UNSET
    start_ms: Count | UnsetType = UNSET
    first_unit: Count | UnsetType = UNSET
    resume: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET  # read from the address, before the upgrade
    single_use: bool = False  # of a client secret


class SessionFields(Struct):
    """The session object of ``session.update`` and of a client secret."""

    type: Name | UnsetType = UNSET
    model: Name | UnsetType = UNSET
    audio: AudioFields | UnsetType = UNSET
    translate_live: Ours | UnsetType = UNSET


class UpdateEvent(Struct, tag_field="type", tag="session.update"):
    """A change of the session."""

    session: SessionFields
    event_id: Name | None = None


class AppendEvent(Struct, tag_field="type", tag="session.input_audio_buffer.append"):
    """Audio."""

    audio: str
    event_id: Name | None = None


class CloseEvent(Struct, tag_field="type", tag="session.close"):
    """The end of the audio."""

    event_id: Name | None = None


class ControlEvent(Struct, tag_field="type", tag="translate_live.control"):
    """A pulled lever."""

    action: Literal["pause", "resume", "mute", "unmute", "skip_to_live"]
    event_id: Name | None = None


class ImageEvent(Struct, tag_field="type", tag="translate_live.image"):
    """A picture of what is shown, or an empty one: no more is."""

    image: str
    event_id: Name | None = None


class PingEvent(Struct, tag_field="type", tag="translate_live.ping"):
    """A request for ``translate_live.pong``."""

    event_id: Name | None = None


ClientMessage = UpdateEvent | AppendEvent | CloseEvent | ControlEvent | ImageEvent | PingEvent
TAGS = tags_of(ClientMessage)


def unknown_settings(text: str) -> Iterator[Note]:
    """Note each field of ``session.translate_live`` in the text of an `UpdateEvent` that is none of ours."""
    known = Ours.__struct_fields__
    for name in sorted(decode(text)["session"].get("translate_live", {}).keys() - set(known))[:10]:
        yield Note(f"no such setting here; {did_you_mean(name, known)}".rstrip("; "), f"session.translate_live.{name[:80]}")
