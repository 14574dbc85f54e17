"""Recordings of rooms, where the operator wants them: each participant's sound and captions, on the conversation's time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakKeyDictionary

from pipeline.clock import Clock
from pipeline.contracts import Delivery, Sink
from pipeline.errors import TranslateLiveError
from pipeline.events import AudioChunk, Event, ReadingUnit, Transcript
from pipeline.lane import Lane
from pipeline.privacy.ledger import Ledger, LedgerSink, kept_session
from pipeline.server import LOG
from pipeline.server.access import Key
from pipeline.server.room_sound import by_name
from pipeline.server.rooms import Room, Seat
from pipeline.session import Session
from pipeline.sinks.captions import Captions
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.sealing import SUFFIX, store_key
from pipeline.sinks.sharing import Sharing
from pipeline.sinks.speech_file import SpeechFile
from pipeline.sinks.writing import cannot_write

CLOSE_S = 5.0  # for the disk to take the end of a recording
COMMENT = "a participant of a room, recorded by translate-live"


@dataclass
class Conversation:
    """Recordings of a room since its first participant: folder, when they began, and each participant's own second 0."""

    folder: Path
    began: float  # on the clock
    starts: dict[str, float] = field(default_factory=dict)  # by session, in the conversation's time


class RoomRecorder:
    """The operator's choice to record rooms: in ``folder``, each conversation in one of its own."""

    def __init__(self, folder: Path, sharing: Sharing) -> None:
        self.sharing = sharing
        self._folder = folder
        self._conversations: WeakKeyDictionary[Room, Conversation] = WeakKeyDictionary()

    def track(self, seat: Seat, session: str, key: Key, clock: Clock) -> ParticipantRecording:
        """Begin the recording of a participant, which writes nothing before they are heard."""
        found = self._conversations.get(seat.room)
        if found is None:
            name = f"{seat.room.name[:40]}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{session[-6:]}"
            found = self._conversations[seat.room] = Conversation(self._folder / name, clock.now())
        days = min(filter(None, (self.sharing.retention_days, key.retention_days)), default=None)
        return ParticipantRecording(found, seat, session, days, self.sharing)


class ParticipantRecording:
    """Recording of one participant over all sessions of their connection; a disk that fails ends it, and all are told."""

    def __init__(
        self, conversation: Conversation, seat: Seat, session: str, retention_days: float | None, sharing: Sharing
    ) -> None:
        self._conversation = conversation
        self.name = seat.name
        self._seat = seat
        self._id = session
        self._sharing = sharing
        self._key = store_key()
        suffix = "" if self._key is None else SUFFIX
        self._captions = conversation.folder / f"{session}.vtt"
        self._sound = conversation.folder / f"{session}.wav{suffix}"
        files = [self._sound, self._captions.with_name(self._captions.name + suffix)]
        kept = kept_session(session, [], files, [seat.name], retention_days)
        self._ledger = LedgerSink(Ledger(), kept)
        self._start_s: float | None = None  # the participant's own second 0, in the conversation's time
        self._open: list[Sink] = []  # of sound and captions
        self._opened = False
        self._ended = False

    def sink(self, session: Session, start_ms: int, target: str) -> TrackSink:
        """Make the sink of one session, which begins at ``start_ms`` of the participant's time; ``target`` is captioned."""
        return TrackSink(self, session.clock_time, start_ms / 1000, target)

    async def put(self, event: Event, clock_time: Callable[[float], float], start_s: float) -> None:
        """Write an event of a session that begins at ``start_s`` of the participant's time."""
        if self._ended:
            return
        try:
            if isinstance(event, AudioChunk):
                self._place(clock_time(event.start), start_s + event.start, again=start_s > 0)
            if self._start_s is None:
                return
            await self._list(event)
            later = _later(event, self._start_s + start_s)
            for sink in self._open if self._opened else await self._files():
                await sink.put(later)
        except (TranslateLiveError, OSError) as error:
            LOG.warning("session %s is recorded no more: %s", self._id, type(error).__name__)  # the message names the room
            await self.close()
            for seat in self._seat.room.seats.values():
                if seat.ears is not None:
                    seat.ears.tell("recording", recording=False, participant=self.name)

    async def close(self) -> None:
        """Finish the files; what a disk does not take in time is lost."""
        if self._ended:
            return
        self._ended = True
        await _finish([*self._open, self._ledger])

    def _place(self, now: float, own_s: float, *, again: bool) -> None:
        """Find the participant's second 0 by the first audio; who resumes a session has the one of that."""
        if self._start_s is None:
            starts, here = self._conversation.starts, now - self._conversation.began - own_s
            known = starts.get(self._seat.resuming, here) if again else here
            self._start_s = starts[self._id] = min(known, here)  # whatever a client says, nobody is heard in the future

    async def _list(self, event: Event) -> None:
        """Put the files on the list before they are made: what cannot be erased is not recorded."""
        await self._ledger.put(event)
        if self._ledger.notices:
            raise cannot_write(self._sound, OSError(0, "its files could not be found again to be erased"))

    async def _files(self) -> list[Sink]:
        """Make the files on a thread; those of a track that has ended meanwhile are closed."""
        lane = Lane("room captions")
        try:
            await lane.run(self._make, lane)
        finally:
            if not self._opened:
                lane.close()
            if self._ended:
                await _finish(self._open)
        return [] if self._ended else self._open

    def _make(self, lane: Lane) -> None:
        self._conversation.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open.append(SpeechFile(self._sound, original=1.0, patience_s=0, comment=COMMENT, private=True, key=self._key))
        captions = Captions(self._captions, "both", private=True, key=self._key)
        self._open.append(self._sharing.redacting(CaptionsOnThread(captions, lane)))
        self._opened = True


class CaptionsOnThread:
    """A `Sink` of captions, for whose disk only their thread waits."""

    def __init__(self, captions: Captions, lane: Lane) -> None:
        self._captions = captions
        self._lane = lane

    async def put(self, event: Event) -> None:
        """Write the cues that the event makes final."""
        await self._lane.run(self._captions.take, event)

    async def close(self) -> None:
        """Write the last cue, and end the thread."""
        try:
            await self._lane.run(self._captions.finish)
        finally:
            self._lane.close()


async def _finish(sinks: Iterable[Sink]) -> None:
    """Close sinks; one that hangs is left behind."""
    for sink in sinks:
        await SinkQueue(sink).finish(CLOSE_S)


class TrackSink:
    """A `Sink` of one session of a participant who is recorded."""

    delivery: Delivery = "file"
    path = "the recording of this room"  # as it is told to who is in it

    def __init__(
        self, track: ParticipantRecording, clock_time: Callable[[float], float], start_s: float, target: str
    ) -> None:
        self._track = track
        self._clock_time = clock_time
        self._start_s = start_s
        self._target = target

    async def put(self, event: Event) -> None:
        """Write what the participant said, and its translation into the first language."""
        foreign = isinstance(event, ReadingUnit) and event.target != self._target
        if isinstance(event, AudioChunk | Transcript | ReadingUnit) and not foreign:
            await self._track.put(by_name(event, self._track.name), self._clock_time, self._start_s)

    async def close(self) -> None:
        """Do nothing: the participant's next session goes on."""


def _later(event: Event, by_s: float) -> Event:
    match event:
        case AudioChunk():
            return replace(event, start=max(0.0, event.start + by_s))
        case ReadingUnit():
            start, end = max(0.0, event.start + by_s), max(0.0, event.end + by_s)
            return replace(event, start=start, end=end, heard_s=event.heard_s + by_s)
        case Transcript():
            return replace(event, heard_s=event.heard_s + by_s)
        case _:
            return event
