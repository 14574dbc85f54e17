"""Server events of DashScope's Qwen LiveTranslate: a source item an utterance, a response a reading unit.

Responses overlap: a unit's text goes out when it is translated, its speech when it is spoken.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.audio.resampling import AnyRate, to_pcm16
from pipeline.events import Draft, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript, text_of
from pipeline.languages import same_language
from pipeline.server.asked import Offset
from pipeline.server.dialects.codec import HZ, by, wire
from pipeline.server.dialects.dashscope_settings import Settings

Sent = tuple[bytes, bool]
"""A message, and if it is speech."""
USAGE = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}


class SourceItems:
    """Items of what is heard: each from the first word of an utterance to its end."""

    def __init__(self, session: str, *, deltas: bool) -> None:
        self._session = session
        self._deltas = deltas  # generation 3.8
        self._number = 0
        self._text = self._stash = ""
        self._open = False

    def heard(self, event: Transcript, offset: Offset, settings: Settings) -> Iterator[bytes]:
        """Yield the messages for a step of recognition."""
        words = (*event.committed, *event.tentative)
        if words and not self._open:
            self._open = True
            yield wire("input_audio_buffer.speech_started", audio_start_ms=_ms(offset, words[0].start), item_id=self.id)
        new, stash = "".join(word.text for word in event.committed), text_of(event.tentative)
        self._text += new
        if self._shown(settings) and self._deltas and new:
            speaker = event.speaker_of(event.committed[0])
            yield self._event("delta", delta=new if self._text != new else new.lstrip(), **by(speaker))
        elif self._shown(settings) and not self._deltas and (new or stash != self._stash):
            yield self._event("text", text=self._text.strip(), stash=stash, language=event.language)
        self._stash = stash
        if event.ended:
            yield from self.ended(_ms(offset, event.committed[-1].end if event.committed else event.heard_s), settings)

    def ended(self, at_ms: int, settings: Settings) -> Iterator[bytes]:
        """Yield the messages that end the item, if one is open."""
        if not self._open:
            return
        yield wire("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self.id)
        if self._shown(settings):
            yield self._event("completed", transcript=self._text.strip())
        self._number += 1
        self._text = self._stash = ""
        self._open = False

    def failed(self, error: Mapping[str, object]) -> Iterator[bytes]:
        """Yield the message that says that the open item will not be completed."""
        if self._open:
            yield self._event("failed", error={name: error[name] for name in ("type", "code", "message", "param")})

    @property
    def id(self) -> str:
        """The open item's, or the next."""
        return f"item_{self._session}_in{self._number}"

    def _shown(self, settings: Settings) -> bool:
        return self._deltas or settings.transcribed

    def _event(self, kind: str, **fields: object) -> bytes:
        kind = f"conversation.item.input_audio_transcription.{kind}"
        return wire(kind, item_id=self.id, content_index=0, **fields)


@dataclass
class Response:
    """One that is open: its ids, its text, if it speaks, and if speech of it was sent."""

    ids: dict[str, Any]
    spoken: bool
    text: str = ""
    told: bool = False  # its text
    voiced: bool = False

    @property
    def texts(self) -> str:
        """The name after which its text events are called."""
        return "audio_transcript" if self.spoken else "text"

    def part(self, text: str) -> dict[str, str]:
        """Return its content part with so much of its text."""
        return {"type": "audio", "transcript": text} if self.spoken else {"type": "text", "text": text}

    def item(self, status: str, *content: dict[str, str]) -> dict[str, Any]:
        """Return its item."""
        shape = {"object": "realtime.item", "type": "message", "status": status, "role": "assistant"}
        return {"id": self.ids["item_id"], **shape, "content": content}


class Responses:
    """Responses of a session, one for each reading unit with a text."""

    def __init__(self, session: str, *, deltas: bool) -> None:
        self._session = session
        self._deltas = deltas  # generation 3.8
        self._open: dict[int, Response] = {}
        self._speech = AnyRate(HZ)
        self.next_unit = 0

    def unit(self, unit: ReadingUnit, offset: Offset, settings: Settings) -> Iterator[bytes]:
        """Yield the messages for a translation; what will not be spoken is completed at once."""
        number = offset.first_unit + unit.number
        self.next_unit = max(self.next_unit, number + 1)
        text = unit.text.strip()
        if text:
            yield from self._begin(number, settings)
        response = self._open.get(number)
        if response is None:
            return
        response.text, response.told = text, True
        if self._deltas:
            yield self._event(response, f"{response.texts}.delta", delta=text)
        else:
            yield self._event(response, f"{response.texts}.text", text=text, stash="")
        yield self._event(response, f"{response.texts}.done", **{"transcript" if response.spoken else "text": text})
        translated = unit.language == unit.target
        wanted = settings.same_language == "speak" or not same_language(unit.source_language, unit.target)
        if not (text and response.spoken and offset.spoken and translated and wanted):
            yield from self._complete(number)

    def draft(self, draft: Draft, offset: Offset, settings: Settings) -> Iterator[bytes]:
        """Yield the tentative text of the response that comes next, as generations before 3.8 have it."""
        if self._deltas:
            return
        number = max(self.next_unit, offset.first_unit)
        if draft.text.strip():
            yield from self._begin(number, settings)
        if (response := self._open.get(number)) is not None:
            yield self._event(response, f"{response.texts}.text", text="", stash=draft.text.strip())

    def speech(self, chunk: SpeechChunk, offset: Offset, settings: Settings) -> Iterator[Sent]:
        """Yield the messages for speech."""
        number = offset.first_unit + chunk.unit
        self._speech.to_hz = settings.output_hz
        samples = self._speech.process(chunk.samples, chunk.sample_rate, chunk.last)
        if (response := self._open.get(number)) is None:
            return
        if len(samples):
            response.voiced = True
            yield self._event(response, "audio.delta", delta=base64.b64encode(to_pcm16(samples).tobytes()).decode()), True
        if chunk.last:
            for text in self._complete(number):
                yield text, False

    def lag(self, lag: Lag, offset: Offset) -> Iterator[bytes]:
        """Yield the messages when a unit begins to be spoken: those before it are done; itself, too, if another says it."""
        group = offset.first_unit + lag.merged_into
        for number in sorted(number for number in self._open if number < group):
            yield from self._complete(number)
        if lag.merged_into != lag.unit:
            yield from self._complete(offset.first_unit + lag.unit)

    def skipped(self, skipped: Skipped, offset: Offset) -> Iterator[bytes]:
        """Yield the messages for units that are not spoken, or not to their end."""
        for number in range(offset.first_unit + skipped.first, offset.first_unit + skipped.last + 1):
            yield from self._complete(number, skipped.reason)

    def closed(self) -> Iterator[bytes]:
        """Yield the messages that end all that is open."""
        for number in sorted(self._open):
            yield from self._complete(number)

    def forget(self) -> None:
        """Drop what is held of speech that is not given further."""
        self._speech.forget()

    def _begin(self, number: int, settings: Settings) -> Iterator[bytes]:
        """Open a response, if it is not."""
        if number in self._open:
            return
        response_id, item_id = f"resp_{self._session}_{number}", f"item_{self._session}_{number}"
        ids = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        response = self._open[number] = Response(ids, settings.spoken)
        yield wire("response.created", response=self._response(response, "in_progress"))
        item = response.item("in_progress")
        yield wire("response.output_item.added", response_id=response_id, output_index=0, item=item)
        yield self._event(response, "content_part.added", part=response.part(""))

    def _complete(self, number: int, reason: str = "") -> Iterator[bytes]:
        """End a response, if it is open; for a ``reason``, before all of it was said."""
        response = self._open.pop(number, None)
        if response is None:
            return
        if not response.told:
            yield self._event(response, f"{response.texts}.done", **{"transcript" if response.spoken else "text": ""})
        if response.voiced:
            self._speech.forget()
            yield self._event(response, "audio.done")
        status, part = "incomplete" if reason else "completed", response.part(response.text)
        item = response.item(status, part)
        yield self._event(response, "content_part.done", part=part)
        yield wire("response.output_item.done", response_id=response.ids["response_id"], output_index=0, item=item)
        why = {"status_details": {"type": "incomplete", "reason": reason}} if reason else {}
        told = {**self._response(response, status), **why, "output": [item], "usage": USAGE}
        yield wire("response.done", response=told)

    @staticmethod
    def _response(response: Response, status: str) -> dict[str, Any]:
        return {"id": response.ids["response_id"], "object": "realtime.response", "status": status, "output": []}

    @staticmethod
    def _event(response: Response, kind: str, **fields: object) -> bytes:
        return wire(f"response.{kind}", **response.ids, **fields)


def _ms(offset: Offset, moment: float) -> int:
    """Stream time of the connection."""
    return offset.start_ms + round(moment * 1000)
