"""OpenAI's realtime translations protocol, and our extension of it for clients that ask.

Messages and fields as in the ``openai`` packages for Python (3.57.0) and JavaScript (7.59.0); `docs/server.md` lists them.
"""

from __future__ import annotations

import base64
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import msgspec

from pipeline.audio.resampling import AnyRate, to_pcm16
from pipeline.events import (
    Draft,
    Event,
    Fault,
    Gap,
    Lag,
    LanguageChanged,
    ReadingUnit,
    Seen,
    Skipped,
    SpeakerFound,
    SpeechChunk,
    Transcript,
    text_of,
)
from pipeline.server.asked import (
    Asked,
    Audio,
    Change,
    ClientEvent,
    ControlRequest,
    Finish,
    Image,
    Note,
    Offset,
    Ping,
    Rejected,
    glossary_of,
    with_hints,
)
from pipeline.server.dialects.codec import HZ, Spacing, by, decoded, error_object, jpeg_of, pcm_of, wire
from pipeline.server.dialects.openai_events import (
    TAGS,
    AppendEvent,
    ClientMessage,
    CloseEvent,
    ControlEvent,
    ImageEvent,
    Ours,
    SessionFields,
    UpdateEvent,
    unknown_settings,
)
from pipeline.sinks.sharing import new_session_id

SESSION_S = 4 * 3600
_DECODER = msgspec.json.Decoder(ClientMessage)


class OpenAI:
    """One connection's state of the protocol: its session object, and how far its texts have come."""

    def __init__(self, model: str, asked: Asked, *, recorded: bool = False) -> None:
        self.model = model
        self._recorded = recorded  # the room that it is in
        self.asked = asked
        self.id = new_session_id()
        self.expires_at = int(time.time()) + SESSION_S
        self.next_unit = 0
        self.event_id: str | None = None
        self._speech: defaultdict[str, AnyRate] = defaultdict(lambda: AnyRate(HZ))  # by target
        self._source, self._target = Spacing(), Spacing()
        self._tail = ""

    def decode(self, text: str) -> ClientEvent:
        """Read a client's message; raises `Rejected`."""
        self.event_id = None
        message = decoded(_DECODER, TAGS, text)
        self.event_id = message.event_id
        event = self._event(message)
        return replace(event, notes=tuple(unknown_settings(text))) if isinstance(event, Change) else event

    def _event(self, message: UpdateEvent | AppendEvent | CloseEvent | ControlEvent | ImageEvent | Any) -> ClientEvent:  # noqa: ANN401
        match message:
            case AppendEvent():
                return Audio(pcm_of(message.audio, HZ))
            case UpdateEvent():
                return Change(self.changed(message.session))
            case CloseEvent():
                return Finish()
            case ControlEvent():
                return ControlRequest(message.action)
            case ImageEvent():
                if not self.asked.extensions:
                    told = "pictures are for sessions with our extension: session.translate_live.extensions is to be true"
                    raise Rejected("invalid_event", told, param="type")
                return Image(jpeg_of(message.image) if message.image else b"")
            case _:
                return Ping()

    def changed(self, session: SessionFields) -> Asked:
        """Return the wishes with what a session object changes; raises `Rejected`."""
        for name in ("type", "model"):
            value = getattr(session, name)
            if value is not msgspec.UNSET and value != {"type": "translation", "model": self.model}[name]:
                raise Rejected("invalid_event", f"session.{name} cannot be changed", param=f"session.{name}")
        asked = self.asked
        if session.audio:
            output, given = session.audio.output, session.audio.input
            if output and output.language:
                asked = replace(asked, target=output.language)
            if given and given.transcription is not msgspec.UNSET:
                asked = replace(asked, transcription=given.transcription.model if given.transcription else None)
            if given and given.noise_reduction is not msgspec.UNSET:
                noise = msgspec.to_builtins(given.noise_reduction) if given.noise_reduction else None
                asked = replace(asked, noise_reduction={**(asked.noise_reduction or {}), **noise} if noise else None)
        return _with_extension(asked, session.translate_live) if session.translate_live else asked

    def described(self) -> dict[str, Any]:
        """Describe the session as its object."""
        given = {
            "transcription": {"model": self.asked.transcription} if self.asked.transcription is not None else None,
            "noise_reduction": self.asked.noise_reduction,
        }
        audio = {"input": given, "output": {"language": self.asked.target}}
        told = {"translate_live": {"recorded": True}} if self._recorded else {}
        about = {"id": self.id, "type": "translation", "model": self.model, "expires_at": self.expires_at}
        return {**about, "audio": audio, **told}

    def created(self) -> bytes:
        """``session.created``."""
        return wire("session.created", session=self.described())

    def updated(self) -> bytes:
        """``session.updated``."""
        return wire("session.updated", session=self.described())

    def closed(self) -> Iterable[bytes]:
        """``session.closed``."""
        return [wire("session.closed")]

    def failed(self, error: Rejected) -> bytes:
        """``error``."""
        return wire("error", error=error_object(error))

    def noted(self, note: Note) -> Iterable[bytes]:
        """``translate_live.note``."""
        return self.extra("note", message=note.message, param=note.param or None)

    def flushed(self) -> Iterable[bytes]:
        """``translate_live.flush``."""
        for speech in self._speech.values():
            speech.forget()
        return self.extra("flush")

    def extra(self, kind: str, **fields: object) -> Iterable[bytes]:
        """Return a ``translate_live`` event, for a client that asked for the extension."""
        return [wire(f"translate_live.{kind}", **fields)] if self.asked.extensions else []

    def encode(self, event: Event, offset: Offset) -> Iterator[tuple[bytes, bool]]:
        """Yield the messages for an event, each with if it is speech."""
        if isinstance(event, SpeechChunk):
            for text in self._spoken(event, offset):
                yield text, True
            return
        for text in (*self._texts(event, offset), *self._extras(event, offset)):
            yield text, False

    def _spoken(self, chunk: SpeechChunk, offset: Offset) -> Iterator[bytes]:
        """Yield the protocol's own event for its language, one of ours for any other."""
        samples = self._speech[chunk.target].process(chunk.samples, chunk.sample_rate, chunk.last)
        if len(samples):
            delta, elapsed_ms = base64.b64encode(to_pcm16(samples).tobytes()).decode(), _steps(offset, chunk.start)
            sound = {"delta": delta, "elapsed_ms": elapsed_ms, "sample_rate": HZ, "channels": 1, "format": "pcm16"}
            of = {"target": chunk.target or offset.target, "unit": offset.first_unit + chunk.unit}
            if of["target"] == offset.target:
                yield wire("session.output_audio.delta", **sound, **(of if self.asked.extensions else {}))
            else:
                yield from self.extra("speech", **of, **sound)

    def _texts(self, event: Event, offset: Offset) -> Iterator[bytes]:
        continues = bool(offset.first_unit)
        match event:
            case Transcript() if event.committed and self.asked.transcription is not None:
                text = "".join(word.text for word in event.committed)
                delta = self._source.add(text, event.language, continues=continues)
                elapsed_ms = _steps(offset, event.committed[-1].end)
                yield wire("session.input_transcript.delta", delta=delta, elapsed_ms=elapsed_ms)
            case ReadingUnit() if event.text and event.target == offset.target:
                delta = self._target.add(event.text, event.language, continues=continues)
                yield wire("session.output_transcript.delta", delta=delta, elapsed_ms=_steps(offset, event.end))
            case Fault(fatal=True):
                yield self.failed(Rejected("stage_failed", event.message))

    def _extras(self, event: Event, offset: Offset) -> Iterable[bytes]:
        first, at = offset.first_unit, offset.start_ms
        match event:
            case ReadingUnit():
                self.next_unit = max(self.next_unit, first + event.number + 1)
                return self.extra(
                    "unit",
                    unit=first + event.number,
                    target=event.target,
                    text=event.text,
                    source=text_of(event.source),
                    start_ms=at + round(event.start * 1000),
                    end_ms=at + round(event.end * 1000),
                    **by(event.speaker),
                )
            case Transcript():
                return self._heard(event, at)
            case Draft():
                return self.extra("tail", text=event.text, language=event.language)
            case Lag():
                ear_voice_ms, backlog_ms = round(event.ear_voice_s * 1000), round(event.backlog_s * 1000)
                return self.extra(
                    "lag",
                    unit=first + event.unit,
                    target=event.target,
                    ear_voice_ms=ear_voice_ms,
                    backlog_ms=backlog_ms,
                    rate=event.rate,
                )
            case Skipped():
                units = {"first": first + event.first, "last": first + event.last}
                return self.extra("skipped", **units, target=event.target, reason=event.reason)
            case Gap():
                start_ms, end_ms = at + round(event.start * 1000), at + round(event.end * 1000)
                return self.extra("gap", start_ms=start_ms, end_ms=end_ms, reason=event.reason)
            case SpeakerFound():
                return self.extra("speaker", speaker=event.speaker, at_ms=at + round(event.at * 1000))
            case Seen():
                return self.extra("seen", names=event.names, at_ms=at + round(event.at * 1000))
            case LanguageChanged():
                return self.extra("language", language=event.language, at_ms=at + round(event.at * 1000))
            case Fault(fatal=False):
                return self.extra("fault", stage=event.stage, message=event.message)
            case _:
                return ()

    def _heard(self, event: Transcript, start_ms: int) -> Iterable[bytes]:
        """``translate_live.source``: new words, and the tentative ones after them where they have changed."""
        text, tail = "".join(word.text for word in event.committed), text_of(event.tentative)
        if not text and tail == self._tail:
            return ()
        self._tail = tail
        heard_ms = start_ms + round(event.heard_s * 1000)
        runs = event.runs()
        said = {"tail": tail, "language": event.language, "heard_ms": heard_ms}
        return [
            message
            for place, (who, text) in enumerate(runs or [("", "")], 1)
            for message in self.extra("source", text=text, **said, ended=event.ended and place >= len(runs), **by(who))
        ]


def _with_extension(asked: Asked, ours: Ours) -> Asked:
    """Return the wishes with what ``session.translate_live`` changes."""
    names = ("extensions", "one_track", "speak", "voice", "consent", "same_language", "speakers", "speaker_names")
    given: dict[str, Any] = {
        name: value
        for name in (*names, "keep_seen", "glossary_url", "hints_url", "start_ms", "first_unit")
        if (value := getattr(ours, name)) is not msgspec.UNSET
    }
    if ours.source is not msgspec.UNSET:
        given["sources"] = tuple(filter(None, map(str.strip, ours.source.split(","))))
    if ours.targets is not msgspec.UNSET:
        if ours.targets and asked.target not in ours.targets:
            given["target"] = ours.targets[0]
        target = given.get("target", asked.target)
        given["further"] = tuple(one for one in ours.targets if one != target)
    if ours.spoken is not msgspec.UNSET:
        given["also_spoken"] = tuple(one for one in ours.spoken if one != given.get("target", asked.target))
    if ours.silent is not msgspec.UNSET:
        given["silent"] = tuple(ours.silent)
    if ours.hints is not msgspec.UNSET:
        given["hints"] = with_hints(asked.hints, ours.hints)
    if ours.glossary is not msgspec.UNSET:
        given["glossary"] = glossary_of((row.source, row.targets, row.mode, row.language) for row in ours.glossary)
    return replace(asked, **given)


def _steps(offset: Offset, moment: float) -> int:
    """Stream time in steps of 200 ms."""
    return (offset.start_ms + int(moment * 1000)) // 200 * 200
