"""One connection in virtual time, with a scripted socket: its deadlines, mistakes, failures and ends."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from starlette.websockets import WebSocketDisconnect, WebSocketState

from pipeline.engine import Engine
from pipeline.server.access import Key
from pipeline.server.asked import Asked
from pipeline.server.connection import Connection
from pipeline.server.dialects.dashscope import DashScope
from pipeline.server.dialects.openai import OpenAI
from pipeline.server.service import STOP_S, Limits
from pipeline.server.writer import UNSENT_BYTES
from tests.serving import alive, make_service, scripted_profile, tone, uncollected

pytestmark = pytest.mark.looptime(noop_cycles=2)


EXTENDED = {"translate_live": {"extensions": True}}


@dataclass
class Socket:
    """A client: what it is sent is kept, unless it does not ``read``."""

    reads: bool = True
    sent: list[dict] = field(default_factory=list)
    incoming: asyncio.Queue = field(default_factory=asyncio.Queue)
    closed: tuple[int, str] | None = None
    application_state: WebSocketState = WebSocketState.CONNECTED
    gone: bool = False

    def send(self, kind: str, **fields) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": json.dumps({"type": kind, **fields})})

    def say(self, seconds: float) -> None:
        audio = base64.b64encode(tone(seconds)).decode()
        self.send("session.input_audio_buffer.append", audio=audio)

    async def talk(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.2)):
            await asyncio.sleep(0.2)
            self.say(0.2)

    def vanish(self, code: int = 1006) -> None:
        self.gone = True
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": code})

    async def receive(self) -> dict:
        return await self.incoming.get()

    async def send_text(self, text: str) -> None:
        if self.gone:
            raise WebSocketDisconnect(1006)
        if not self.reads:
            await asyncio.Event().wait()
        self.sent.append(json.loads(text))

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def of(self, kind: str) -> list[dict]:
        return [event for event in self.sent if event["type"] == kind]

    def errors(self) -> list[str]:
        return [event["error"]["code"] for event in self.of("error")]

    def text(self) -> str:
        return "".join(event["delta"] for event in self.of("session.output_transcript.delta"))


@asynccontextmanager
async def engine_of(*assignments: str):
    async with Engine.load(scripted_profile(*assignments)) as engine:
        yield engine


@asynccontextmanager
async def connected(service, socket: Socket | None = None, dialect=None, key: Key | None = None):
    """A client whose connection runs, until the connection ends."""
    socket = socket or Socket()
    async with asyncio.TaskGroup() as tasks:
        dialect, key = dialect or OpenAI("local", Asked("es")), key or Key("test", may_clone=True)
        connection = Connection(socket, dialect, service, key)
        socket.serving = tasks.create_task(connection.serve())
        await asyncio.sleep(0)
        yield socket


def words(count: int, first: int = 0) -> list[str]:
    return [f"WORD{number}" for number in range(first, first + count)]


async def test_all_that_was_said_is_translated_before_the_close():
    async with engine_of() as engine:
        async with connected(make_service(engine)) as socket:
            await socket.talk(6)
            socket.send("session.close")
        assert socket.closed == (1000, "")
        assert socket.sent[-1]["type"] == "session.closed"
        assert socket.text().split() == words(15)
        assert not any(event["type"].startswith("translate_live") for event in socket.sent)


async def test_who_says_nothing_is_let_go():
    async with engine_of() as engine:
        loop = asyncio.get_running_loop()
        async with connected(make_service(engine)) as socket:
            pass
        assert (socket.closed[0], socket.errors(), loop.time()) == (4031, ["idle"], pytest.approx(10, abs=0.1))
        began = loop.time()
        async with connected(make_service(engine)) as socket:
            socket.say(0.2)
        assert (socket.closed[0], loop.time() - began) == (4031, pytest.approx(30, abs=1))


async def test_three_mistakes_before_any_audio_end_it_and_after_it_none_does():
    async with engine_of() as engine:
        async with connected(make_service(engine)) as socket:
            for _ in range(3):
                socket.send("nonsense", event_id="e")
        assert (socket.closed[0], socket.errors()) == (1008, ["invalid_event"] * 3)
        assert {event["error"]["event_id"] for event in socket.of("error")} == {"e"}
        async with connected(make_service(engine)) as socket:
            socket.say(0.2)
            for _ in range(5):
                socket.send("session.input_audio_buffer.append", audio="AAA")
            socket.incoming.put_nowait({"type": "websocket.receive", "bytes": b"\0"})
            socket.send("session.close")
        assert (socket.closed[0], socket.errors()) == (1000, ["invalid_audio"] * 5 + ["invalid_event"])


async def test_a_flood_of_events_is_rate_limited():
    async with engine_of() as engine, connected(make_service(engine)) as socket:
        for _ in range(200):
            socket.send("translate_live.ping")
    assert (socket.closed[0], socket.errors()) == (4029, ["rate_limited"])


@pytest.mark.parametrize("stage", ["recognizer", "translator"])
async def test_a_stage_that_fails_ends_its_session_and_no_other(stage: str):
    name = {"recognizer": "hear", "translator": "translate"}[stage]
    # one model serves both sessions: the first of its calls that fail are those of the first session
    async with engine_of() as engine:
        service = make_service(engine)
        faults = (await engine.model(stage)).faults
        async with connected(service) as good, connected(service) as bad:
            await good.talk(3)
            await asyncio.sleep(1)
            faults.raise_at[name] = set(range(faults.calls[name] + 1, faults.calls[name] + 40))
            await bad.talk(10)
            faults.raise_at.clear()
            await asyncio.sleep(0.5)
            await good.talk(3)
            good.send("session.close")
            if not bad.serving.done():
                bad.send("session.close")
        assert bad.closed[0] == 1011
        assert bad.errors() == ["stage_failed"]
        assert good.closed[0] == 1000
        assert len(good.text().split()) >= 14


async def test_a_client_that_vanishes_frees_its_session_within_two_seconds():
    async with engine_of() as engine:
        service = make_service(engine)
        recognizer = await engine.model("recognizer")
        loop = asyncio.get_running_loop()
        async with connected(service) as socket:
            await socket.talk(3)
            assert recognizer.opened > recognizer.closed
            socket.vanish()
            vanished = loop.time()
        assert loop.time() - vanished <= 2
        assert recognizer.opened == recognizer.closed
        assert not service.connections


@pytest.mark.parametrize(("code", "kept"), [(1006, True), (1001, False)])
async def test_the_place_of_a_lost_client_is_kept_and_that_of_one_that_left_is_not(code: int, kept: bool):
    async with engine_of() as engine:
        service = make_service(engine, capacity=1)
        async with connected(service) as socket:
            socket.send("session.update", session={"translate_live": {"extensions": True}})
            await socket.talk(1)
            socket.vanish(code)
        assert service.admission.admits is not kept


async def test_a_client_that_does_not_read_is_let_go_and_costs_no_memory():
    async with engine_of() as engine:
        service = make_service(engine)
        loop = asyncio.get_running_loop()
        most = 0
        async with connected(service, Socket(reads=False)) as socket:
            while not socket.serving.done() and loop.time() < 60:
                await socket.talk(0.2)
                most = max([most, *(connection.unsent_bytes for connection in service.connections)])
        assert loop.time() < 30
        assert most < UNSENT_BYTES
        assert socket.closed is None  # nobody would read it


async def test_a_new_language_in_mid_talk_loses_and_doubles_no_word():
    async with engine_of() as engine:
        async with connected(make_service(engine)) as socket:
            socket.send("session.update", session={"translate_live": {"extensions": True}})
            await socket.talk(6)
            socket.send("session.update", session={"audio": {"output": {"language": "ca"}}})
            await socket.talk(6)
            socket.send("session.close")
        units = socket.of("translate_live.unit")
        assert [unit["unit"] for unit in units] == list(range(len(units)))
        assert {unit["target"] for unit in units} == {"es", "ca"}
        assert sum(len(unit["source"].split()) for unit in units) == 30
        assert all(before["end_ms"] <= after["start_ms"] for before, after in zip(units, units[1:], strict=False))
        assert len(socket.text().split()) == 30
        assert socket.closed[0] == 1000


async def test_a_wish_that_is_not_quite_fulfilled_is_told_once():
    async with engine_of() as engine, connected(make_service(engine)) as socket:
        for language in ("ca", "ca", "es"):
            socket.send("session.update", session={"audio": {"output": {"language": language}}, **EXTENDED})
        socket.send("session.close")
    assert [note["message"] for note in socket.of("translate_live.note")] == ["ca is not spoken here: there is text only"]


async def test_of_several_spoken_targets_only_the_one_that_cannot_be_is_silent():
    async with engine_of() as engine, connected(make_service(engine)) as socket:
        ours = {"extensions": True, "targets": ["ca", "es"], "spoken": ["es"]}
        socket.send("session.update", session={"audio": {"output": {"language": "ca"}}, "translate_live": ours})
        await socket.talk(4)
        socket.send("session.update", session={"translate_live": {"spoken": ["es", "fr"]}})
        socket.send("session.close")
    assert [note["message"] for note in socket.of("translate_live.note")] == ["ca is not spoken here: there is text only"]
    assert {speech["target"] for speech in socket.of("translate_live.speech")} == {"es"}
    assert {unit["target"] for unit in socket.of("translate_live.unit")} == {"ca", "es"}
    assert not socket.of("session.output_audio.delta")
    (wrong,) = [event["error"] for event in socket.of("error")]
    assert (wrong["code"], wrong["param"]) == ("invalid_language", "session.translate_live.spoken")
    assert "'fr' is to be spoken and is none of the targets" in wrong["message"]


def openai() -> OpenAI:
    return OpenAI("local", Asked("es"))


def dashscope() -> DashScope:
    return DashScope("qwen3.8-livetranslate-flash-realtime", "es")


@pytest.mark.parametrize(
    ("dialect_of", "session", "param"),
    [
        (openai, {"audio": {"output": {"language": "xx"}}}, "session.audio.output.language"),
        (openai, {"translate_live": {"source": "en,xx"}}, "session.translate_live.source"),
        (openai, {"translate_live": {"targets": ["es", "xx"]}}, "session.translate_live.targets"),
        (dashscope, {"translation": {"language": "xx"}}, "session.translation.language"),
        (
            dashscope,
            {"input_audio_transcription": {"language": "xx"}},
            "session.input_audio_transcription.language",
        ),
    ],
)
async def test_an_unknown_language_is_told_by_the_field_that_names_it(dialect_of, session, param):
    async with engine_of() as engine, connected(make_service(engine), dialect=dialect_of()) as socket:
        socket.send("session.update", session=session)
        await asyncio.sleep(1)
        socket.vanish()
    (error,) = socket.of("error")
    assert (error["error"]["code"], error["error"]["param"]) == ("invalid_language", param)


async def test_a_setting_that_is_misspelt_is_told_and_the_others_hold():
    async with engine_of() as engine, connected(make_service(engine)) as socket:
        socket.send("session.update", session={"translate_live": {"extensions": True, "target": ["ca"], "targets": ["es"]}})
        socket.send("session.close")
    (note,) = socket.of("translate_live.note")
    assert note["param"] == "session.translate_live.target"
    assert note["message"] == "no such setting here; did you mean 'targets'?"
    assert not socket.errors()


async def test_levers_hold_from_before_the_first_word():
    async with engine_of() as engine:
        async with connected(make_service(engine)) as socket:
            socket.send("translate_live.control", action="mute")
            await socket.talk(6)
            socket.send("session.close")
        assert socket.text().split() == words(15)
        assert not socket.of("session.output_audio.delta")


async def test_which_language_is_spoken_changes_in_mid_talk_without_another_session():
    both = {"extensions": True, "targets": ["es", "de"], "spoken": ["es", "de"]}
    backends = "translator.use=tests.scripted_backends:Tagging", "synthesizer.use=tests.scripted_backends:OtherVoice"
    async with engine_of(*backends) as engine:
        async with connected(make_service(engine)) as socket:
            socket.send("session.update", session={"translate_live": {**both, "silent": ["de"]}})
            await socket.talk(8)
            first = len(socket.sent)
            socket.send("session.update", session={"translate_live": {"silent": ["es"]}})
            await socket.talk(8)
            socket.send("session.close")
        kinds = [{event["type"] for event in part} for part in (socket.sent[:first], socket.sent[first:])]
        spoken = {"session.output_audio.delta", "translate_live.speech"}
        assert kinds[0] & spoken == {"session.output_audio.delta"}
        late = [event for event in socket.sent[first:] if event.get("elapsed_ms", 0) > 10_000]
        assert {event["type"] for event in late} & spoken == {"translate_live.speech"}
        for target in ("es", "de"):
            units = [event for event in socket.of("translate_live.unit") if event["target"] == target]
            said = " ".join(event["text"] for event in units).split()
            assert said == [f"{target}-word{number}" for number in range(40)], "all is shown of both"
            assert [event["unit"] for event in units] == list(range(len(units)))


async def test_what_was_silent_stays_so_to_the_end_of_its_session_and_speech_names_its_target_and_unit():
    ours = {"extensions": True, "targets": ["es", "de"], "spoken": ["es", "de"], "silent": ["es"]}
    alone = {"targets": ["de"], "spoken": ["de"], "silent": []}
    backends = "translator.use=tests.scripted_backends:Tagging", "synthesizer.use=tests.scripted_backends:OtherVoice"
    async with engine_of(*backends) as engine, connected(make_service(engine)) as socket:
        socket.send("session.update", session={"translate_live": ours})
        await socket.talk(8)
        socket.send("session.update", session={"audio": {"output": {"language": "de"}}, "translate_live": alone})
        await socket.talk(8)
        socket.send("session.close")
    units = {(unit["target"], unit["unit"]) for unit in socket.of("translate_live.unit")}
    further, own = socket.of("translate_live.speech"), socket.of("session.output_audio.delta")
    assert further
    assert own
    assert {said["target"] for said in further + own} == {"de"}
    assert {(said["target"], said["unit"]) for said in further + own} <= units
    assert {skipped["target"] for skipped in socket.of("translate_live.skipped")} == {"es"}


async def test_skip_to_live_tells_the_client_to_drop_its_speech():
    async with engine_of() as engine:
        async with connected(make_service(engine)) as socket:
            socket.send("session.update", session={"translate_live": {"extensions": True}})
            await socket.talk(6)
            socket.send("translate_live.control", action="skip_to_live")
            await socket.talk(1)
            socket.send("session.close")
        assert len(socket.of("translate_live.flush")) == 1


async def test_a_drain_lets_sessions_end_and_stops_those_that_do_not():
    async with engine_of() as engine:
        service = make_service(engine, limits=Limits(drain_s=60))
        loop = asyncio.get_running_loop()
        with service.admission.place(Key("test")):
            async with asyncio.TaskGroup() as tasks, connected(service) as socket:
                socket.send("session.update", session={"translate_live": {"extensions": True}})
                await socket.talk(3)
                draining, began = tasks.create_task(service.drain()), loop.time()
                while not socket.serving.done():
                    await socket.talk(0.2)
                assert 60 <= loop.time() - began <= 66
                draining.cancel()
        assert socket.of("translate_live.going_away")[0]["seconds"] == 60
        assert (socket.closed[0], socket.sent[-1]["type"]) == (1001, "session.closed")
        assert socket.text().split()[:150] == words(150)


async def test_a_drain_stops_a_client_whose_own_end_takes_longer():
    async with engine_of() as engine:
        service = make_service(engine, limits=Limits(drain_s=1))
        with service.admission.place(Key("test")):
            async with asyncio.TaskGroup() as tasks, connected(service) as socket:
                for _ in range(14):  # at once, and heard in as many seconds
                    socket.say(1)
                socket.send("session.close")
                await asyncio.sleep(2)
                draining = tasks.create_task(service.drain())
                await socket.serving
                assert asyncio.get_running_loop().time() < 2 + 1 + STOP_S
                draining.cancel()
        assert socket.closed[0] == 1001
        assert not socket.of("session.closed")  # not all was heard: the client may say it to another server


async def test_a_drain_does_not_wait_for_a_client_that_has_said_nothing():
    async with engine_of() as engine:
        service = make_service(engine)
        async with asyncio.TaskGroup() as tasks, connected(service) as socket:
            await asyncio.sleep(0.1)
            tasks.create_task(service.drain())
        assert (socket.closed[0], asyncio.get_running_loop().time()) == (1001, pytest.approx(0.1, abs=0.1))


async def test_a_session_ends_when_it_has_lasted_as_long_as_one_may():
    async with engine_of() as engine:
        async with connected(make_service(engine, limits=Limits(session_s=120))) as socket:
            socket.send("session.update", session={"translate_live": {"extensions": True}})
            while not socket.serving.done():
                await socket.talk(0.2)
        assert (socket.closed[0], socket.errors()) == (4001, ["expired"])
        assert len(socket.of("translate_live.going_away")) == 1
        assert len(socket.of("translate_live.resume")) >= 2
        assert len(socket.text().split()) >= 295


async def test_the_log_holds_no_word_and_no_key(caplog):
    caplog.set_level(logging.DEBUG)
    async with engine_of() as engine, connected(make_service(engine)) as socket:
        socket.send("session.update", session={"translate_live": {"extensions": True}})
        await socket.talk(3)
        socket.send("nonsense")
        socket.send("session.close")
    assert "session sess_" in caplog.text
    assert not any(word.lower() in caplog.text.lower() for word in ["word1", "nonsense", "rs_"])


async def test_of_too_many_hints_those_of_the_key_go_and_the_clients_own_stay(monkeypatch):
    async def fetched(*_):
        return ("key1", "key2", "key3")

    monkeypatch.setattr("pipeline.server.connection.fetched_hints", fetched)
    monkeypatch.setattr("pipeline.server.asked.LONGEST_GLOSSARY", 3)
    dialect, key = OpenAI("local", Asked("es")), Key("test", hints="https://host/hints")
    async with engine_of() as engine, connected(make_service(engine), dialect=dialect, key=key) as socket:
        socket.send("session.update", session={"translate_live": {"extensions": True, "hints": ["mine1", "mine2"]}})
        await asyncio.sleep(1)
        socket.send("session.close")
    assert dialect.asked.hints == ("key3", "mine1", "mine2")


async def conversation(service, *, lost: bool) -> None:
    """A talk that changes its target, is muted for a while, and ends or is lost."""
    async with connected(service) as socket:
        socket.send("session.update", session={"audio": {"output": {"language": "es"}}, **EXTENDED})
        await socket.talk(4)
        socket.send("translate_live.control", action="mute")
        socket.send("session.update", session={"audio": {"output": {"language": "ca"}}})
        await socket.talk(3)
        if lost:
            socket.vanish()
        else:
            socket.send("session.close")


async def test_what_a_connection_made_is_gone_when_it_is_over():
    async with engine_of() as engine:
        service = make_service(engine)
        for lost in (False, True):
            await conversation(service, lost=lost)
        with uncollected():
            before = alive()
            for lost in (False, True) * 3:
                await conversation(service, lost=lost)
            assert alive() - before == Counter()
