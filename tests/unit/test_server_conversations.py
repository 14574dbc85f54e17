"""Any conversation, in virtual time: every message gets its answer, one end, and nothing is left behind."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.clocks.virtual import run_on
from pipeline.engine import Engine
from pipeline.server.service import Limits
from tests.serving import make_service, scripted_profile
from tests.unit.test_server_connection import Socket, connected

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("talk"), st.floats(0.2, 3.0)),
        st.tuples(st.just("language"), st.sampled_from(["es", "ca", "xx"])),
        st.tuples(st.just("extensions"), st.booleans()),
        st.tuples(st.just("control"), st.sampled_from(["pause", "resume", "mute", "unmute", "skip_to_live", "nonsense"])),
        st.tuples(st.just("ping"), st.none()),
        st.tuples(st.just("garbage"), st.text(max_size=20)),
        st.tuples(st.just("close"), st.none()),
        st.tuples(st.just("vanish"), st.none()),
    ),
    max_size=10,
)


async def take(socket: Socket, step: str, value) -> None:
    match step:
        case "talk":
            await socket.talk(value)
        case "language":
            socket.send("session.update", session={"audio": {"output": {"language": value}}})
        case "extensions":
            socket.send("session.update", session={"translate_live": {"extensions": value}})
        case "control":
            socket.send("translate_live.control", action=value)
        case "ping":
            socket.send("translate_live.ping")
        case "garbage":
            socket.incoming.put_nowait({"type": "websocket.receive", "text": value})
        case "close":
            socket.send("session.close")
        case "vanish":
            socket.vanish()


async def converse(steps) -> tuple[Socket, object, object]:
    async with Engine.load(scripted_profile()) as engine:
        service = make_service(engine, limits=Limits(mistakes=100))
        async with connected(service) as socket:
            for step, value in steps:
                if socket.serving.done():
                    break
                await take(socket, step, value)
            socket.send("session.close")
        return socket, service, [await engine.model(stage) for stage in ("recognizer", "synthesizer")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_any_conversation_ends_once_and_leaves_nothing_behind(steps):
    socket, service, models = run_on("exact", converse(steps))
    kinds = [event["type"] for event in socket.sent]
    assert kinds[:1] in ([], ["session.created"])
    assert [model.opened for model in models] == [model.closed for model in models]
    assert not service.connections
    asked = [step for step, _ in steps]
    if "vanish" not in asked:
        assert kinds
        assert kinds.count("session.closed") == 1
        assert kinds[-1] == "session.closed" or set(kinds[kinds.index("session.closed") + 1 :]) <= {"error"}
        assert socket.closed == (1000, "")
        assert kinds.count("session.updated") <= asked.count("language") + asked.count("extensions")
    assert all(json.dumps(event) for event in socket.sent)
    units = [event["unit"] for event in socket.of("translate_live.unit")]
    assert units == sorted(set(units))
