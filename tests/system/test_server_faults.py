"""A real server on 127.0.0.1 and clients that break the rules, break off, or are two at once."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import subprocess
from contextlib import suppress

import pytest

from models.tts.piper import Piper
from pipeline.contracts import Missing
from pipeline.errors import FETCH_MODELS
from pipeline.server.service import Limits
from tests.scripted_backends import Tagging
from tests.serving import key, serving, tone

websockets = pytest.importorskip("websockets.asyncio.client")
httpx = pytest.importorskip("httpx")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402


async def say(connection, seconds: float) -> None:
    audio = base64.b64encode(tone(seconds)).decode()
    await connection.send(json.dumps({"type": "session.input_audio_buffer.append", "audio": audio}))


async def update(connection, **session) -> None:
    await connection.send(json.dumps({"type": "session.update", "session": session}))


async def to_the_end(connection) -> list[dict]:
    """Close the session; all events up to the last."""
    await connection.send('{"type": "session.close"}')
    events = []
    with suppress(ConnectionClosed):
        async for text in connection:
            events.append(json.loads(text))
    return events


def sources(events: list[dict]) -> str:
    return " ".join(event["text"] for event in events if event["type"] == "translate_live.unit")


async def test_a_client_that_breaks_off_frees_its_place_within_two_seconds():
    async with serving(capacity=1) as server:
        for _ in range(3):
            connection = await websockets.connect(server.ws)
            await say(connection, 1)
            connection.transport.abort()
            await asyncio.wait_for(server.service.admission.emptied(), 2)
        recognizer = await server.service.engine.model("recognizer")
        assert recognizer.opened == recognizer.closed


@pytest.mark.parametrize(("message", "code"), [("x" * (2 << 20), 1009), (b"\xff" * 10, 1008)])
async def test_messages_of_a_wrong_size_or_kind_end_the_connection(message, code):
    async with serving() as server, websockets.connect(server.ws) as connection:
        with suppress(ConnectionClosed):
            for _ in range(3):
                await connection.send(message)
        with suppress(ConnectionClosed):
            async for _ in connection:
                pass
        assert connection.close_code == code


async def test_two_clients_have_languages_and_glossaries_of_their_own():
    async with serving("translator.use=tests.scripted_backends:Tagging") as server:  # noqa: SIM117
        async with websockets.connect(server.ws) as one, websockets.connect(server.ws) as other:
            for connection, language, term in [(one, "es", "UNO"), (other, "ca", "DOS")]:
                ours = {"extensions": True, "glossary": [{"source": "word3", "targets": [term]}]}
                await update(connection, audio={"output": {"language": language}}, translate_live=ours)
            for _ in range(15):
                await asyncio.gather(say(one, 0.2), say(other, 0.2))
            first, second = await asyncio.gather(to_the_end(one), to_the_end(other))
    assert sources(first).split()[:5] == ["es-word0", "es-word1", "es-word2", "[UNO]", "es-word4"]
    assert sources(second).split()[:5] == ["ca-word0", "ca-word1", "ca-word2", "[DOS]", "ca-word4"]


async def test_a_hundred_connections_without_a_key_are_refused_and_harm_nobody():
    async with serving(keys=[key("studio", "sesame")]) as server:

        async def knock() -> int:
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(server.ws, open_timeout=30)
            assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"
            return refused.value.response.status_code

        headers = {"Authorization": "Bearer sesame"}
        async with websockets.connect(server.ws, additional_headers=headers) as connection:
            assert set(await asyncio.gather(*(knock() for _ in range(100)))) == {401}
            await say(connection, 3)
            assert (await to_the_end(connection))[-1]["type"] == "session.closed"
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(server.ws, additional_headers=headers, origin="https://evil.example")
        assert refused.value.response.status_code == 403


async def test_a_websocket_that_cannot_be_is_told_why_and_never_left_waiting():
    async with serving() as server, httpx.AsyncClient(base_url=server.http) as client:
        for address, headers, status in [
            (server.ws.replace("translations", "nothing"), {}, 404),
            (f"{server.ws}&x={'x' * 9000}", {}, 414),
            (server.ws, {"Cookie": "x" * 9000}, 431),
        ]:
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(address, additional_headers=headers, open_timeout=5)
            assert refused.value.response.status_code == status
        answer = await client.get("/v1/realtime/translations")  # as a proxy sends it that knows no WebSockets
        assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
        assert answer.json()["error"]["code"] == "upgrade_required"


async def test_a_browser_gets_in_by_a_ticket_once_and_never_sees_the_key():
    async with serving(keys=[key("studio", "sesame")]) as server, httpx.AsyncClient(base_url=server.http) as browser:
        wrong = await browser.post("/v1/tickets")
        assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, "Bearer")
        made = await browser.post("/v1/tickets", headers={"Authorization": "Bearer sesame"})
        secrets = "/v1/realtime/translations/client_secrets"
        body = {"session": {"model": "m"}}
        assert (await browser.post(secrets, json=body)).status_code == 401
        cookie = server.service.access.cookie(made.json()["value"])
        answer = await browser.post(secrets, json=body, headers={"Cookie": f"translate_live={cookie}"})
        assert answer.json()["value"].startswith("ek_")
        assert server.service.access.cookie(made.json()["value"]) is None
        protocols = ["realtime", f"openai-insecure-api-key.{answer.json()['value']}"]
        async with websockets.connect(server.ws, subprotocols=protocols, origin=server.http) as connection:
            assert connection.subprotocol == "realtime"


async def test_who_names_half_of_a_room_or_one_of_the_other_protocol_is_not_left_talking_alone():
    dashscope = "/api-ws/v1/realtime?model=qwen3.8-livetranslate-flash-realtime"
    async with serving() as server:
        for address, param in [
            (f"{server.ws}&as=Ana", "room"),
            (f"{server.ws}&room=&as=Ana", "room"),
            (f"{server.ws}&room=tea", "as"),
            (f"ws://{server.address}{dashscope}&room=tea&as=Ana", "room"),
        ]:
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(address)
            assert refused.value.response.status_code == 400
            assert json.loads(refused.value.response.body)["error"]["param"] == param
        assert server.service.admission.active == 0


async def test_every_answer_has_its_headers_and_every_mistake_its_name():
    async with serving() as server, httpx.AsyncClient(base_url=server.http) as client:
        found = await client.get("/v1/languages")
        assert found.json()["default"] == "es"
        assert {"en", "es", "ca"} == found.json()["names"].keys()
        assert "default-src 'self'" in found.headers["content-security-policy"]
        secrets = "/v1/realtime/translations/client_secrets"
        for path, body, param in [
            ("/v1/audio/translations", {"data": {"to": "es"}}, "file"),
            ("/v1/audio/translations", {"files": {"file": b"RIFF"}, "data": {"response_format": "mp4"}}, "response_format"),
            ("/v1/audio/translations", {"files": {"file": b"RIFF"}, "data": {"to": "xx"}}, "to"),
            ("/v1/audio/translations", {"files": {"file": b"RIFF"}, "data": {"to": "es", "language": "xx"}}, "language"),
            ("/v1/audio/transcriptions", {"files": {"file": b"RIFF"}, "data": {"language": "xx"}}, "language"),
            ("/v1/audio/translations", {"files": {"file": b"no sound"}}, "file"),
            (secrets, {"json": {"session": {"audio": {"output": 5}}}}, "session.audio.output"),
            (
                secrets,
                {"json": {"session": {"translate_live": {"same_language": "loud"}}}},
                "session.translate_live.same_language",
            ),
        ]:
            answer = await client.post(path, **body)
            assert answer.status_code == 400, path
            assert answer.json()["error"]["param"] == param, answer.text
            assert "Traceback" not in answer.text
            assert "translate-live-" not in answer.text, "nobody is told where files lie here"
        for method, path, status in [("GET", "/v1/nothing", 404), ("DELETE", "/v1/rooms", 405)]:
            answer = await client.request(method, path)
            assert answer.status_code == status
            assert answer.json()["error"]["type"] == "invalid_request_error"
        assert "GET" in answer.headers["allow"]
        unbound = {"Content-Type": "multipart/form-data"}
        answer = await client.post("/v1/audio/translations", content=b"x", headers=unbound)
        assert (answer.status_code, "boundary" in answer.json()["error"]["message"]) == (400, True)
        assert server.service.admission.active == 0


async def test_what_is_spoken_is_what_the_synthesizers_speak_of_what_can_be_translated_into(monkeypatch):
    monkeypatch.setattr(Piper, "missing", lambda self: [])
    monkeypatch.setattr(Piper, "missing_for", lambda self, language: [Missing("its voice", "")] if language == "ca" else [])
    tagging = "translator.use=tests.scripted_backends:Tagging"
    silent = ("fallback_synthesizer=null", tagging)
    for settings in (silent, (*silent, "third_synthesizer={use: 'models.tts.piper:Piper'}")):
        async with serving(*settings) as server, httpx.AsyncClient(base_url=server.http) as client:
            found = (await client.get("/v1/languages")).json()
        backends = server.service.engine.profile.backends
        assert set(found["to"]) == {target for _, target in backends.translator.pairs()}
        assert set(found["spoken"]) == (set(found["to"]) & backends.spoken()) - {"ca"}  # whose voice is not here
        assert ("de" in found["spoken"]) == (settings is not silent)


async def test_languages_whose_models_are_not_on_this_machine_are_not_offered(monkeypatch):
    def missing_between(self: Tagging, source: str, target: str) -> list[Missing]:
        return [] if target == "ca" else [Missing("its model", FETCH_MODELS)]

    monkeypatch.setattr(Tagging, "missing_between", missing_between, raising=False)
    tagging = "translator.use=tests.scripted_backends:Tagging"
    async with serving(tagging) as server, httpx.AsyncClient(base_url=server.http) as client:
        found = (await client.get("/v1/languages")).json()
    assert (found["from"], found["to"]) == (["en"], ["ca"])


async def test_a_recording_too_large_is_refused_unread():
    async with serving(limits=Limits(file_mb=1)) as server, httpx.AsyncClient(base_url=server.http) as client:
        answer = await client.post("/v1/audio/translations", files={"file": bytes(2 * 10**6)})
        assert answer.status_code == 413


async def test_a_recording_that_does_not_come_is_told_as_a_timeout(monkeypatch):
    monkeypatch.setattr("pipeline.server.files.UPLOAD_S", 0.05)
    async with serving() as server:
        host, _, port = server.address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /v1/audio/translations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        assert b" 408 " in await reader.readline()
        body = (await reader.readuntil(b"}}")).rpartition(b"\r\n")[2]
        assert json.loads(body)["error"]["type"] == "invalid_request_error"
        writer.close()
        assert server.service.admission.active == 0


def certificate(folder) -> tuple:
    chain, private = folder / "chain.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", private, "-out", chain]
    subprocess.run([*map(str, words), *names], check=True, capture_output=True)
    return chain, private


async def test_a_client_that_does_not_wait_for_its_recording_frees_the_place():
    import soundfile

    async with serving("recognizer.hangs_at=[hear, 2]", capacity=1) as server:
        recording = io.BytesIO()
        soundfile.write(recording, [0.01] * 160_000, 16_000, format="WAV")
        patience = httpx.Timeout(30, read=1.5)
        async with httpx.AsyncClient(base_url=server.http, timeout=patience) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post("/v1/audio/translations", files={"file": recording.getvalue()})
            assert server.service.admission.active == 1
        await asyncio.wait_for(server.service.admission.emptied(), 4)


async def test_a_link_with_a_ticket_gives_the_page_and_a_cookie_that_scripts_cannot_read(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.server.app.PAGE", tmp_path)
    (tmp_path / "index.html").write_text("<!doctype html>the page")
    (tmp_path / "app.js").write_text("'use strict'")
    async with serving(keys=[key("studio", "sesame")]) as server, httpx.AsyncClient(base_url=server.http) as browser:
        made = await browser.post("/v1/tickets", headers={"Authorization": "Bearer sesame"})
        assert (await browser.head(made.json()["url"])).status_code == 200  # as of a chat that shows links
        answer = await browser.get(made.json()["url"])
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert all(flag in cookie for flag in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
        page = await browser.get("/")
        assert page.text.endswith("the page")
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert (await browser.get("/app.js")).headers["content-type"].startswith("text/javascript")
        secret = await browser.post("/v1/realtime/translations/client_secrets", json={"session": {"model": "m"}})
        assert secret.json()["value"].startswith("ek_")
        assert (await browser.get(made.json()["url"])).status_code == 401
