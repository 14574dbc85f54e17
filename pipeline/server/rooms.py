"""Rooms: participants of one conversation, each of whom speaks one language and hears all others in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from pipeline.events import Event
from pipeline.languages import known_code, same_language
from pipeline.profiles.profile import Profile
from pipeline.server.access import Key, Refusal
from pipeline.server.admission import Admission
from pipeline.server.asked import LANGUAGE, SOURCE, Asked, Offset, Rejected, resolved
from pipeline.session import Session

MOST = 32  # participants of a room
NAME = re.compile(r"[^\x00-\x1f\x7f]{1,40}")
ROOM = re.compile(r"[\w-]{1,64}")
UNNAMED_ROOM = "a room is named by 1 to 64 letters, digits, - and _"


class Ears(Protocol):
    """A participant, as the others are heard by them."""

    session: Session | None
    """Of what this participant says."""
    start_ms: int
    """Its beginning, in the client's own time."""

    def take(self, speaker: Seat, event: Event, offset: Offset) -> None:
        """Give an event of another's session."""

    def played(self, text: str, language: str, seconds: float) -> None:
        """Note what this participant's loudspeaker says, which their microphone may hear."""

    def flush(self, speaker: Seat) -> None:
        """Drop a speaker's speech that is not yet heard."""

    def tell(self, kind: str, **fields: object) -> None:
        """Send an event of our extension, to a client that wants it."""

    def forget(self, speaker: Seat) -> None:
        """Take in that a speaker has left."""


@dataclass(eq=False)
class Seat:
    """A participant: who it is, what they asked for, and how they are told of the others; `asked` none: not yet known."""

    room: Room
    name: str
    session: str = ""  # id, by which a lost one comes back
    resuming: str = ""  # id of the lost one that comes back
    asked: Asked | None = None
    ears: Ears | None = None
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
