"""Voices over the wire: spoken consent is heard, a voice is its key's alone, and all that happened is in the audit."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from pipeline.privacy.audit import Audit
from pipeline.server.asked import VOICE, Asked, Rejected, resolved
from pipeline.voices.consent import consent_sentence
from pipeline.voices.reference_clip import analyse
from pipeline.voices.store import VoiceStore, key_store
from tests.serving import key, serving

httpx = pytest.importorskip("httpx")
SPEECH = Path(__file__).parents[2] / "benchmarks" / "data" / "speech"
CLIP, CONSENT = SPEECH / "austen-0870.flac", SPEECH / "austen-0920.flac"
VOICES = (
    f"recognizer={{use: 'tests.scripted_voices:Reader', text: {json.dumps(consent_sentence('en', 'anna'))}}}",
    "synthesizer={use: 'tests.scripted_voices:Cloner'}",
)
KEYS = [key("studio", "one", may_clone=True), key("other", "two", may_clone=True), key("shy", "three")]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TRANSLATE_LIVE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def client(server, secret: str):
    return httpx.AsyncClient(base_url=server.http, headers={"Authorization": f"Bearer {secret}"}, timeout=60)


async def post(http, *, name: str = "anna", consent: bool = True, **fields: str):
    files = {"clip": CLIP.read_bytes(), **({"consent": CONSENT.read_bytes()} if consent else {})}
    return await http.post("/v1/voices", data={"name": name, "who": "Anna Smith", **fields}, files=files)


async def test_an_enrolment_loads_no_diarizer_and_works_beside_the_event_loop(monkeypatch):
    async def compared(*_: object) -> str:
        raise AssertionError("nobody reads it here")

    def analysed(*arguments: object) -> object:
        assert threading.current_thread() is not threading.main_thread()
        return analyse(*arguments)

    monkeypatch.setattr("pipeline.voices.enrolment.compared", compared)
    monkeypatch.setattr("pipeline.voices.enrolment.analyse", analysed)
    async with serving(*VOICES, keys=KEYS) as server, client(server, "one") as http:
        assert (await post(http)).status_code == 201


async def test_a_voice_from_its_consent_to_its_end(data):
    async with serving(*VOICES, keys=KEYS) as server, client(server, "one") as http, client(server, "two") as stranger:
        said = (await http.get("/v1/voices/consent", params={"name": "anna"})).json()
        assert said == {"statement": consent_sentence("en", "anna"), "language": "en"}
        answer = await post(http)
        assert answer.status_code == 201, answer.text
        voice = answer.json()
        assert (voice["id"], voice["consent"]["who"], voice["consent"]["checked"]) == ("anna", "Anna Smith", "heard")
        assert voice["clip_kept"] is False
        assert [one["id"] for one in (await http.get("/v1/voices")).json()["data"]] == ["anna"]
        assert (await stranger.get("/v1/voices")).json()["data"] == []
        assert (await stranger.delete("/v1/voices/anna")).status_code == 404
        profile = server.service.engine.profile
        mine = resolved(Asked("es", voice="anna"), profile, may_clone=True, key="studio")
        assert [one.name for one in mine.enrolled] == ["anna"]
        (data / "voices" / "annas").mkdir(parents=True)
        (data / "voices" / "annas" / "voice.json").write_text("{}")  # one of the operator's
        with pytest.raises(Rejected, match="no voice 'anna'$|no voice 'anna';(?!.*annas)") as unknown:
            resolved(Asked("es", voice="anna"), profile, may_clone=True, key="other")
        assert unknown.value.param == VOICE
        told = set()
        for name in ("anna", "annas", "nobody"):  # of the key, of the operator, of none
            with pytest.raises(Rejected, match="may not speak") as error:
                resolved(Asked("es", voice=name), profile, may_clone=False, key="studio")
            told.add((error.value.code, error.value.param, error.value.message.replace(repr(name), "N")))
            (less,) = resolved(Asked("es", voice=name, any_voice=True), profile, may_clone=False, key="studio").notices
            told.add(less.replace(repr(name), "N"))
        assert len(told) == 2, "nobody learns which voices there are"
        assert (await post(http)).status_code == 400, "the name is taken"
        assert (await post(http, replace="true")).status_code == 201
        assert (await http.delete("/v1/voices/anna")).json()["deleted"] is True
    assert VoiceStore().names() == ["annas"]
    assert key_store("studio").names() == []
    assert [(entry.action, entry.actor) for entry in Audit().entries("anna")] == [
        ("enrolled", "studio"), ("enrolled", "studio"), ("erased", "studio"),
    ]  # fmt: skip
    assert b"Anna Smith" not in b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())


async def test_what_may_not_or_cannot_be_enrolled_is_refused_and_leaves_nothing(data, monkeypatch):
    monkeypatch.setattr("pipeline.server.voices.MOST_BYTES", 2 * 10**6)
    async with serving(*VOICES, keys=KEYS) as server, client(server, "one") as http, client(server, "three") as shy:
        assert (await shy.post("/v1/voices")).status_code == 403
        assert (await http.post("/v1/voices", content=b"x" * 3 * 10**6)).status_code == 413
        for answer, said in (
            (await post(http, consent=False), "consent"),
            (await post(http, name="../x"), "cannot name a voice"),
            (await post(http, language="sw"), "cannot be heard here"),
            (await post(http, who=" "), "the form needs who"),
        ):
            assert answer.status_code == 400, answer.text
            assert said in answer.json()["error"]["message"]
            assert "/tmp" not in answer.text
        async with httpx.AsyncClient(base_url=server.http) as nobody:
            for verb, path in (("GET", "/v1/voices"), ("DELETE", "/v1/voices/anna"), ("POST", "/v1/voices")):
                assert (await nobody.request(verb, path)).status_code == 401
    novel = "recognizer={use: 'tests.scripted_voices:Reader', text: 'he was only a private gentleman'}"
    async with serving(*VOICES, novel, keys=KEYS) as server, client(server, "one") as http:
        answer = await post(http)
        assert answer.status_code == 400
        assert "consent is no consent" in answer.json()["error"]["message"]
    assert not list(data.rglob("voice.json"))
