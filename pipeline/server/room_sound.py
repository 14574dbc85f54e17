"""Sound and captions of a room: a speaker's session gives both to the listeners of its languages, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Generic, TypeVar

import msgspec

from pipeline.clock import Clock
from pipeline.contracts import Delivery
from pipeline.events import AudioChunk, Busy, Draft, Event, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript
from pipeline.languages import same_language
from pipeline.server.asked import Offset
from pipeline.server.dialects.codec import Dialect
from pipeline.server.rooms import Ears, Seat
from pipeline.server.writer import Writer
from pipeline.session import Session

STALLED_S = 5.0  # a speaker whose unit stops coming for so long has lost the turn
WAITING = 2000  # events; older ones are dropped
Speaker = TypeVar("Speaker")


class Turns(Generic[Speaker]):
    """Order of speakers: one has the turn from the beginning of a unit's speech to its end, others' speech waits."""

    def __init__(self, give: Callable[[Speaker, Event], None]) -> None:
        self._give = give
        self._holder: Speaker | None = None
        self._heard_at = 0.0
        self._waiting: deque[tuple[Speaker, Event]] = deque(maxlen=WAITING)

    def take(self, speaker: Speaker, event: Lag | SpeechChunk | Skipped, now: float) -> None:
        """Give an event of a speaker's speech, now or when it is their turn."""
        if self._holder not in {None, speaker} and now - self._heard_at > STALLED_S:
            self._next()
        if self._holder not in {None, speaker}:
            self._waiting.append((speaker, event))
            return
        self._heard_at = now
        self._say(speaker, event)
        if self._holder is None:
            self._next()

    def flush(self, speaker: Speaker) -> bool:
        """Drop what waits of a speaker, and end their turn; true if they had it."""
        self._waiting = deque((one for one in self._waiting if one[0] != speaker), maxlen=WAITING)
        had = self._holder == speaker
        if had:
            self._next()
        return had

    def _say(self, speaker: Speaker, event: Event) -> None:
        ends = isinstance(event, Skipped) or (isinstance(event, SpeechChunk) and event.last)
        self._holder = None if ends else speaker
        self._give(speaker, event)

    def _next(self) -> None:
        """Give the turn to whoever waits longest, to the end of their unit."""
        self._holder = None
        kept: list[tuple[Speaker, Event]] = []
        while self._waiting:
            speaker, event = self._waiting.popleft()
            if self._holder in {None, speaker}:
                self._say(speaker, event)
                if self._holder is None:
                    self._waiting.extendleft(reversed(kept))
                    kept.clear()
            else:
                kept.append((speaker, event))
        self._waiting.extend(kept)


class Listener:
    """A participant's ears: the events of the others, each with the speaker's name, in this client's dialect."""

    def __init__(self, dialect: Dialect, writer: Writer, clock: Clock) -> None:
        self.session: Session | None = None  # of what this participant says
        self.start_ms = 0  # of that session, in the client's own time
        self._dialect = dialect
        self._writer = writer
        self._clock = clock
        self._offsets: dict[Seat, Offset] = {}
        self._say = partial(_say, dialect, writer, self._offsets)  # not a method, by which its turns would keep it alive
        self._turns: Turns[Seat] = Turns(self._say)

    def take(self, speaker: Seat, event: Event, offset: Offset) -> None:
        """Give an event of another's session; speech when nobody else is being heard."""
        self._offsets[speaker] = offset
        if isinstance(event, Lag | SpeechChunk | Skipped):
            self._turns.take(speaker, event, self._clock.now())
        else:
            self._say(speaker, event)

    def played(self, text: str, language: str, seconds: float) -> None:
        """Note what this participant's loudspeaker says, which their microphone may hear."""
        if self.session is not None:
            self.session.played(text, language, seconds)

    def flush(self, speaker: Seat) -> None:
        """Drop a speaker's speech that is not yet heard."""
        if self._turns.flush(speaker):
            self._writer.drop_speech()
            for text in self._dialect.flushed():
                self._writer.put(named(text, speaker.name))

    def tell(self, kind: str, **fields: object) -> None:
        """Send an event of our extension, to a client that wants it."""
        for text in self._dialect.extra(kind, **fields):
            self._writer.put(text)

    def forget(self, speaker: Seat) -> None:
        """Take in that a speaker has left."""
        self._turns.flush(speaker)
        self._offsets.pop(speaker, None)


class RoomSink:
    """A `Sink` of a speaker's session: listeners get what is in their language, the speaker what became of the words."""

    delivery: Delivery = "client"

    def __init__(
        self, seat: Seat, own: Ears, offset: Offset, names: Mapping[str, str], session: Session, *, spoken: Collection[str]
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
        for listener, _ in self._listeners():
            listener.flush(self._seat)

    async def close(self) -> None:
        """Do nothing: the connections go on."""

    def _listeners(self, *, spoken: bool = True) -> Iterator[tuple[Ears, str]]:
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

    def _offset_for(self, listener: Ears, language: str) -> Offset:
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


def _say(dialect: Dialect, writer: Writer, offsets: Mapping[Seat, Offset], speaker: Seat, event: Event) -> None:
    """Send an event of a speaker who has not left."""
    if (offset := offsets.get(speaker)) is not None:
        for text, speech in dialect.encode(event, offset):
            writer.put(named(text, speaker.name), speech=speech)


def named(text: bytes, participant: str) -> bytes:
    """Add a participant's name to a message, which is a JSON object."""
    return text[:-1] + b',"participant":' + msgspec.json.encode(participant) + b"}"
