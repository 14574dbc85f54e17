"""Parts of a codec that all protocols share: messages read and written, audio and pictures in, spaces between units."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Annotated, Any, Protocol, TypeVar, get_args

import msgspec
from msgspec.inspect import DictType, IntType, ListType, LiteralType, StructType, Type, UnionType, type_info

from pipeline.errors import nearest
from pipeline.events import Event
from pipeline.languages import primary
from pipeline.scripts import SPACELESS
from pipeline.server.asked import Asked, ClientEvent, Note, Offset, Rejected
from pipeline.vision import LARGEST_JPEG

HZ = 24_000
LONGEST_APPEND_S = 10.0
JPEG = b"\xff\xd8\xff"
LONGEST_TOLD = 100  # characters of what is wrong with a value
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=35)]  # RFC 5646 needs no longer language tag
Name = Annotated[str, msgspec.Meta(max_length=200)]
Message = TypeVar("Message")
_FIELDS = msgspec.json.Decoder(dict[str, Any])
_STEP = re.compile(r"[^.\[\]]+|\[[^\]]*\]")
_WRONG, _QUOTES = "Invalid enum value ", "'\"…"


class Dialect(Protocol):
    """One client's side of a protocol; a new one for each connection."""

    asked: Asked
    id: str
    event_id: str | None
    """The client's own id of the message that was read last."""

    @property
    def next_unit(self) -> int:
        """One more than the highest number of a unit that was sent."""

    def decode(self, text: str) -> ClientEvent:
        """Read a client's message; raises `Rejected`."""

    def encode(self, event: Event, offset: Offset) -> Iterator[tuple[bytes, bool]]:
        """Return the messages for an event of a session that begins at ``offset``, each with if it is speech."""

    def created(self) -> bytes:
        """Return the first message."""

    def updated(self) -> bytes:
        """Return the answer to a `Change`."""

    def closed(self) -> Iterable[bytes]:
        """Return the messages that end what is open, and the last."""

    def failed(self, error: Rejected) -> bytes:
        """Return the message that tells of an error."""

    def noted(self, note: Note) -> Iterable[bytes]:
        """Return the message that tells what has no effect here, or another than was asked for."""

    def flushed(self) -> Iterable[bytes]:
        """Return the messages that tell that speech was dropped; forgets its rest."""

    def extra(self, kind: str, **fields: object) -> Iterable[bytes]:
        """Return the message of our own extension, for a client that wants it."""


class Spacing:
    """A text that only grows: a space goes before what does not bring its own."""

    def __init__(self) -> None:
        self._begun = False

    def add(self, text: str, language: str, *, continues: bool) -> str:
        """Return the text to append; ``continues`` if more stands before it than was added here."""
        first = not (self._begun or continues)
        self._begun = True
        if first:
            return text.lstrip()
        return text if text[:1].isspace() or primary(language) in SPACELESS else f" {text}"


def pcm_of(audio: str, sample_rate: int) -> bytes:
    """Decode the base64 of an append; raises `Rejected`."""
    pcm = _from_base64(audio, "audio", "invalid_audio")
    if not pcm or len(pcm) % 2:
        raise Rejected("invalid_audio", f"{len(pcm)} bytes are no 16-bit samples", param="audio")
    if len(pcm) > LONGEST_APPEND_S * sample_rate * 2:
        told = f"an append holds at most {LONGEST_APPEND_S:g} s of {sample_rate / 1000:g} kHz audio"
        raise Rejected("invalid_audio", told, param="audio")
    return pcm


def jpeg_of(image: str) -> bytes:
    """Decode the base64 of a picture; raises `Rejected`."""
    jpeg = _from_base64(image, "image", "invalid_event")
    if not jpeg.startswith(JPEG) or len(jpeg) > LARGEST_JPEG:
        told = f"an image is a JPEG of at most {LARGEST_JPEG // 1000} kB; this has {len(jpeg)} bytes"
        raise Rejected("invalid_event", told, param="image")
    return jpeg


def _from_base64(text: str, field: str, code: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Rejected(code, f"{field} is no base64", param=field) from error


def by(speaker: str) -> dict[str, str]:
    """Give the field for who speaks, where that is known."""
    return {"speaker": speaker} if speaker else {}


def wire(kind: str, **fields: object) -> bytes:
    """Return a server event."""
    return msgspec.json.encode({"type": kind, "event_id": f"event_{secrets.token_hex(10)}", **fields})


def error_object(error: Rejected) -> dict[str, str | None]:
    """Return the ``error`` object, of an event or of an HTTP body."""
    told = {"type": error.kind, "code": error.code, "message": error.message, "param": error.param}
    return {**told, "event_id": error.event_id}


def tags_of(messages: Any) -> tuple[str, ...]:  # noqa: ANN401 - a union of structs
    """List the types of the messages that a client may send."""
    return tuple(kind.__struct_config__.tag for kind in get_args(messages))


def decoded(decoder: msgspec.json.Decoder[Message], tags: Collection[str], text: str) -> Message:
    """Read a client's message, one of the types ``tags``; raises `Rejected`, with its ``event_id`` if that can be read."""
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _malformed(text, tags, *what_and_where(error, decoder.type)) from error


def what_and_where(error: Exception, kind: Any) -> tuple[str, str]:  # noqa: ANN401 - any that msgspec reads
    """Return what was wrong in a message of this kind, with the values that can be if there is a choice, and its place."""
    told, _, place = str(error).partition(" - at `$")
    place = place.strip(".`")
    if valid := _choices(_schema(kind), _STEP.findall(place)):
        told = told if len(told) <= LONGEST_TOLD else f"{told[:LONGEST_TOLD]}…"
        told = f"{told}; {nearest(told.partition(_WRONG)[2].strip(_QUOTES), valid)}"
    return told, place


@cache
def _schema(kind: Any) -> Type:  # noqa: ANN401
    """Describe a kind of message; it takes milliseconds, and clients send wrong messages as often as they like."""
    return type_info(kind)


def _choices(kind: Type, place: Sequence[str]) -> list[str]:
    """List the values that can be at a place in a kind of message; empty where they are not a few that are named."""
    match kind, place:
        case UnionType(types), _:
            named = [value for one in types for value in _choices(one, place)]
            numbers = [f"{one.ge} to {one.le}" for one in types if isinstance(one, IntType) and not place]
            return [*named, *numbers] if named else []
        case LiteralType(values), []:
            return list(map(str, values))
        case StructType(fields=fields), [name, *inner]:
            return [value for field in fields if field.encode_name == name for value in _choices(field.type, inner)]
        case ((ListType(item) | DictType(_, item)), [_, *inner]):
            return _choices(item, inner)
    return []


def _malformed(text: str, tags: Collection[str], told: str, place: str) -> Rejected:
    fields: dict[str, Any] = {}
    try:
        fields = _FIELDS.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        told = "the message is no JSON object"
    event_id = fields.get("event_id")
    if fields and fields.get("type") not in tags:
        told, place = f"unknown event {str(fields.get('type'))[:80]!r}; valid: {', '.join(tags)}", "type"
    return Rejected("invalid_event", told, param=place or None, event_id=event_id if isinstance(event_id, str) else None)
