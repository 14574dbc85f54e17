"""DashScope's Qwen LiveTranslate protocol, generations 3, 3.5 and 3.8, for programs that were written for it.

Messages and fields as in the ``dashscope`` package (2.0.2) and the service's reference; `docs/dashscope.md` lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec

from pipeline.events import Draft, Event, Fault, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript
from pipeline.server.asked import (
    GLOSSARY,
    LANGUAGE,
    SOURCE,
    VOICE,
    Asked,
    Audio,
    Change,
    ClientEvent,
    Finish,
    Ignored,
    Image,
    Note,
    Offset,
    Rejected,
)
from pipeline.server.dialects.codec import decoded, error_object, jpeg_of, pcm_of, what_and_where, wire
from pipeline.server.dialects.dashscope_events import (
    TAGS,
    AudioEvent,
    ClientMessage,
    CreateEvent,
    FinishEvent,
    ImageEvent,
    SessionFields,
    UpdateEvent,
)
from pipeline.server.dialects.dashscope_responses import Responses, Sent, SourceItems
from pipeline.server.dialects.dashscope_settings import Settings, notes
from pipeline.sinks.sharing import new_session_id

NESTED = "qwen3.8-livetranslate-"
FLAT = ("qwen3-livetranslate-", "qwen3.5-livetranslate-")
PLACES = {
    LANGUAGE: "session.translation.language",
    SOURCE: "session.input_audio_transcription.language",
    GLOSSARY: "session.translation.corpus.phrases",
    VOICE: "session.enable_voice_clone",
}
_DECODER = msgspec.json.Decoder(ClientMessage)


def knows(model: str) -> bool:
    """Tell if this is the protocol of a model."""
    return model.startswith((NESTED, *FLAT))


class DashScope:
    """One connection's state of the protocol: its settings, and what is open of items and responses."""

    def __init__(self, model: str, target: str, *, consent: bool = False) -> None:
        self.model = model
        self.id = new_session_id()
        self.event_id: str | None = None
        self._nested = model.startswith(NESTED)
        settings = Settings(transcribed=self._nested)
        self.asked = settings.asked(Asked(target, consent=consent))
        self._items = SourceItems(self.id[5:13], deltas=self._nested)
        self._responses = Responses(self.id[5:13], deltas=self._nested)
        self._heard_ms = 0

    @property
    def next_unit(self) -> int:
        """One more than the highest number of a unit that was sent."""
        return self._responses.next_unit

    @property
    def _settings(self) -> Settings:
        assert isinstance(self.asked.settings, Settings)
        return self.asked.settings

    def decode(self, text: str) -> ClientEvent:
        """Read a client's message; raises `Rejected`."""
        self.event_id = None
        message = decoded(_DECODER, TAGS, text)
        self.event_id = message.event_id
        match message:
            case AudioEvent():
                return Audio(pcm_of(message.audio, self.asked.input_hz))
            case ImageEvent():
                return Image(jpeg_of(message.image))
            case UpdateEvent():
                return self._changed(message.session)
            case FinishEvent():
                return Finish()
            case CreateEvent():
                raise Rejected("invalid_event", "responses come by themselves: a translation is not asked for")
        told = "has no effect here: audio is translated as it comes, and nothing is kept of it"
        return Ignored(Note(f"{message.__struct_config__.tag} {told}", "type"))

    def _changed(self, session: dict[str, Any]) -> Change:
        try:
            given = msgspec.convert(session, SessionFields)
        except msgspec.ValidationError as error:
            told, place = what_and_where(error, SessionFields)
            raise Rejected("invalid_event", told, param=f"session.{place}".strip(".")) from error
        asked = self._settings.changed(given).asked(self.asked)
        return Change(asked, tuple(notes(given, session, nested=self._nested)))

    def created(self) -> bytes:
        """``session.created``."""
        return wire("session.created", session=self._described())

    def updated(self) -> bytes:
        """``session.updated``."""
        return wire("session.updated", session=self._described())

    def _described(self) -> dict[str, Any]:
        """Describe the session as its object."""
        described = self._settings.described(self.asked.target, nested=self._nested)
        return {"id": self.id, "object": "realtime.session", "model": self.model, **described}

    def closed(self) -> Iterable[bytes]:
        """Return the ends of what is open, and ``session.finished``."""
        ends = chain(self._items.ended(self._heard_ms, self._settings), self._responses.closed())
        return [*ends, wire("session.finished")]

    def failed(self, error: Rejected) -> bytes:
        """``error``."""
        return wire("error", error={**error_object(error), "param": PLACES.get(error.param or "", error.param)})

    def noted(self, note: Note) -> Iterable[bytes]:
        """``translate_live.note``, which the SDKs hand on or pass over."""
        return [wire("translate_live.note", message=note.message, param=note.param or None)]

    def flushed(self) -> Iterable[bytes]:
        """Return nothing: the protocol has no word for it."""
        self._responses.forget()
        return ()

    def extra(self, kind: str, **fields: object) -> Iterable[bytes]:
        """Return nothing: the extension is of the other protocol."""
        return ()

    def encode(self, event: Event, offset: Offset) -> Iterator[Sent]:
        """Yield the messages for an event, each with if it is speech."""
        if isinstance(event, SpeechChunk):
            yield from self._responses.speech(event, offset, self._settings)
            return
        for text in self._texts(event, offset):
            yield text, False

    def _texts(self, event: Event, offset: Offset) -> Iterable[bytes]:
        match event:
            case Transcript():
                self._heard_ms = offset.start_ms + round(event.heard_s * 1000)
                return self._items.heard(event, offset, self._settings)
            case ReadingUnit() if event.target == offset.target:
                return self._responses.unit(event, offset, self._settings)
            case Draft():
                return self._responses.draft(event, offset, self._settings)
            case Lag():
                return self._responses.lag(event, offset)
            case Skipped():
                return self._responses.skipped(event, offset)
            case Fault(stage="see", fatal=False):
                return self.noted(Note(event.message, "image"))
            case Fault(fatal=True):
                error = Rejected("stage_failed", event.message)
                return [*self._items.failed(error_object(error)), self.failed(error)]
            case _:
                return ()
