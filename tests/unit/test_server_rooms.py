"""Rooms in virtual time: who hears whom, in which language, with which name; who is admitted; what is never mixed up."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serve_rooms import NUMBERS
from benchmarks.spoken_numbers import SLOT_S, NumberModels, numbers_in, spoken
from pipeline.clock import LoopClock
from pipeline.contracts import Missing
from pipeline.engine import Engine
from pipeline.events import Lag, ReadingUnit, Skipped, SpeechChunk
from pipeline.profiles.profile import load_profile
from pipeline.server.access import Key, Refusal
from pipeline.server.asked import Asked, Offset
from pipeline.server.connection import Connection
from pipeline.server.dialects.openai import OpenAI
from pipeline.server.room_sound import RoomSink
from pipeline.server.rooms import Listener, Room, Seat, Turns
from pipeline.server.service import Limits
from pipeline.server.writer import Writer
from tests.scripted import Keep
from tests.serving import alive, make_service, uncollected
from tests.unit.test_server_connection import Socket

looptime = pytest.mark.looptime(noop_cycles=2)
KEY = Key("k", may_clone=True)


class Person(Socket):
    """A participant of a room."""

    def wish(self, language: str, **ours: object) -> None:
        ours = {"extensions": True, **ours}
        self.send("session.update", session={"audio": {"output": {"language": language}}, "translate_live": ours})

    async def count(self, first: int, numbers: int) -> None:
        """Say numbers from ``first``, then be silent for a while."""
        await self.sound(spoken(first, numbers) + bytes(48_000 * 3))

    async def sound(self, audio: bytes) -> None:
        for at in range(0, len(audio), 9600):
            self.send("session.input_audio_buffer.append", audio=base64.b64encode(audio[at : at + 9600]).decode())
            await asyncio.sleep(0.2)

    def heard(self, who: str = "") -> list[int]:
        audio = [one for one in self.of("session.output_audio.delta") if who in {"", one["participant"]}]
        return numbers_in(b"".join(base64.b64decode(one["delta"]) for one in audio))

    def read(self, who: str) -> list[int]:
        units = [one for one in self.of("translate_live.unit") if one["participant"] == who]
        return [int(number) for unit in units for number in unit["text"].split()]


class Hall:
    """A server with rooms."""

    def __init__(self, service, tasks: asyncio.TaskGroup) -> None:
        self.service, self._tasks, self._stack = service, tasks, AsyncExitStack()

    async def join(self, room: str, name: str, language: str, key: Key = KEY, **ours: object) -> Person:
        person = Person()
        dialect = OpenAI("local", Asked("en"), recorded=self.service.recording is not None)
        seat = self.service.rooms.seat(key, room, name)

        async def serve() -> None:
            with seat as held:
                await Connection(person, dialect, self.service, key, seat=held).serve()

        person.serving = self._tasks.create_task(serve())
        person.wish(language, **ours)
        await asyncio.sleep(0.01)
        return person


@asynccontextmanager
async def hall(capacity: int = 4):
    async with Engine.load(load_profile("cpu", None, list(NUMBERS))) as engine, asyncio.TaskGroup() as tasks:
        yield Hall(make_service(engine, capacity=capacity), tasks)


async def leave(*people: Person) -> None:
    for person in people:
        person.send("session.close")
    await asyncio.gather(*(person.serving for person in people))


@looptime
async def test_each_hears_the_other_in_their_own_language_by_name_and_never_themselves() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        await asyncio.gather(ana.count(0, 12), bo.count(102, 12))
        await leave(ana, bo)
        assert ana.heard() == ana.heard("Bo") == list(range(102, 114))
        assert bo.heard() == bo.heard("Ana") == list(range(12))
        assert bo.read("Ana") == list(range(12))
        assert {one["target"] for one in bo.of("translate_live.unit") if one["participant"] == "Ana"} == {"es"}
        assert ana.read("Ana") == list(range(12))  # what became of their own words
        assert ana.closed == bo.closed == (1000, "")
        assert not ana.errors() + bo.errors()


@looptime
async def test_what_is_silent_for_the_speaker_alone_is_heard_in_a_room() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en", silent=["es"]), await rooms.join("r", "Bo", "es")
        await ana.count(0, 12)
        await leave(ana, bo)
        assert bo.heard("Ana") == bo.read("Ana") == list(range(12))


@looptime
async def test_a_room_adds_no_lag_to_that_of_a_session_alone() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        alone = Person()
        connection = Connection(alone, OpenAI("local", Asked("en")), rooms.service, KEY)
        alone.serving = rooms._tasks.create_task(connection.serve())
        alone.wish("es", source="en")
        await asyncio.gather(ana.count(0, 24), bo.count(0, 24), alone.count(0, 24))
        await leave(ana, bo, alone)
        for person in (ana, bo):
            assert lags(person) == lags(alone)
        assert max(lags(alone)) < 1000


def lags(person: Person) -> list[int]:
    return [one["ear_voice_ms"] for one in person.of("translate_live.lag")]


@looptime
async def test_a_room_of_three_languages_and_two_listeners_of_one() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        cy, di = await rooms.join("r", "Cy", "fr", speak=False), await rooms.join("r", "Di", "es")
        await ana.count(0, 12)
        await cy.count(48, 6)
        await leave(ana, bo, cy, di)
        for spanish in (bo, di):
            assert spanish.heard("Ana") == list(range(12))
            assert spanish.heard("Cy") == list(range(48, 54))
        assert (cy.heard(), cy.read("Ana")) == ([], list(range(12)))  # text only, as wished
        assert ana.heard() == list(range(48, 54))


@looptime
async def test_who_asks_for_text_only_hears_nothing_also_beside_one_who_listens_in_the_same_language() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        cy = await rooms.join("r", "Cy", "es", speak=False)
        await ana.count(0, 12)
        await leave(ana, bo, cy)
        assert bo.heard() == bo.read("Ana") == cy.read("Ana") == list(range(12))
        assert (cy.heard(), cy.of("translate_live.lag")) == ([], [])


def test_who_turns_to_text_only_while_others_talk_hears_nothing_of_it_later() -> None:
    class Ears:
        def __init__(self) -> None:
            self.flushed: list[Seat] = []

        def flush(self, speaker: Seat) -> None:
            self.flushed.append(speaker)

    room, ears = Room("r", load_profile("cpu", None, list(NUMBERS))), Ears()
    ana, bo = Seat(room, "Ana", asked=Asked("en")), Seat(room, "Bo", ears=ears)
    room.seats |= {"Ana": ana, "Bo": bo}
    bo.settle(Asked("es"), KEY)
    assert not ears.flushed
    bo.settle(Asked("es", speak=False), KEY)
    assert ears.flushed == [ana]


@looptime
async def test_rooms_are_apart_also_of_one_name_under_another_key() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("one", "Ana", "en"), await rooms.join("one", "Bo", "es")
        other, last = await rooms.join("two", "Bo", "es"), await rooms.join("one", "Bo", "es", key=Key("other"))
        await ana.count(0, 6)
        await leave(ana, bo, other, last)
        assert bo.heard() == list(range(6))
        assert (other.heard(), last.heard(), other.read("Ana"), last.read("Ana")) == ([], [], [], [])


@looptime
async def test_who_comes_later_hears_what_is_said_from_then_on_and_nothing_is_lost_for_the_others() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        talking = asyncio.create_task(ana.count(0, 42))
        await asyncio.sleep(20 * SLOT_S)
        cy = await rooms.join("r", "Cy", "fr")
        await asyncio.sleep(10 * SLOT_S)
        await leave(cy)
        await talking
        await leave(ana, bo)
        assert bo.heard("Ana") == list(range(42))
        assert cy.heard("Ana")
        assert set(cy.heard("Ana")) < set(range(15, 42))


@looptime
async def test_who_is_alone_is_heard_by_nobody_and_the_first_words_to_another_are_whole() -> None:
    async with hall() as rooms:
        ana = await rooms.join("r", "Ana", "en")
        await ana.count(0, 6)
        assert not ana.of("translate_live.unit")
        bo = await rooms.join("r", "Bo", "es")
        await ana.count(24, 6)
        await leave(ana, bo)
        assert bo.heard() == list(range(24, 30))
        (first, *_) = ana.of("translate_live.unit")
        assert first["start_ms"] == pytest.approx(1000 * (6 * SLOT_S + 3), abs=250)  # in the time of what Ana sent


@looptime
async def test_a_room_takes_a_place_for_two_and_is_admitted_whole() -> None:
    async with hall(capacity=2) as rooms:
        people = [await rooms.join("r", "Ana", "en")]
        assert rooms.service.admission.active == 1
        people += [await rooms.join("r", "Bo", "es"), await rooms.join("r", "Cy", "fr")]
        assert rooms.service.admission.active == 2
        with pytest.raises(Refusal) as refused, rooms.service.rooms.seat(KEY, "another", "Ana"):
            pass
        assert (refused.value.status, refused.value.code) == (503, "capacity")
        people.append(await rooms.join("r", "Di", "es"))  # the second half of a place that the room holds
        assert rooms.service.admission.active == 2
        await leave(*people)
        assert rooms.service.admission.active == 0


@looptime
async def test_a_name_is_one_participants_until_they_leave_or_resume() -> None:
    async with hall() as rooms:
        ana = await rooms.join("r", "Ana", "en")
        for name, room in (("Ana", "r"), ("", "r"), ("Bo", "no room"), ("\n", "r"), ("B" * 41, "r")):
            with pytest.raises(Refusal) as refused, rooms.service.rooms.seat(KEY, room, name):
                pass
            assert refused.value.param == ("room" if name == "Bo" else "as")
        session = ana.of("session.created")[0]["session"]["id"]
        with rooms.service.rooms.seat(KEY, "r", "Ana", session) as again:
            assert again.present
        await leave(ana)
        with rooms.service.rooms.seat(KEY, "r", "Ana"):
            pass


@looptime
async def test_a_language_that_the_others_cannot_be_given_is_refused_to_who_brings_it() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "xx")
        assert (ana.errors(), bo.errors()) == ([], ["invalid_language"])
        assert bo.of("error")[0]["error"]["param"] == "session.audio.output.language"
        bo.wish("es")
        await asyncio.gather(ana.count(0, 6))
        await leave(ana, bo)
        assert bo.heard() == list(range(6))


@looptime
@pytest.mark.parametrize("lacking", [("en", "fr"), ("fr", "es")])
async def test_a_language_without_its_model_on_this_machine_throws_nobody_out(lacking, monkeypatch) -> None:
    def missing_between(self: NumberModels, source: str, target: str) -> list[Missing]:
        return [Missing("its model", "fetch it")] if (source, target) == lacking else []

    monkeypatch.setattr(NumberModels, "missing_between", missing_between, raising=False)
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        talking = asyncio.create_task(ana.count(0, 6))
        await asyncio.sleep(2)
        cy = await rooms.join("r", "Cy", "fr")
        await talking
        await leave(ana, bo, cy)
    assert (ana.errors(), bo.errors(), cy.errors()) == ([], [], ["invalid_language"])
    assert bo.heard() == list(range(6))


@looptime
@pytest.mark.parametrize(("may_clone", "consent"), [(True, True), (True, False), (False, True)])
async def test_the_others_hear_ones_own_voice_only_with_consent_and_the_right(may_clone: bool, consent: bool) -> None:
    async with hall() as rooms:
        key = Key("k", may_clone=may_clone)
        bo = await rooms.join("r", "Bo", "es", key=key)
        ana = await rooms.join("r", "Ana", "en", key=key, voice="same", consent=consent)
        await ana.count(0, 6)
        await leave(ana, bo)
        assert bool(ana.errors()) == (not (may_clone and consent))
        assert bo.heard() == list(range(6))  # where the wish is refused, in a standard voice


@looptime
async def test_what_a_microphone_hears_of_the_others_is_not_sent_back_to_them() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        await asyncio.gather(ana.count(0, 6), bo.sound(bytes(round(48_000 * (6 * SLOT_S + 3)))))
        assert bo.heard() == list(range(6))
        await bo.count(0, 6)  # the loudspeaker in the microphone
        assert ana.heard() == []
        assert len(bo.of("translate_live.fault")) == 1
        await bo.sound(bytes(48_000 * 10))
        await bo.count(0, 6)  # Bo says the same later
        assert ana.heard() == list(range(6))
        await leave(ana, bo)


@looptime
async def test_who_vanishes_silences_nobody() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        cy = await rooms.join("r", "Cy", "es")
        talking = asyncio.create_task(ana.count(0, 12))
        await asyncio.sleep(3)
        cy.vanish()
        await talking
        await leave(ana, bo)
        assert bo.heard() == list(range(12))


@looptime
async def test_what_a_participant_made_is_gone_when_they_have_left() -> None:
    async with hall() as held:
        for counted in (False, True):
            with uncollected():
                before = alive()
                ana, bo = await held.join("r", "Ana", "en"), await held.join("r", "Bo", "es")
                await ana.count(0, 6)
                await bo.count(10, 6)
                ana.send("session.close")
                bo.vanish()
                await asyncio.gather(ana.serving, bo.serving)
                del ana, bo
                assert not counted or alive() - before == Counter()


@looptime
async def test_who_comes_or_goes_while_anothers_connection_closes_is_not_ended_by_it() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        cy = await rooms.join("r", "Cy", "fr")
        await bo.count(0, 6)
        bo.close = lambda code, reason: asyncio.Event().wait()  # its close frame does not get out
        for _ in range(200):  # too many events
            bo.send("translate_live.ping")
        await asyncio.sleep(0.1)
        assert (bo.errors(), bo.serving.done()) == (["rate_limited"], False)
        di = await rooms.join("r", "Di", "de")
        await leave(ana)
        assert (ana.closed, bo.serving.done()) == ((1000, ""), False)
        await di.count(24, 6)
        await leave(cy, di)
        assert cy.heard("Di") == list(range(24, 30))
        assert rooms.service.admission.active == 0


@looptime
async def test_a_drain_finishes_the_others_while_one_connection_is_ending() -> None:
    class Slow:
        async def put(self, event) -> None:
            pass

        async def close(self) -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(20)
            await asyncio.sleep(0.4)  # it takes its time also when it is cancelled

    async with hall() as rooms:
        rooms.service.limits = Limits(drain_s=0.1)
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        hers = ana.of("session.created")[0]["session"]["id"]
        rooms.service.sinks += [lambda session, key, seat: Slow() if session == hers else Keep()]
        cy, di = await rooms.join("s", "Cy", "en"), await rooms.join("s", "Di", "es")
        await asyncio.gather(ana.count(0, 6), cy.count(0, 6))
        bo.vanish()
        await asyncio.sleep(1)  # nobody needs what Ana says any more: her session says what it has heard
        for _ in range(200):  # too many events
            ana.send("translate_live.ping")
        await asyncio.sleep(0.1)
        assert (ana.errors(), ana.serving.done()) == (["rate_limited"], False)
        await rooms.service.drain()
        assert ana.closed[0] == 4029
        assert cy.closed[0] == di.closed[0] == 1001
        assert di.heard() == list(range(6))


@looptime
async def test_audio_that_waits_when_another_joins_is_heard() -> None:
    async with hall() as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        audio = spoken(0, 60)
        for at in range(0, len(audio), 96_000):  # more than waits in a session
            ana.send("session.input_audio_buffer.append", audio=base64.b64encode(audio[at : at + 96_000]).decode())
        await asyncio.sleep(0.1)
        cy = await rooms.join("r", "Cy", "fr")
        await leave(ana)
        await leave(bo, cy)
        heard = " ".join(one["text"] for one in ana.of("translate_live.source"))
        assert [int(number) for number in heard.split()] == list(range(60))


@looptime
async def test_a_lost_seat_that_ends_late_does_not_split_the_room() -> None:
    async with hall() as rooms:
        seats = rooms.service.rooms
        lost = seats.seat(KEY, "r", "Ana")
        lost.__enter__().session = "lost"
        with seats.seat(KEY, "r", "Ana", "lost"):
            pass
        with seats.seat(KEY, "r", "Bo"):
            lost.__exit__(None, None, None)
            assert seats.participants(KEY, "r") == ["Bo"]


SAID = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 3), st.sampled_from(["said", "skipped"])), max_size=12)


@given(SAID, st.randoms())
def test_no_unit_is_cut_by_anothers_and_none_is_lost(units: list[tuple[str, int, str]], chance) -> None:
    """However the events of several speakers come, each one's in order."""
    scripts: dict[str, list] = {}
    for number, (speaker, chunks, how) in enumerate(units):
        events = [Lag(number, 0.0, 0.5, 0.0, 1.0, number, "es")]
        events += [SpeechChunk(number, np.zeros(1, np.float32), 8000, last=False) for _ in range(chunks - 1)]
        end = SpeechChunk(number, np.zeros(1, np.float32), 8000, last=True)
        scripts.setdefault(speaker, []).extend([*events, end if how == "said" else Skipped(number, number, "muted", "es")])
    wanted = {speaker: list(events) for speaker, events in scripts.items()}
    given_: list[tuple[str, object]] = []
    turns: Turns[str] = Turns(lambda speaker, event: given_.append((speaker, event)))
    while scripts:
        speaker = chance.choice(sorted(scripts))
        turns.take(speaker, scripts[speaker].pop(0), now=0.0)
        scripts = {one: events for one, events in scripts.items() if events}
    for speaker, events in wanted.items():
        assert [event for who, event in given_ if who == speaker] == events
    holder = None
    for who, event in given_:
        assert holder in {None, who}
        ended = isinstance(event, Skipped) or (isinstance(event, SpeechChunk) and event.last)
        holder = None if ended else who


def test_a_speaker_whose_unit_stops_coming_loses_the_turn() -> None:
    given_: list[str] = []
    turns: Turns[str] = Turns(lambda speaker, event: given_.append(speaker))
    piece = SpeechChunk(0, np.zeros(1, np.float32), 8000, last=False)
    turns.take("A", piece, 0.0)
    turns.take("B", piece, 1.0)
    assert given_ == ["A"]
    turns.take("B", piece, 6.0)
    assert given_ == ["A", "B", "B"]
    turns.take("C", piece, 6.0)
    assert turns.flush("B")
    assert given_ == ["A", "B", "B", "C"]


@looptime
async def test_of_a_language_that_is_only_read_no_text_is_kept_for_loudspeakers() -> None:
    seat = Seat(Room("r", load_profile("cpu")), "Ana")
    ears = Listener(OpenAI("local", Asked("en")), Writer(None), LoopClock())
    sink = RoomSink(seat, ears, Offset(), {}, None, spoken=["es"])
    for number in range(3):
        await sink.put(ReadingUnit(number, (), "spoken", "es", 0, 1, 1, "es"))
        await sink.put(ReadingUnit(number, (), "read", "fr", 0, 1, 1, "fr"))
    assert set(sink._texts.values()) == {"spoken"}
