"""A session's glossary from where it lives: by the policy of the key, holding nobody up, and changed in mid-talk."""

from __future__ import annotations

import asyncio
import io
import json
from types import SimpleNamespace

import pytest

from pipeline.errors import BadInput
from pipeline.events import Fault
from pipeline.hints import Hints
from pipeline.request import ResolvedRequest, SessionRequest
from pipeline.server.access import load_keys
from pipeline.server.asked import glossary_of
from pipeline.server.glossary_fetch import WritableTerms, with_terms_of_key
from pipeline.sinks.delivery import SinkQueue
from tests.scripted import Keep
from tests.scripted_backends import Tagging
from tests.serving import key, serving
from tests.system.test_server_client import WORDS, Tone, said, session
from tests.system.test_server_faults import say, sources, to_the_end, update
from tests.unit.test_glossary_address import CSV, site  # noqa: F401 - a fixture

websockets = pytest.importorskip("websockets.asyncio.client")
httpx = pytest.importorskip("httpx")
soundfile = pytest.importorskip("soundfile")
TAGGING = "translator.use=tests.scripted_backends:Tagging"


def connect(server, secret: str = "one"):
    return websockets.connect(server.ws, additional_headers={"Authorization": f"Bearer {secret}"})


async def until(connection, kind: str) -> dict:
    async with asyncio.timeout(20):
        while (event := json.loads(await connection.recv()))["type"] != kind:
            pass
    return event


async def test_a_client_names_an_address_that_its_key_allows_and_is_told_when_it_is_in(site):  # noqa: F811
    site.answers = {"/team/terms.csv": (200, {}, CSV)}
    allowed = key("studio", "one", glossary_from=(f"{site.url}/team/",))
    async with serving(TAGGING, keys=[allowed]) as server, connect(server) as connection:
        ours = {"extensions": True, "glossary_url": f"{site.url}/team/terms.csv"}
        await update(connection, translate_live=ours)
        await until(connection, "session.updated")
        await until(connection, "session.updated")
        await say(connection, 3)
        words = sources(await to_the_end(connection)).split()
    assert "[TRES]" in words
    assert "[CINCO]" in words
    assert site.asked == [("/team/terms.csv", "")]


@pytest.mark.parametrize("seconds", [0, 1])
async def test_a_term_that_the_model_cannot_write_is_left_out_and_told_and_no_word_is_lost(seconds):
    rows = [{"source": "word2", "targets": ["☃"]}, {"source": "word6", "targets": ["SEIS"]}]
    async with serving(TAGGING) as server, websockets.connect(server.ws) as connection:
        await update(connection, translate_live={"extensions": True})
        if seconds:  # in mid-talk
            await say(connection, seconds)
            await until(connection, "translate_live.source")
        await update(connection, translate_live={"glossary": rows})
        await say(connection, 4 - seconds)
        await update(connection, translate_live={"same_language": "speak"})  # another session, which tells it no more
        await say(connection, 1)
        events = await to_the_end(connection)
    (error,) = [event["error"] for event in events if event["type"] == "error"]
    assert (error["code"], error["param"]) == ("terms_left_out", "session.translate_live.glossary")
    assert error["message"] == "left out: the scripted model cannot write '☃'"
    words = sources(events).split()
    assert "[SEIS]" in words
    last = "[SEIS]" if seconds else "es-word9"  # a session that follows counts from 0
    assert words[words.index(last) + 1] == "es-word0"
    assert events[-1]["type"] == "session.closed"


async def test_terms_that_cannot_be_written_are_found_in_few_questions_and_ten_of_them_are_named():
    asked: list[int] = []

    class Writer(Tagging):
        async def check(self, terms, source, target):
            asked.append(len(terms))
            await super().check(terms, source, target)

    async def prepare(request):
        return SimpleNamespace(translator=Writer()), SimpleNamespace(pairs=lambda: [("en", "es")])

    def request_of(*unwritable: int) -> ResolvedRequest:
        rows = [(f"word{at}", ("☃" if at in unwritable else f"X{at}",), "hard", "") for at in range(256)]
        return ResolvedRequest(SessionRequest(targets=("es",), glossary=glossary_of(rows)))

    terms = WritableTerms(SimpleNamespace(prepare=prepare))
    assert await terms.left_out(request_of()) is None
    assert asked == [256]
    told = await terms.left_out(request_of(*range(12)))
    assert told.message.count("cannot write") == 10
    assert told.message.endswith("; and 2 more")
    assert len(asked) < 50
    assert len(terms.of(request_of(*range(12))).request.glossary.entries) == 244


async def test_a_recording_is_translated_without_the_terms_of_its_key_that_cannot_be_written(site):  # noqa: F811
    site.answers = {"/team/terms.csv": (200, {}, "source,target\nword2,☃\nword6,SEIS\n".encode())}
    studio = key("studio", "one", glossary=f"{site.url}/team/terms.csv")
    async with serving(TAGGING, keys=[studio]) as server:
        answer = await uploaded(server, "translations")
    assert answer.status_code == 200, answer.text
    assert "[SEIS]" in answer.json()["text"]


async def test_no_client_makes_the_server_ask_an_address_that_is_not_allowed(site):  # noqa: F811
    site.answers = {"/team/terms.csv": (200, {}, CSV), "/secret": (200, {}, CSV)}
    keys = [key("studio", "one", glossary_from=(f"{site.url}/team/",)), key("none", "two")]
    async with serving(TAGGING, keys=keys) as server:
        for secret, address in (
            ("one", f"{site.url}/secret"),
            ("one", f"{site.url}/team/../secret"),
            ("two", f"{site.url}/team/terms.csv"),
            ("one", "file:///etc/passwd"),
            ("one", "http://169.254.169.254/latest"),
        ):
            async with connect(server, secret) as connection:
                await update(connection, translate_live={"glossary_url": address})
                error = (await until(connection, "error"))["error"]
                assert error["param"] == "session.translate_live.glossary_url"
                assert error["code"] in {"not_allowed", "invalid_event"}
    assert site.asked == []


async def test_a_glossary_that_cannot_be_had_is_told_and_the_talk_goes_on(site):  # noqa: F811
    site.answers = {"/moved.csv": (302, {"Location": f"{site.url}/terms.csv"}, b""), "/terms.csv": (200, {}, CSV)}
    allowed = key("studio", "one", glossary_from=(f"{site.url}/",))
    async with serving(TAGGING, keys=[allowed]) as server, connect(server) as connection:
        await update(connection, translate_live={"extensions": True, "glossary_url": f"{site.url}/moved.csv"})
        error = (await until(connection, "error"))["error"]
        assert error["code"] == "glossary_not_fetched"
        await say(connection, 3)
        assert "es-word3" in sources(await to_the_end(connection))
    assert len(site.asked) == 1


async def test_the_address_of_a_key_is_asked_for_each_session_with_its_id_and_the_operators_token(site, monkeypatch):  # noqa: F811
    monkeypatch.setenv("TRANSLATE_LIVE_GLOSSARY_TOKEN", "sesame")
    site.answers = {"/terms.csv": (200, {}, CSV)}
    studio = key("studio", "one", glossary=f"{site.url}/terms.csv")
    async with serving(TAGGING, keys=[studio]) as server:  # noqa: SIM117
        async with connect(server) as connection:
            session = (await until(connection, "session.created"))["session"]["id"]
            await update(connection, translate_live={"extensions": True})
            await until(connection, "session.updated")
            await until(connection, "session.updated")
            await say(connection, 3)
            assert "[TRES]" in sources(await to_the_end(connection))
    assert site.asked == [(f"/terms.csv?session={session}&key=studio", "Bearer sesame")]


async def test_the_glossary_of_a_key_is_added_to_the_clients_own_whichever_comes_first(site):  # noqa: F811
    site.answers = {"/terms.csv": (200, {}, CSV)}
    studio = key("studio", "one", glossary=f"{site.url}/terms.csv")
    async with serving(TAGGING, keys=[studio]) as server, connect(server) as connection:
        for word, target in (("word4", "QUATRO"), ("word5", "OWN")):  # before it is fetched, and after
            rows = [{"source": word, "targets": [target], "mode": "hard", "language": ""}]
            await update(connection, translate_live={"extensions": True, "glossary": rows})
            await until(connection, "session.updated")
            if word == "word4":
                await until(connection, "session.updated")  # it is in
        await say(connection, 3)
        words = sources(await to_the_end(connection)).split()
    assert {"[TRES]", "[OWN]"} < set(words)
    assert not {"[QUATRO]", "[CINCO]"} & set(words)
    assert len(site.asked) == 1


async def test_our_client_goes_on_without_a_glossary_that_cannot_be_had_and_tells_it(site):  # noqa: F811
    studio, tape = key("studio", "one", glossary=f"{site.url}/none.csv"), Keep()
    async with serving(keys=[studio]) as server:
        await session(server.http, "one").run(Tone(6), [SinkQueue(tape)])
    assert [word.lower() for word in said(tape)] == WORDS
    assert ["without the glossary" in fault.message for fault in tape.of(Fault)] == [True]


async def test_our_client_goes_on_without_a_term_of_its_key_that_the_model_cannot_write(site):  # noqa: F811
    site.answers = {"/terms.csv": (200, {}, "en,es\nword2,☃\nword4,CUATRO\n".encode())}
    studio, tape = key("studio", "one", glossary=f"{site.url}/terms.csv"), Keep()
    async with serving(TAGGING, keys=[studio]) as server:
        await session(server.http, "one").run(Tone(6), [SinkQueue(tape)])
    assert [fault.message.partition(": ")[2] for fault in tape.of(Fault)] == [
        "left out: the scripted model cannot write '☃'",
    ]


@pytest.fixture
def expected(monkeypatch) -> list[tuple[str, ...]]:
    """Collect what sessions that run are told to expect, each time."""
    expected: list[tuple[str, ...]] = []
    watched = Hints.watched

    def watching(self, changed):
        def note() -> None:
            expected.append(self.words)
            changed()

        expected.append(self.words)
        return watched(self, note)

    monkeypatch.setattr(Hints, "watched", watching)
    return expected


async def test_hints_reach_a_session_that_runs(expected):
    async with serving(keys=[key("studio", "one")]) as server, connect(server) as connection:
        await update(connection, translate_live={"extensions": True, "hints": ["Acme"]})
        await say(connection, 1)
        await until(connection, "translate_live.source")
        await update(connection, translate_live={"hints": ["Zeta Kinase"]})
        await say(connection, 2)
        await to_the_end(connection)
    assert expected == [("Acme",), ("Acme", "Zeta Kinase")]


async def test_hints_come_from_the_address_of_the_key_and_from_one_that_the_client_names_while_it_runs(
    site,  # noqa: F811
    monkeypatch,
    expected,
):
    monkeypatch.setenv("TRANSLATE_LIVE_GLOSSARY_TOKEN", "sesame")
    site.answers = {"/ours.txt": (200, {}, b"Acme"), "/team/theirs.txt": (200, {}, b"Zeta Kinase")}
    studio = key("studio", "one", hints=f"{site.url}/ours.txt", glossary_from=(f"{site.url}/team/",))
    async with serving(keys=[studio]) as server, connect(server) as connection:
        session = (await until(connection, "session.created"))["session"]["id"]
        await update(connection, translate_live={"extensions": True, "hints": ["Own"]})
        await until(connection, "session.updated")
        await until(connection, "session.updated")  # the key's are in
        await say(connection, 1)
        await until(connection, "translate_live.source")
        await update(connection, translate_live={"hints_url": f"{site.url}/team/theirs.txt"})
        await until(connection, "session.updated")
        await until(connection, "session.updated")
        await say(connection, 2)
        await to_the_end(connection)
    assert expected == [("Own", "Acme"), ("Own", "Acme", "Zeta Kinase")]
    assert site.asked == [(f"/ours.txt?session={session}&key=studio", "Bearer sesame"), ("/team/theirs.txt", "")]


@pytest.mark.parametrize("field", ["glossary_url", "hints_url"])
async def test_one_rule_judges_the_addresses_of_glossaries_and_hints(site, field):  # noqa: F811
    allowed = key("studio", "one", glossary_from=(f"{site.url}/team/",))
    async with serving(keys=[allowed]) as server, connect(server) as connection:
        for address in (f"{site.url}/x.txt", f"{site.url}/team/../x.txt", "file:///etc/passwd", "http://169.254.169.254/"):
            await update(connection, translate_live={"extensions": True, field: address})
            error = (await until(connection, "error"))["error"]
            assert error["param"] == f"session.translate_live.{field}"
            if address.endswith("/x.txt"):
                await say(connection, 0.2)  # or three mistakes would end it
    assert site.asked == []


async def test_hints_that_cannot_be_had_are_told_and_the_talk_goes_on(site, expected):  # noqa: F811
    studio, tape = key("studio", "one", hints=f"{site.url}/none.txt"), Keep()
    async with serving(keys=[studio]) as server:
        await session(server.http, "one").run(Tone(6), [SinkQueue(tape)])
    assert [word.lower() for word in said(tape)] == WORDS
    assert ["without the hints" in fault.message for fault in tape.of(Fault)] == [True]
    assert expected == [()]


async def uploaded(server, kind: str, to: str = "es"):
    recording = io.BytesIO()
    soundfile.write(recording, [0.01] * 48_000, 16_000, format="WAV")
    async with httpx.AsyncClient(base_url=server.http, headers={"Authorization": "Bearer one"}, timeout=30) as client:
        files = {"file": recording.getvalue()}
        return await client.post(f"/v1/audio/{kind}", files=files, data={"to": to} if kind == "translations" else {})


async def test_terms_and_hints_of_a_key_are_those_of_recordings_that_its_client_sends(site, monkeypatch, expected):  # noqa: F811
    monkeypatch.setenv("TRANSLATE_LIVE_GLOSSARY_TOKEN", "sesame")
    site.answers = {"/terms.csv": (200, {}, CSV), "/names.txt": (200, {}, b"Acme")}
    studio = key("studio", "one", glossary=f"{site.url}/terms.csv", hints=f"{site.url}/names.txt")
    async with serving(TAGGING, keys=[studio, key("other", "two")]) as server:
        answers = {kind: await uploaded(server, kind) for kind in ("translations", "transcriptions")}
        recognizer = await server.service.engine.model("recognizer")
    words = answers["translations"].json()["text"].split()
    assert {"[TRES]", "[CINCO]", "es-word4"} < set(words)
    assert answers["transcriptions"].json()["text"].split()[3] == "word3"
    assert [set(vocabulary) for _, vocabulary in recognizer.asked] == [{"word3", "word5", "Acme"}] * 2
    assert expected == [("Acme",)] * 2
    sessions = [address.partition("session=")[2] for address, token in site.asked if token == "Bearer sesame"]
    assert len(set(sessions)) == 2
    assert len(sessions) == 4
    assert all(session.startswith("sess_") and session.endswith("&key=studio") for session in sessions)


@pytest.mark.parametrize("kind", ["translations", "transcriptions"])
@pytest.mark.parametrize(("setting", "code"), [("glossary", "glossary_not_fetched"), ("hints", "hints_not_fetched")])
async def test_a_recording_is_not_translated_without_the_terms_of_its_key(site, kind, setting, code):  # noqa: F811
    studio = key("studio", "one", **{setting: f"{site.url}/none.csv"})
    async with serving(TAGGING, keys=[studio]) as server:
        answer = await uploaded(server, kind)
        assert (answer.status_code, server.service.admission.active) == (502, 0)
        error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", code)
    assert "404" in error["message"]


def test_a_key_that_allows_more_than_folders_is_refused(tmp_path):
    file = tmp_path / "keys.yaml"
    digest = key("studio", "one").sha256
    for setting in (
        "glossary_from: ['https://terms.example']",
        "glossary_from: ['http://h/']",
        "glossary: 'ftp://h/x.csv'",
        "hints: 'http://h/x.txt'",
    ):
        file.write_text(f"- {{id: studio, sha256: {digest}, {setting}}}\n")
        with pytest.raises(BadInput):
            load_keys(file)
    file.write_text(f"- {{id: studio, sha256: {digest}, glossary_from: ['https://terms.example/team/']}}\n")
    assert load_keys(file)[0].glossary_from == ("https://terms.example/team/",)


def test_a_glossary_of_a_key_that_contradicts_the_clients_is_left_out():
    own = glossary_of([("word3", ("TRES",), "hard", "")])
    assert with_terms_of_key(own, glossary_of([("word3", ("OTHER",), "hard", "")])) is own
    assert with_terms_of_key(own, glossary_of([("TRES", ("TRES",), "ban", "")])) is own
    both = with_terms_of_key(own, glossary_of([("word3", ("OTHER",), "hard", ""), ("word5", ("CINCO",), "hard", "")]))
    assert [entry.targets for entry in both.entries] == [("TRES",), ("CINCO",)]
