"""The thin client against a real server on 127.0.0.1 with scripted models: the texts of local use, over lost connections too."""

from __future__ import annotations

import asyncio
import json
import socket

import numpy as np
import pytest

from pipeline.client.session import ClientSession, Remote
from pipeline.clock import LoopClock
from pipeline.errors import NetworkError, Refused
from pipeline.events import AudioChunk, DeviceBack, DeviceLost, ReadingUnit, SpeechChunk, Transcript, text_of
from pipeline.request import SessionRequest
from pipeline.sinks.delivery import SinkQueue
from tests.serving import key, serving, tone

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
WORDS = [f"word{number}" for number in range(15)]


class Tape:
    """A sink that keeps events."""

    def __init__(self, on_unit=None) -> None:
        self.events: list = []
        self._on_unit = on_unit

    async def put(self, event) -> None:
        self.events.append(event)
        if isinstance(event, ReadingUnit) and self._on_unit:
            self._on_unit(event)

    async def close(self) -> None:
        pass

    def of(self, kind) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def said(self) -> list[str]:
        return " ".join(unit.text for unit in self.of(ReadingUnit)).split()


class Tone:
    """A source that waits, as a file does."""

    live = False

    def __init__(self, seconds: float) -> None:
        self._samples = np.frombuffer(tone(seconds), "<i2").astype(np.float32) / np.float32(32768)

    async def __aiter__(self):
        for first in range(0, len(self._samples), 2400):
            yield AudioChunk(self._samples[first : first + 2400], 24_000, first / 24_000)


def session(url: str, secret: str = "", **wishes) -> ClientSession:
    return ClientSession(Remote(url, secret), SessionRequest(("es",), ("en",), **wishes), LoopClock())


async def test_a_file_gives_the_texts_and_speech_of_local_use():
    tape = Tape()
    async with serving() as server:
        await session(server.http, spoken="es").run(Tone(6), [SinkQueue(tape)])
    units = tape.of(ReadingUnit)
    assert [unit.number for unit in units] == list(range(len(units)))
    assert [word.lower() for word in tape.said()] == WORDS
    assert " ".join(text_of(event.committed) for event in tape.of(Transcript)).split() == WORDS
    speech = tape.of(SpeechChunk)
    assert sum(chunk.duration for chunk in speech) > 0.5
    assert {chunk.unit for chunk in speech if chunk.last} == {chunk.unit for chunk in speech}


async def test_no_word_is_lost_or_doubled_when_the_connection_breaks():
    async with serving() as server:
        broken = []

        def cut(unit) -> None:
            if unit.number == 1 and not broken:
                broken.append(unit)
                for connection in tuple(server.service.connections):
                    asyncio.get_running_loop().create_task(connection._socket.close(1012))

        tape = Tape(cut)
        await session(server.http).run(Tone(6), [SinkQueue(tape)])
    assert broken
    assert (len(tape.of(DeviceLost)), len(tape.of(DeviceBack))) == (1, 1)
    numbers = [unit.number for unit in tape.of(ReadingUnit)]
    assert numbers == list(range(len(numbers)))
    spans = [(unit.start, unit.end) for unit in tape.of(ReadingUnit)]
    assert all(before[1] <= after[0] + 0.002 for before, after in zip(spans, spans[1:], strict=False))


async def test_a_wrong_key_and_a_wrong_wish_are_refused_in_the_servers_words():
    async with serving(keys=[key("studio", "sesame")]) as server:
        with pytest.raises(Refused, match="401"):
            await session(server.http, "guess").run(Tone(1), [])
        with pytest.raises(Refused, match="voice"):
            await session(server.http, "sesame", spoken="es", voice="same").run(Tone(1), [])


async def test_a_host_that_cannot_be_reached_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NetworkError, match="cannot be reached"):
        await session(f"ws://127.0.0.1:{port}").run(Tone(1), [])


async def test_the_command_writes_captions_speech_and_events(tmp_path):
    import soundfile

    talk = tmp_path / "talk.wav"
    soundfile.write(talk, np.frombuffer(tone(5), "<i2"), 24_000)
    names = [str(tmp_path / name) for name in ("talk.es.wav", "talk.vtt", "talk.jsonl")]
    async with serving() as server:
        words = [str(talk), "--to", "es", "--from", "en", "--server", server.http]
        words += ["--out", names[0], "--captions", names[1], "--events", names[2]]
        code, out, err = await _command(*words)
    assert code == 0, err
    assert out.lower().split()[:12] == WORDS[:12]
    assert "WORD3" in (tmp_path / "talk.vtt").read_text()
    assert soundfile.info(names[0]).duration > 0.5
    kinds = {json.loads(line).get("event") for line in (tmp_path / "talk.jsonl").read_text().splitlines()}
    assert {"Transcript", "ReadingUnit", "SpeechChunk", "Lag"} <= kinds


async def test_settings_of_models_are_refused_with_a_server():
    code, _, err = await _command("x.wav", "--to", "es", "--server", "ws://127.0.0.1:1", "--profile", "cpu")
    assert code == 2
    assert "--profile cannot be used with --server" in err


async def _command(*words: str) -> tuple[int, str, str]:
    import sys

    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "pipeline", *words, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
