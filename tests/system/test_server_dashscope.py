"""The unmodified dashscope package, old classes and new, both generations, against a real server at our address."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
import wave
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.dashscope_grammar import check
from tests.serving import key, serving, tone

pytest.importorskip("starlette")
websockets = pytest.importorskip("websockets.asyncio.client")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

with_package = pytest.mark.skipif(find_spec("dashscope") is None, reason="dashscope is not installed: make test-dashscope")
NEW, OLD = "qwen3.8-livetranslate-flash-realtime", "qwen3.5-livetranslate-flash-realtime"
PATH = "/api-ws/v1/realtime"
JPEG = b"\xff\xd8\xff\xe0" + bytes(50)
TAGGING = "translator.use=tests.scripted_backends:Tagging"
FRAME = 3200  # 100 ms at 16 kHz
BLIND = ("reader.use=tests.scripted_backends:Slides", "reader.lacks=files")
SECONDS = 5.0


def frames(seconds: float = SECONDS) -> list[bytes]:
    pcm = tone(seconds, 16_000)
    return [pcm[first : first + FRAME] for first in range(0, len(pcm), FRAME)]


def old_classes(address: str, model: str, api_key: str, **wishes) -> list[dict]:
    """A talk with the older classes, which call back."""
    from dashscope.audio.qwen_omni import MultiModality, OmniRealtimeCallback, OmniRealtimeConversation
    from dashscope.audio.qwen_omni.omni_realtime import TranslationParams

    events: list[dict] = []

    class Kept(OmniRealtimeCallback):
        def on_event(self, message):
            events.append(message)

    talk = OmniRealtimeConversation(model=model, callback=Kept(), url=f"ws://{address}{PATH}", api_key=api_key)
    talk.connect()
    talk.update_session(
        output_modalities=[MultiModality.TEXT, MultiModality.AUDIO],
        input_audio_transcription_model="qwen3-asr-flash-realtime",
        translation_params=TranslationParams("es", TranslationParams.Corpus({"word3": "TRES"})),
        **wishes,
    )
    for number, frame in enumerate(frames()):
        talk.append_audio(base64.b64encode(frame).decode())
        if number in {5, 6}:
            talk.append_video(base64.b64encode(JPEG).decode())
    talk.end_session(30)
    talk.close()
    assert talk.get_session_id() == events[0]["session"]["id"]
    if model == NEW:  # the package knows no other name of a text
        assert talk.get_last_first_text_delay() is not None
    return events


def new_classes(address: str, model: str, api_key: str, **wishes) -> list[dict]:
    """A talk with the newer classes, which raise on an error and on a stream that is not finished."""
    from concurrent.futures import ThreadPoolExecutor

    from dashscope import Client

    client = Client(api_key=api_key)
    transcribed = {} if model == NEW else {"enable_input_audio_transcription": True}
    with (
        client.audio.realtime.connect(model=model, ws_url=f"ws://{address}{PATH}") as talk,
        ThreadPoolExecutor(1) as reader,
    ):
        talk.update_session(
            output_modalities=["text", "audio"],
            translation_params={"language": "es", "corpus": {"phrases": {"word3": "TRES"}}},
            **transcribed,
            **wishes,
        )
        read = reader.submit(lambda: list(talk.events()))
        for number, frame in enumerate(frames()):
            talk.append_audio(frame)
            if number in {5, 6}:
                talk.append_video(JPEG)
        talk.end_session()
        events = read.result(30)
    client.close()
    return events


@with_package
@pytest.mark.parametrize("model", [NEW, OLD])
@pytest.mark.parametrize("classes", [old_classes, new_classes])
async def test_a_talk_from_its_first_event_to_its_last(classes, model: str):
    async with serving(TAGGING, *BLIND) as server:
        events = await asyncio.to_thread(classes, server.address, model, "none")
        await asyncio.wait_for(server.service.admission.emptied(), 2)
    texts, told, speech = check(events, nested=model == NEW)
    assert " ".join(told).split() == [f"word{number}" for number in range(12)]
    words = [f"es-word{number}" if number != 3 else "[TRES]" for number in range(12)]
    assert " ".join(texts).split() == words
    assert len(speech) > 48_000
    kinds = [event["type"] for event in events]
    assert "error" not in kinds
    notes = [event["param"] for event in events if event["type"] == "translate_live.note"]
    assert notes.count("image") == 1
    assert ("session.turn_detection" in notes) is (classes is old_classes)  # which always sends it


@with_package
async def test_a_voice_is_cloned_for_a_key_whose_speakers_agreed_and_of_another_the_error_says_why():
    wishes = {"enable_voice_clone": True, "voice_clone_options": {"frequency": "once"}, "voice": "default"}
    agreed, silent = key("studio", "sesame", may_clone=True, consented=True), key("other", "open", may_clone=True)
    async with serving(keys=[agreed, silent]) as server:
        events = await asyncio.to_thread(old_classes, server.address, OLD, "sesame", **wishes)
        assert check(events, nested=False)[2]
        from dashscope.v2.errors import DashScopeError

        with pytest.raises(DashScopeError, match="needs their consent"):
            await asyncio.to_thread(new_classes, server.address, NEW, "open", **wishes)


@with_package
async def test_a_mistake_raises_and_the_session_stays_open():
    from dashscope import Client
    from dashscope.v2.errors import DashScopeError

    def talk(address: str) -> list[str]:
        with Client(api_key="none").audio.realtime.connect(model=NEW, ws_url=f"ws://{address}{PATH}") as session:
            assert session.recv_event()["type"] == "session.created"
            session.update_session(translation_params={"language": "xx"})
            with pytest.raises(DashScopeError, match="xx"):
                session.recv_event()
            session.create_response()
            with pytest.raises(DashScopeError, match="by themselves"):
                session.recv_event()
            session.update_session(output_modalities=["text"], voice="Cherry")
            session.end_session()
            return [event["type"] for event in session.events()]

    async with serving() as server:
        kinds = await asyncio.to_thread(talk, server.address)
    assert kinds == ["session.updated", "session.finished"]


async def test_who_may_not_or_names_no_such_model_is_refused_before_the_upgrade():
    async with serving(keys=[key("studio", "sesame")], capacity=1) as server:
        sesame = {"Authorization": "Bearer sesame"}
        for model, headers, status, code in [
            (NEW, {}, 401, "invalid_api_key"),
            (NEW, {"Authorization": "Bearer guess"}, 401, "invalid_api_key"),
            ("qwen3.8-omni-flash-realtime", sesame, 404, "model_not_found"),
            ("", sesame, 404, "model_not_found"),
        ]:
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(f"ws://{server.address}{PATH}?model={model}", additional_headers=headers)
            assert refused.value.response.status_code == status
            assert json.loads(refused.value.response.body)["error"]["code"] == code
        assert server.service.admission.active == 0


async def kinds_of(connection) -> list[str]:
    """The types of all events up to the close."""
    kinds = []
    with suppress(ConnectionClosed):
        async for text in connection:
            kinds.append(json.loads(text)["type"])
    return kinds


async def test_garbage_and_wrong_order_are_answered_and_a_broken_connection_frees_its_place():
    async with serving() as server:
        url = f"ws://{server.address}{PATH}?model={OLD}"
        async with websockets.connect(url) as connection:
            for message in (b"\xff\x00", "{", '{"type": "session.close"}'):
                await connection.send(message)
            assert await kinds_of(connection) == ["session.created", "error", "error", "error"]
            assert connection.close_code == 1008
        connection = await websockets.connect(url)
        await connection.send(json.dumps({"type": "session.finish"}))
        await connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA"}))  # after the end
        assert sorted(await kinds_of(connection)) == ["error", "session.created", "session.finished"]
        assert connection.close_code == 1000
        connection = await websockets.connect(url)
        audio = base64.b64encode(tone(1, 16_000)).decode()
        await connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        connection.transport.abort()
        await asyncio.wait_for(server.service.admission.emptied(), 2)


@with_package
async def test_the_example_of_the_documentation_runs(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "dashscope.md").read_text()
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    with wave.open(str(tmp_path / "talk.wav"), "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(16_000)
        recording.writeframes(tone(SECONDS, 16_000))
    async with serving() as server:
        (tmp_path / "example.py").write_text(example.replace("127.0.0.1:8200", server.address))
        words = [sys.executable, str(tmp_path / "example.py"), str(tmp_path / "talk.wav")]
        ended = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.split() == [f"WORD{number}" for number in range(12)], ended.stderr
