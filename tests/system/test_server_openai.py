"""The unmodified OpenAI SDK against a real server on 127.0.0.1: what its documentation promises holds here."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter

import pytest

from pipeline.events import ReadingUnit
from tests.serving import key, serving, tone

pytest.importorskip("starlette")
openai = pytest.importorskip("openai")

from pipeline.server.files import Text  # noqa: E402 - needs starlette


def client(server, api_key: str = "none"):
    return openai.AsyncOpenAI(base_url=f"{server.http}/v1", api_key=api_key, max_retries=0)


async def speak(connection, seconds: float) -> None:
    pcm = tone(seconds)
    for start in range(0, len(pcm), 9600):
        await connection.session.input_audio_buffer.append(audio=base64.b64encode(pcm[start : start + 9600]).decode())


async def test_a_session_from_its_first_event_to_its_last():
    async with serving() as server, client(server).realtime.translations.connect(model="local") as connection:
        created = await connection.recv()
        assert (created.type, created.session.type, created.session.model) == ("session.created", "translation", "local")
        wanted = {"audio": {"output": {"language": "es"}, "input": {"transcription": {"model": "whisper"}}}}
        await connection.session.update(session=wanted)
        updated = await connection.recv()
        assert updated.session.audio.output.language == "es"
        await speak(connection, 5.0)
        await connection.session.close()
        kinds, text, source, speech = Counter(), "", "", b""
        async for event in connection:
            kinds[event.type] += 1
            match event.type:
                case "session.output_transcript.delta":
                    text += event.delta
                    assert event.elapsed_ms % 200 == 0
                case "session.input_transcript.delta":
                    source += event.delta
                case "session.output_audio.delta":
                    speech += base64.b64decode(event.delta)
                    assert (event.format, event.sample_rate, event.channels) == ("pcm16", 24_000, 1)
                case "error":
                    pytest.fail(event.error.message)
        assert source.split() == [f"word{number}" for number in range(12)]
        assert text.split() == [f"WORD{number}" for number in range(12)]
        assert len(speech) > 24_000
        assert kinds["session.closed"] == 1
        texts = {"session.output_transcript.delta", "session.input_transcript.delta"}
        assert set(kinds) == {*texts, "session.output_audio.delta", "session.closed"}


async def test_a_client_secret_opens_sessions_with_its_configuration():
    async with serving(keys=[key("studio", "sesame")]) as server:
        made = await client(server, "sesame").realtime.translations.client_secrets.create(
            session={"model": "mine", "audio": {"output": {"language": "ca"}}},
            expires_after={"anchor": "created_at", "seconds": 60},
        )
        assert made.value.startswith("ek_")
        assert made.session.audio.output.language == "ca"
        async with client(server, made.value).realtime.translations.connect(model="mine") as connection:
            created = await connection.recv()
            assert created.session.audio.output.language == "ca"
        with pytest.raises(openai.AuthenticationError) as refused:
            await client(server, "guess").realtime.translations.client_secrets.create(session={"model": "mine"})
        assert refused.value.code == "invalid_api_key"


async def test_a_mistake_is_told_and_the_session_stays_open():
    async with serving() as server, client(server).realtime.translations.connect(model="local") as connection:
        await connection.recv()
        await connection.session.update(session={"audio": {"output": {"language": "xx"}}}, event_id="mine")
        event = await connection.recv()
        assert (event.type, event.error.code, event.error.type) == ("error", "invalid_language", "invalid_request_error")
        assert (event.error.param, event.error.event_id) == ("session.audio.output.language", "mine")
        await connection.session.close()
        assert [event.type async for event in connection] == ["session.closed"]


async def test_models_are_listed_and_a_recording_is_translated(tmp_path):
    import soundfile

    recording = tmp_path / "talk.wav"
    soundfile.write(recording, [0.01] * 80_000, 16_000)
    async with serving() as server:
        sdk = client(server)
        assert [model.id async for model in await sdk.models.list()] == ["cpu"]
        words = [f"word{number}" for number in range(12)]
        heard = await sdk.audio.transcriptions.create(model="any", file=recording)
        assert heard.text.split() == words
        heard = await sdk.audio.transcriptions.create(model="any", file=recording, response_format="verbose_json")
        assert (heard.model_extra["task"], heard.language, heard.duration) == ("transcribe", "en", 5.0)
        said = await sdk.audio.translations.create(model="any", file=recording, extra_body={"to": "es"})
        assert said.text.split() == [word.upper() for word in words]
        captions = await sdk.audio.translations.create(model="any", file=recording, response_format="srt")
        assert "00:00:00,000 --> " in captions
        assert "WORD0" in captions


async def test_a_transcript_is_in_the_language_that_was_heard():
    """Whatever stands for its target: a translator that gives the source."""
    unit = ReadingUnit(0, (), "何", "en", 0.0, 1.0, 1.0, target="en", source_language="ja")
    texts = {heard: Text(heard) for heard in (True, False)}
    for text in texts.values():
        await text.put(unit)
        await text.put(unit)
    assert (texts[True].text(), texts[True].units[0].language) == ("何何", "ja")
    assert texts[False].units[0].language == "en"


async def test_a_full_house_refuses_before_the_upgrade():
    async with serving(capacity=1) as server:
        async with client(server).realtime.translations.connect(model="local") as connection:
            await connection.recv()
            with pytest.raises(Exception, match="503"):
                async with client(server).realtime.translations.connect(model="local") as other:
                    await other.recv()
        await asyncio.wait_for(server.service.admission.emptied(), 2)
        async with client(server).realtime.translations.connect(model="local") as connection:
            assert (await connection.recv()).type == "session.created"
