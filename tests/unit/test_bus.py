"""The event bus: nobody waits for it, whatever happens to it; readers get everything or are told what they miss."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from pipeline.errors import BadInput, NetworkError
from pipeline.events import Draft, Fault, Gap, ReadingUnit, Seen, SpeakerFound, Transcript, Word
from pipeline.sinks.bus import CLOSE_S, BusSink, Publisher, Undeliverable, without_text
from pipeline.sinks.event_json import Record, encode
from pipeline.sinks.personal_data import PersonalData
from pipeline.sinks.redis_stream import KEPT, STREAM, RedisStream, check_redis, client, reason_of
from pipeline.sinks.sharing import Sharing
from tests.resp_server import KINDS

FIELDS = {"event", "speaker", "from_ns", "names", "seen_ns"}
WORDS = (Word(" call", 0, 0.5, 1), Word(" Ana", 0.5, 1, 1))
UNIT = ReadingUnit(0, WORDS, " llama a Ana", "es", 0, 1, 1.2, source_language="en", target="es", speaker="Luis")


@pytest.mark.parametrize(
    "said", ["Command # 2 (XTRIM x MINID 1) of pipeline caused error: syntax error", "Invalid stream ID specified as x"]
)
def test_a_redis_that_is_too_old_is_called_so(said):
    from redis.exceptions import ResponseError

    assert reason_of(ResponseError(said)) == "it is older than Redis 6.2"


class Line:
    """A transport that does as it is told: ``fails`` is the error of each send, or none."""

    name, linger_s = "line", 0.0

    def __init__(self, batch: int = 100, tries: int | None = None) -> None:
        self.batch, self.tries = batch, tries
        self.fails: Exception | None = None
        self.hangs = False
        self.sends = 0
        self.came: list[Record] = []
        self.closed = False

    async def reach(self) -> None:
        """It is there at once, or says what is wrong when something is sent."""

    async def send(self, records: Sequence[Record]) -> None:
        self.sends += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise self.fails
        self.came += records

    async def close(self) -> None:
        self.closed = True


def told_of(came: Sequence[Record]) -> list[int]:
    """The numbers that came or were told to be dropped, each once, in order."""
    numbers: list[int] = []
    for record in came:
        numbers += range(record["first"], record["last"] + 1) if record["event"] == "Dropped" else [record["number"]]
    return numbers


@pytest.mark.looptime
async def test_all_records_come_in_order_with_numbers_and_the_rest_at_the_end():
    line, told = Line(batch=7), []
    publisher = Publisher(line, told.append, now_ns=lambda: 5)
    async with publisher.running():
        for number in range(50):
            publisher.publish({"event": "x", "n": number})
    assert [record["n"] for record in line.came] == list(range(50))
    assert told_of(line.came) == list(range(50))
    assert {(record["writer"], record["unix_ns"]) for record in line.came} == {(publisher.writer, 5)}
    assert (told, line.closed, publisher.dropped) == ([], True, 0)


@pytest.mark.looptime
@pytest.mark.parametrize("hangs", [False, True])
async def test_an_outage_loses_nothing_up_to_the_limit_and_tells_the_rest_in_its_place(hangs):
    line, told = Line(batch=3), []
    publisher = Publisher(line, told.append, limit=10)
    async with publisher.running():
        publisher.publish({"event": "x"})
        await asyncio.sleep(1)
        line.fails, line.hangs = NetworkError("gone"), hangs
        for _ in range(10):
            publisher.publish({"event": "x"})
            await asyncio.sleep(0.5)
        assert (publisher.dropped, publisher.waiting) == (0, 10)
        for _ in range(4):
            publisher.publish({"event": "x"})
        assert (publisher.dropped, publisher.waiting) == (4, 10)
        line.fails, line.hangs = None, False
        await asyncio.sleep(10)
        assert publisher.waiting == 0
    assert told_of(line.came) == list(range(15))
    assert [record["event"] for record in line.came].count("Dropped") == 1
    assert publisher.dropped == 4
    reason = "no answer in time" if hangs else "gone"
    assert told == [f"line: {reason}; events wait, at most 10", "line is reached again; 4 events were dropped"]


@pytest.mark.looptime
async def test_a_batch_that_was_taken_while_its_records_were_dropped_is_not_counted_as_dropped():
    line = Line(batch=5)
    publisher = Publisher(line, str, limit=5)
    gate = asyncio.Event()

    async def slow(records: Sequence[Record]) -> None:
        await gate.wait()
        line.came += records

    line.send = slow  # type: ignore[method-assign]
    async with publisher.running():
        for _ in range(5):
            publisher.publish({"event": "x"})
        await asyncio.sleep(0.1)
        for _ in range(7):
            publisher.publish({"event": "x"})
        gate.set()
        await asyncio.sleep(0.1)
    assert told_of(line.came) == list(range(12))
    assert publisher.dropped == 2


@pytest.mark.looptime
async def test_a_bus_that_never_answers_holds_the_end_up_for_a_moment_only_and_the_loss_is_told():
    line, told = Line(), []
    line.hangs = True
    loop = asyncio.get_running_loop()
    publisher = Publisher(line, told.append)
    async with publisher.running():
        publisher.publish({"event": "x"})
        began = loop.time()
    assert loop.time() - began <= CLOSE_S + 0.01
    assert told[-1] == "line: 1 events were not delivered"
    assert line.closed


@pytest.mark.looptime
async def test_a_batch_is_tried_so_often_and_one_that_is_refused_for_good_once():
    line = Line(batch=2, tries=3)
    publisher = Publisher(line, str)
    async with publisher.running():
        line.fails = NetworkError("busy")
        publisher.publish({"event": "x"})
        await asyncio.sleep(30)
        assert (line.sends, publisher.dropped) == (3, 1)
        line.fails = Undeliverable("no")
        publisher.publish({"event": "x"})
        await asyncio.sleep(30)
        assert (line.sends, publisher.dropped) == (4, 2)
        line.fails = None
        publisher.publish({"event": "x"})
        await asyncio.sleep(3)
    assert told_of(line.came) == [0, 1, 2]


@pytest.mark.looptime
async def test_a_defect_of_a_library_costs_a_batch_and_ends_no_session():
    line, told = Line(), []
    line.fails = RuntimeError("a defect")
    publisher = Publisher(line, told.append)
    async with publisher.running():
        publisher.publish({"event": "x"})
        await asyncio.sleep(1)
        assert (publisher.dropped, told) == (1, ["line: RuntimeError; events wait, at most 1000"])
        line.fails = None
        publisher.publish({"event": "x"})
        await asyncio.sleep(1)
    assert told_of(line.came) == [0, 1]


async def test_an_error_of_the_session_comes_out_as_it_is():
    with pytest.raises(BadInput, match="^wrong$"):
        async with Publisher(Line(), str).running():
            raise BadInput("wrong")


@pytest.mark.looptime
async def test_a_session_is_published_between_its_begin_and_end_in_the_schema_of_events():
    line = Line()
    publisher = Publisher(line, str)
    sink = BusSink([publisher], "sess_1", {"to": ["es"]}, text=True)
    async with publisher.running():
        for event in (Transcript(WORDS, (), "en", 1, 0, False), Draft("x", "es"), UNIT, Gap(1, 2, "paused")):
            await sink.put(event)
        await sink.close()
    plain = [{k: v for k, v in one.items() if k not in {"writer", "number", "unix_ns"}} for one in line.came]
    assert plain == [
        {"event": "session", "session": "sess_1", "to": ["es"]},
        {"session": "sess_1", **encode(UNIT)},
        {"session": "sess_1", **encode(Gap(1, 2, "paused"))},
        {"event": "end", "session": "sess_1"},
    ]


@pytest.mark.looptime
async def test_without_text_no_word_of_it_goes_on_the_bus_but_its_lengths():
    line = Line()
    publisher = Publisher(line, str)
    sink = BusSink([publisher], "sess_1", text=False)
    async with publisher.running():
        await sink.put(UNIT)
        await sink.put(Fault("translate", "cannot translate 'call Ana'", fatal=False))
        await sink.close()
    assert not any(word in json.dumps(line.came) for word in ("Ana", "call", "llama", "Luis"))
    assert (line.came[1]["characters"], line.came[1]["words"], line.came[1]["end_ns"]) == (12, 2, 10**9)
    assert without_text(encode(Gap(1, 2, "paused"))) == encode(Gap(1, 2, "paused"))


@pytest.mark.looptime
@pytest.mark.parametrize("text", [True, False])
async def test_who_was_found_and_what_was_seen_is_published_by_name_only_where_text_is(text):
    line = Line()
    sharing = Sharing(personal=PersonalData(frozenset(), ("Emma",)))
    async with Publisher(line, str).running() as publisher:
        sink = sharing.redacting(BusSink([publisher], "sess_1", text=text))
        await sink.put(SpeakerFound("Luis", 1.0))
        await sink.put(Seen(("Zelkova", "Emma"), 2.0))
        await sink.close()
    _, found, seen, _ = ({name: value for name, value in one.items() if name in FIELDS} for one in line.came)
    assert found == {"event": "SpeakerFound", "speaker": "Luis" if text else None, "from_ns": 10**9}
    assert seen == {"event": "Seen", "names": ["Zelkova", "[name]"] if text else None, "seen_ns": 2 * 10**9}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
async def redis(request, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.sinks.redis_stream.TIMEOUT_S", 0.2)
    server = request.param(tmp_path)
    await server.start()
    yield server
    await server.kill()


async def entries(redis) -> list[Record]:
    connection = client(redis.url)
    rows = await connection.xrange(STREAM, "-", "+")
    await connection.aclose()
    return [json.loads(fields["record"]) for _, fields in rows]


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - of a server
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("fault", ["kill", "fill", "hang"])
async def test_a_redis_that_dies_fills_up_or_hangs_and_comes_back_has_every_event_once_told(redis, fault):
    told: list[str] = []
    publisher = Publisher(RedisStream(redis.url), told.append, limit=20)
    async with publisher.running():
        publisher.publish({"event": "x", "session": "s"})
        await until(lambda: not publisher.waiting)
        await getattr(redis, fault)()
        for _ in range(25):
            publisher.publish({"event": "x", "session": "s"})
        await until(lambda: told)
        assert publisher.dropped == 5
        await (redis.start() if fault == "kill" else redis.mend())
        await until(lambda: not publisher.waiting)
    came = await entries(redis)
    assert sorted(set(told_of(came))) == list(range(26))
    assert len(told) == 2, told
    assert "5 events were dropped" in told[1]
    assert redis.url in told[0]


async def test_a_text_with_half_a_character_is_published(redis):
    async with Publisher(RedisStream(redis.url), str).running() as publisher:
        publisher.publish({"event": "x", "text": "half \ud800 ñ"})
    (record,) = await entries(redis)
    assert record["text"] == "half ? ñ"


async def test_the_stream_is_bounded_in_length_and_age(redis, monkeypatch):
    monkeypatch.setattr("pipeline.sinks.redis_stream.KEPT", 100)
    day = 86_400.0
    now = [0.0]
    stream = RedisStream(redis.url, retention_days=1, now=lambda: now[0])
    for first in range(0, 1000, 50):
        await stream.send([{"event": "x", "number": number} for number in range(first, first + 50)])
    kept = [record["number"] for record in await entries(redis)]
    assert kept[-1] == 999
    assert len(kept) <= 250, "Redis trims whole nodes of 100 entries"
    import time

    now[0] = time.time() + 2 * day
    await stream.send([{"event": "x", "number": 1000}])
    assert await entries(redis) == [], "all are older than a day by this clock"
    await stream.close()
    assert KEPT == 100_000


def test_an_address_that_is_none_of_redis_is_refused():
    for url in ("http://localhost", "localhost:6379", "redis://", "redis:///2", "redis://host/name", "redis://host?db=x"):
        with pytest.raises(BadInput, match="no address of Redis"):
            check_redis(url)
    for url, said in (
        ("redis://host:port", "redis://host:port is no address"),
        ("redis://[::1", r"redis://\[::1 is no address"),
        ("redis://host?ssl_ca_certs=/dev/null", "the file /dev/null of ssl_ca_certs is not there"),
        (f"redis://host?ssl_ca_certs={__file__}", "no setting 'ssl_ca_certs'; try: rediss://"),
        ("redis://host?retries=9", "no setting 'retries'"),
    ):
        with pytest.raises(BadInput, match=said):
            check_redis(url)
    check_redis("rediss://user:word@host:6380/1")
    check_redis("redis://[::1]:6379/0?socket_timeout=2")


async def test_a_bus_that_is_not_there_is_told_before_anything_is_published(redis):
    await redis.kill()
    told: list[str] = []
    async with Publisher(RedisStream(redis.url), told.append).running() as publisher:
        await until(lambda: told)
        assert told == [f"{redis.url}: it cannot be reached; events wait, at most 1000"]
        await redis.start()
        publisher.publish({"event": "x"})
        await until(lambda: len(told) > 1)
    assert told[1:] == [f"{redis.url} is reached again; no events were dropped"]


async def test_what_a_redis_says_of_an_error_is_not_passed_on(redis):
    connection = client(redis.url)
    stream = RedisStream(redis.url)
    await redis.fill()
    with pytest.raises(NetworkError) as error:
        await stream.send([{"event": "secret words", "number": 0}])
    assert str(error.value) == "its memory is full"
    assert error.value.__cause__ is None
    await stream.close()
    await connection.aclose()


async def published_of_a_room(room: str, sharing: Sharing, *, text: bool) -> list[Record]:
    """Publish a conversation of Ana and Bo; the records."""
    from pipeline.server.access import Access
    from pipeline.server.process import publish
    from tests.serving import key
    from tests.unit.test_server_rooms import hall, leave

    line, room_key = Line(), key("k", "one", text_to_bus=text)
    async with hall() as rooms, Publisher(line, str).running() as publisher:
        rooms.service.access = Access([room_key], rooms.service.access.signer)
        publish(rooms.service, [publisher], sharing)
        ana, bo = await rooms.join(room, "Ana", "en", room_key), await rooms.join(room, "Bo", "es", room_key)
        await asyncio.gather(ana.count(0, 6), bo.count(102, 6))
        await leave(ana, bo)
    return line.came


@pytest.mark.looptime(noop_cycles=2)
async def test_room_and_participant_are_in_every_record_of_a_room_where_text_is():
    for text in (True, False):
        came = await published_of_a_room("tea", Sharing(), text=text)
        assert {one["event"] for one in came} >= {"session", "ReadingUnit", "Lag", "end"}
        people = {"Ana", "Bo"} if text else {None}
        assert {(one["room"], one["participant"]) for one in came} == {("tea" if text else None, who) for who in people}
        assert {one["speaker"] for one in came if one["event"] == "ReadingUnit"} == people
        assert text or not any(name in json.dumps(came) for name in ("tea", "Ana", "Bo"))


@pytest.mark.looptime(noop_cycles=2)
async def test_a_name_in_the_name_of_a_room_is_redacted_too():
    sharing = Sharing(personal=PersonalData(names=("Ana", "Bo Diaz")))
    came = await published_of_a_room("Ana_calls-bo-diaz_0171-2345678", sharing, text=True)
    assert {(one["room"], one["participant"]) for one in came} == {
        ("[name]_calls-[name]_[phone]", "[name]"),
        ("[name]_calls-[name]_[phone]", "Bo"),
    }
    assert not any(name in json.dumps(came).lower() for name in ("ana", "diaz", "0171"))


@pytest.mark.looptime
async def test_a_participant_publishes_by_the_name_of_the_room(monkeypatch):
    line = Line()
    monkeypatch.setattr("pipeline.sinks.sharing.RedisStream", lambda url, days: line)
    sharing = Sharing("redis://127.0.0.1", personal=PersonalData(frozenset(), ("Ana",)))
    for room in ("tea", "tea-ana", ""):
        async with sharing.sinks(f"sess_{room}", {}, str, room) as (sink,):
            await sink.put(UNIT)
            await sink.close()
    assert {one["session"]: one.get("room") for one in line.came} == {
        "sess_tea": "tea",
        "sess_tea-ana": "tea-[name]",
        "sess_": None,
    }


async def test_a_server_publishes_the_words_of_a_key_only_where_its_policy_allows_it():
    connect = pytest.importorskip("websockets.asyncio.client").connect
    from pipeline.server.process import publish
    from tests.serving import key, serving
    from tests.system.test_server_faults import say, to_the_end

    line = Line()
    keys = [key("open", "one", text_to_bus=True), key("shy", "two")]
    async with serving(keys=keys) as server, Publisher(line, str).running() as publisher:
        publish(server.service, [publisher], Sharing())
        for secret in ("one", "two"):
            async with connect(server.ws, additional_headers={"Authorization": f"Bearer {secret}"}) as connection:
                await say(connection, 3)
                await to_the_end(connection)
    by_key: dict[str, list[Record]] = {}
    keys_of: dict[str, str] = {}
    for record in line.came:
        keys_of.setdefault(record["session"], record.get("key", ""))
        by_key.setdefault(keys_of[record["session"]], []).append(record)
    assert set(by_key) == {"open", "shy"}
    assert "WORD1" in json.dumps(by_key["open"])
    assert "word" not in json.dumps(by_key["shy"]).lower().replace('"words"', "")
    assert [record["event"] for record in by_key["open"]] == [record["event"] for record in by_key["shy"]]
