"""Sound and captions of a room: a speaker's session gives both to the listeners of its languages, by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from pipeline.contracts import Delivery
from pipeline.events import AudioChunk, Busy, Draft, Event, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript
from pipeline.languages import same_language
from pipeline.server.asked import Offset
from pipeline.server.rooms import Listener, Seat
from pipeline.session import Session


class RoomSink:
    """A `Sink` of a speaker's session: listeners get what is in their language, the speaker what became of the words."""

    delivery: Delivery = "client"

    def __init__(
        self,
        seat: Seat,
        own: Listener,
        offset: Offset,
        names: Mapping[str, str],
        session: Session,
        *,
        spoken: Collection[str],
    ) -> None:
        self._seat = seat
        self._own = own
        self._offset = offset
        self._own_offset = replace(offset, target="")
        self._names = names  # languages as the profile calls them, by what was asked for
        self._session = session
        self._spoken = spoken  # of the targets
        self._texts: dict[tuple[str, int], str] = {}
        self._group: dict[str, str] = {}  # the text that is being spoken, by target

    async def put(self, event: Event) -> None:
        """Hand an event on."""
        if isinstance(event, AudioChunk | Busy):  # by far the most, and nobody is told of them
            return
        if not isinstance(event, Lag | SpeechChunk | Skipped):
            self._own.take(self._seat, event, self._own_offset)
        self._note(event)
        for listener, language in self._listeners(spoken=isinstance(event, Lag | SpeechChunk | Skipped)):
            if self._concerns(event, language):
                listener.take(self._seat, event, self._offset_for(listener, language))
                if isinstance(event, SpeechChunk):
                    listener.played(self._group.get(event.target, ""), event.target, event.duration)

    def flush(self) -> None:
        """Drop what is not yet heard of this speaker."""
        for listener, _ in self._listeners(spoken=False):
            listener.flush(self._seat)

    async def close(self) -> None:
        """Do nothing: the connections go on."""

    def _listeners(self, *, spoken: bool) -> Iterator[tuple[Listener, str]]:
        """Return the others, each with their language, or those of them to whom it is ``spoken``."""
        for other in self._seat.others():
            if other.ears is not None and other.asked is not None and not (spoken and other.asked.speak is False):
                yield other.ears, self._names.get(other.asked.target, other.asked.target)

    def _concerns(self, event: Event, language: str) -> bool:
        match event:
            case ReadingUnit() | Lag() | SpeechChunk() | Skipped():
                return event.target == language
            case Draft():
                return event.language == language
            case Transcript():  # whoever speaks the same language reads what was said
                return same_language(event.language, language)
            case _:
                return False

    def _offset_for(self, listener: Listener, language: str) -> Offset:
        """Return the speaker's times on the listener's own clock, as near as both sessions' beginnings tell."""
        start_ms = self._offset.start_ms
        if listener.session is not None:
            later_s = self._session.clock_time(0.0) - listener.session.clock_time(0.0)
            start_ms = max(0, listener.start_ms + round(later_s * 1000))
        return replace(self._offset, start_ms=start_ms, target=language, spoken=True)

    def _note(self, event: Event) -> None:
        """Keep the text of what is about to be spoken."""
        match event:
            case ReadingUnit() if event.text and event.target in self._spoken:
                self._texts[event.target, event.number] = event.text
            case Lag():
                text = self._texts.pop((event.target, event.unit), "")
                alone = event.merged_into == event.unit
                self._group[event.target] = text if alone else f"{self._group.get(event.target, '')} {text}"
            case Skipped():
                for number in range(event.first, event.last + 1):
                    self._texts.pop((event.target, number), None)


def by_name(event: Event, name: str) -> Event:
    """Name who said a participant's words; a speaker who was told apart keeps their own name."""
    if isinstance(event, Transcript | ReadingUnit) and not event.speaker:
        return replace(event, speaker=name)
    return event
