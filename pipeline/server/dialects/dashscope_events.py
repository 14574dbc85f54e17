"""Client events of DashScope's Qwen LiveTranslate, generations 3, 3.5 and 3.8: read strictly, unknown fields passed over.

Generation 3.8 nests formats and voice in ``audio``, those before have them beside it; either is read in both.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from pipeline.server.asked import LONGEST_GLOSSARY
from pipeline.server.dialects.codec import Code, Name, tags_of

Rate = Literal[8000, 16_000, 24_000, 48_000]
Pcm = Literal["pcm", "pcm16", "pcm24"]
"""Raw 16-bit samples, whatever the name: ``pcm24`` is 16 bits at 24 kHz."""
Modalities = Annotated[list[Literal["text", "audio"]], Meta(min_length=1, max_length=2)]
Frequency = Literal["once", "always", "never"]


class Transcription(Struct):
    """``input_audio_transcription``; without a model it is off, before 3.8."""

    model: Name | None = None
    language: Code | None = None
    corpus: Any = None


class Skips(Struct):
    """``same_language_skip_options``: what becomes of speech in the target language."""

    skip_text: bool = False
    skip_audio: bool = False


class Corpus(Struct):
    """``translation.corpus``: terms and their translations."""

    phrases: Annotated[
        dict[Name, Name | Annotated[list[Name], Meta(max_length=20)]], Meta(max_length=LONGEST_GLOSSARY)
    ] = {}


class TranslationFields(Struct):
    """``translation``."""

    language: Code | None = None
    corpus: Corpus | None | UnsetType = UNSET
    same_language_skip_options: Skips | None | UnsetType = UNSET


class Format(Struct):
    """``format`` of either direction."""

    type: Pcm | UnsetType = UNSET
    sample_rate: Rate | UnsetType = UNSET


class Direction(Struct, frozen=True):
    """``audio.input`` or ``audio.output``."""

    format: Format | UnsetType = UNSET
    voice: Name | None | UnsetType = UNSET
    turn_detection: Any = UNSET


class AudioFields(Struct, frozen=True):
    """``audio``."""

    input: Direction = Direction()
    output: Direction = Direction()


class CloneOptions(Struct):
    """``voice_clone_options``."""

    frequency: Frequency = "once"


class Ours(Struct, frozen=True):
    """``translate_live``, which the protocol does not have: the speaker's consent."""

    consent: bool | UnsetType = UNSET


class SessionFields(Struct):
    """The session object of ``session.update``: omitted is unchanged, ``null`` is off."""

    modalities: Modalities | UnsetType = UNSET
    output_modalities: Modalities | UnsetType = UNSET
    voice: Name | None | UnsetType = UNSET
    audio: AudioFields = AudioFields()
    input_audio_format: Pcm | UnsetType = UNSET
    output_audio_format: Pcm | UnsetType = UNSET
    sample_rate: Rate | UnsetType = UNSET
    input_audio_transcription: Transcription | None | UnsetType = UNSET
    turn_detection: Any = UNSET
    translation: TranslationFields | UnsetType = UNSET
    same_language_skip_options: Skips | None | UnsetType = UNSET
    enable_voice_clone: bool | None | UnsetType = UNSET
    voice_clone_options: CloneOptions | None | UnsetType = UNSET
    video: Any = UNSET
    translate_live: Ours = Ours()


class UpdateEvent(Struct, tag_field="type", tag="session.update"):
    """A change of the session."""

    session: dict[str, Any]
    event_id: Name | None = None


class AudioEvent(Struct, tag_field="type", tag="input_audio_buffer.append"):
    """Audio."""

    audio: str
    event_id: Name | None = None


class ImageEvent(Struct, tag_field="type", tag="input_image_buffer.append"):
    """A frame of video."""

    image: str
    event_id: Name | None = None


class FinishEvent(Struct, tag_field="type", tag="session.finish"):
    """The end of the audio."""

    event_id: Name | None = None


class CreateEvent(Struct, tag_field="type", tag="response.create"):
    """A request for a response, which translation gives unasked."""

    event_id: Name | None = None


IGNORED = (
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "response.cancel",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.delete",
)
"""Events about turns and the conversation, which have no effect here."""
_IGNORED = [defstruct("IgnoredEvent", [("event_id", Name | None, None)], tag_field="type", tag=tag) for tag in IGNORED]
ClientMessage: Any = reduce(or_, _IGNORED, UpdateEvent | AudioEvent | ImageEvent | FinishEvent | CreateEvent)
TAGS = tags_of(ClientMessage)
