"""Rooms: participants of one conversation, each of whom speaks one language and hears all others in it, by turns."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

import msgspec

from pipeline.clock import Clock
from pipeline.events import Event, Lag, Skipped, SpeechChunk
from pipeline.languages import known_code, same_language
from pipeline.profiles.profile import Profile
from pipeline.server.access import Key, Refusal
from pipeline.server.admission import Admission
from pipeline.server.asked import LANGUAGE, SOURCE, Asked, Offset, Rejected, resolved
from pipeline.server.dialects.codec import Dialect
from pipeline.server.writer import Writer
from pipeline.session import Session

MOST = 32  # participants of a room
NAME = re.compile(r"[^\x00-\x1f\x7f]{1,40}")
ROOM = re.compile(r"[\w-]{1,64}")
UNNAMED_ROOM = "a room is named by 1 to 64 letters, digits, - and _"
STALLED_S = 5.0  # a speaker whose unit stops coming for so long has lost the turn
WAITING = 2000  # events; older ones are dropped
Speaker = TypeVar("Speaker")


@dataclass(eq=False)
class Seat:
    """A participant: who it is, what they asked for, and how they are told of the others; `asked` none: not yet known."""

    room: Room
    name: str
    session: str = ""  # id, by which a lost one comes back
    resuming: str = ""  # id of the lost one that comes back
    asked: Asked | None = None
    ears: Listener | None = None
    changed: Callable[[], None] = lambda: None
    present: bool = True

    def others(self) -> list[Seat]:
        """Return the other participants whose language is known; none if this one has left."""
        return [seat for seat in self.room.seats.values() if seat is not self and seat.asked and self.present]

    def settle(self, asked: Asked, key: Key) -> None:
        """Take a participant's wishes; raises `Rejected` if they and the others cannot understand each other."""
        try:
            self._check(asked, key)
        except Rejected as error:
            if error.param == SOURCE and not asked.sources:  # what is spoken is the language that is heard
                error.param = LANGUAGE
            raise
        self.asked = asked
        for seat in self.others():
            if self.ears is not None and asked.speak is False:
                self.ears.flush(seat)
            seat.changed()

    def _check(self, asked: Asked, key: Key) -> None:
        profile = self.room.profile
        for seat in self.others():
            for one, other in ((asked, seat.asked), (seat.asked, asked)):
                if one is not None and other is not None and not same_language(one.target, other.target):
                    wishes = one if one is asked else replace(one, voice="")
                    resolved(_towards(wishes, [other], profile), profile, may_clone=key.may_clone, key=key.id)
        resolved(replace(asked, sources=()), profile, may_clone=key.may_clone, key=key.id)

    def wanted(self) -> Asked | None:
        """Return the session that the others need of this participant; none while all of them speak the same language."""
        others = [seat.asked for seat in self.others() if seat.asked]
        if self.asked is None:
            return None
        foreign = [one for one in others if not same_language(one.target, self.asked.target)]
        return _towards(self.asked, foreign, self.room.profile) if foreign else None


@dataclass(eq=False)
class Room:
    """A conversation: its participants by name, and the places that it holds."""

    name: str
    profile: Profile
    seats: dict[str, Seat] = field(default_factory=dict)
    places: list[AbstractContextManager[None]] = field(default_factory=list)


class Rooms:
    """The rooms of a process, each within one key's; two participants share a place, since people take turns to speak."""

    def __init__(self, admission: Admission, profile: Profile) -> None:
        self._admission = admission
        self._profile = profile
        self._rooms: dict[tuple[str, str], Room] = {}

    @contextmanager
    def seat(self, key: Key, room: str, name: str, resuming: str = "") -> Iterator[Seat]:
        """Hold a seat; raises `Refusal` for a name that is taken, unless its session is resumed, or if there is no place.

        The first participant's place is held for the second, too: nobody waits in a room for one who is not admitted.
        """
        if not ROOM.fullmatch(room):
            raise Refusal(400, "invalid_event", UNNAMED_ROOM, param="room")
        if not NAME.fullmatch(name) or not name.strip():
            raise Refusal(400, "invalid_event", "a participant is named by 1 to 40 characters", param="as")
        found = self._rooms.setdefault((key.id, room), Room(room, self._profile))
        taken = found.seats.get(name)
        if taken is not None and not (resuming and taken.session == resuming):
            raise Refusal(409, "name_taken", f"{name!r} is in the room already", param="as")
        if taken is not None:
            self._leave(found, taken)
        seat = Seat(found, name, resuming=resuming)
        found.seats[name] = seat
        try:
            if len(found.seats) > MOST:
                raise Refusal(503, "capacity", f"a room has at most {MOST} participants")
            self._fit(found, key)
            yield seat
        finally:
            self._leave(found, seat)
            self._fit(found, key)
            if not found.seats and self._rooms.get((key.id, room)) is found:  # a seat lost long ago ends late
                del self._rooms[key.id, room]

    def participants(self, key: Key, room: str) -> list[str]:
        """List who is in a room of a key."""
        found = self._rooms.get((key.id, room))
        return list(found.seats) if found else []

    def _leave(self, room: Room, seat: Seat) -> None:
        if room.seats.get(seat.name) is seat:
            del room.seats[seat.name]
        seat.present, seat.ears = False, None
        for other in room.seats.values():
            if other.ears is not None:
                other.ears.forget(seat)
            other.changed()

    def _fit(self, room: Room, key: Key) -> None:
        """Hold as many places as the room needs; raises `Refusal` if there is none."""
        needed = (len(room.seats) + 1) // 2
        while len(room.places) > needed:
            room.places.pop().__exit__(None, None, None)
        while len(room.places) < needed:
            place = self._admission.place(key)
            place.__enter__()
            room.places.append(place)


def _towards(asked: Asked, listeners: list[Asked], profile: Profile) -> Asked:
    """Return the wishes for a speaker's session: into the listeners' languages, spoken for who wants to hear."""
    known = profile.backends.spoken()
    targets = dict.fromkeys(one.target for one in listeners)
    wanted = [one.target for one in listeners if one.speak is not False and known_code(one.target, known) in known]
    first, *further = dict.fromkeys([*wanted, *targets])
    return replace(
        asked,
        target=first,
        further=tuple(further),
        also_spoken=tuple(target for target in further if target in wanted),
        one_track=False,
        sources=asked.sources or (asked.target,),
        speak=bool(wanted),
    )


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


def _say(dialect: Dialect, writer: Writer, offsets: Mapping[Seat, Offset], speaker: Seat, event: Event) -> None:
    """Send an event of a speaker who has not left."""
    if (offset := offsets.get(speaker)) is not None:
        for text, speech in dialect.encode(event, offset):
            writer.put(named(text, speaker.name), speech=speech)


def named(text: bytes, participant: str) -> bytes:
    """Add a participant's name to a message, which is a JSON object."""
    return text[:-1] + b',"participant":' + msgspec.json.encode(participant) + b"}"
