"""The thin client against a real server on 127.0.0.1 with scripted models: what local use gives, also over lost ones."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable
from typing import Union, get_args

import msgspec
import numpy as np
import pytest
import soundfile

from benchmarks.serve_client import ServerProcess
from benchmarks.serve_rooms import NUMBERS
from benchmarks.spoken_numbers import numbers_in, spoken
from pipeline.client.connection import Remote
from pipeline.client.session import ClientSession
from pipeline.clock import LoopClock
from pipeline.errors import NetworkError, Refused
from pipeline.events import AudioChunk, Fault, Gap, Lag, ReadingUnit, Seen, SpeechChunk, Transcript, text_of
from pipeline.request import SessionRequest
from pipeline.server.dialects import openai, openai_events
from pipeline.server.dialects.codec import tags_of
from pipeline.sinks.delivery import SinkQueue
from pipeline.sinks.speech_file import SessionRecording
from pipeline.stages.see import Watching
from pipeline.vision import Frame
from tests.scripted import Keep
from tests.serving import key, serving, tone

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
WORDS = [f"word{number}" for number in range(15)]


def tape_of(on_unit: Callable[[ReadingUnit], None]) -> Keep:
    return Keep(on_put=lambda event: on_unit(event) if isinstance(event, ReadingUnit) else None)


def said(tape: Keep) -> list[str]:
    return " ".join(unit.text for unit in tape.of(ReadingUnit)).split()


class Tone:
    """A source that waits, as a file does."""

    live = False

    def __init__(self, seconds: float, pcm: bytes = b"") -> None:
        self._samples = np.frombuffer(pcm or tone(seconds), "<i2").astype(np.float32) / np.float32(32768)

    async def __aiter__(self):
        for first in range(0, len(self._samples), 2400):
            yield AudioChunk(self._samples[first : first + 2400], 24_000, first / 24_000)


class Film:
    """Pictures beside a file."""

    def __init__(self, *frames: Frame) -> None:
        self._frames = frames

    async def __aiter__(self):
        for frame in self._frames:
            yield frame


class LiveTone(Tone):
    """A source that goes on by itself, as a microphone does."""

    live = True

    async def __aiter__(self):
        began = asyncio.get_running_loop().time()
        async for chunk in super().__aiter__():
            await asyncio.sleep(began + chunk.end - asyncio.get_running_loop().time())
            yield chunk


def session(url: str, secret: str = "", **wishes) -> ClientSession:
    return ClientSession(Remote(url, secret), SessionRequest(("es",), ("en",), **wishes), LoopClock())


async def test_a_file_gives_the_texts_and_speech_of_local_use():
    tape = Keep()
    async with serving() as server:
        await session(server.http, spoken="es").run(Tone(6), [SinkQueue(tape)])
    units = tape.of(ReadingUnit)
    assert [unit.number for unit in units] == list(range(len(units)))
    assert [word.lower() for word in said(tape)] == WORDS
    assert " ".join(text_of(event.committed) for event in tape.of(Transcript)).split() == WORDS
    speech = tape.of(SpeechChunk)
    assert sum(chunk.duration for chunk in speech) > 0.5
    assert {chunk.unit for chunk in speech if chunk.last} == {chunk.unit for chunk in speech}


@pytest.mark.parametrize("reader", ["{use: 'tests.scripted_backends:Colors'}", "null"])
async def test_a_film_that_is_watched_is_read_by_the_server_or_that_is_told(reader: str):
    tape = Keep()
    watching = Watching(film=Film(Frame(np.full((180, 320, 3), (250, 20, 20), np.uint8), 0.0)))
    async with serving(f"reader={reader}") as server:
        await session(server.http, spoken="es", watching=watching).run(Tone(6), [SinkQueue(tape)])
    assert [word.lower() for word in said(tape)] == WORDS
    if reader == "null":
        assert ["no vision here" in fault.message for fault in tape.of(Fault)] == [True]
    else:
        assert [seen.names for seen in tape.of(Seen)] == [("320x180 red",)]
        assert not tape.of(Fault)


async def test_a_server_older_than_pictures_is_sent_no_more_and_the_talk_goes_on(monkeypatch):
    older = tuple(kind for kind in get_args(openai_events.ClientMessage) if kind is not openai_events.ImageEvent)
    monkeypatch.setattr(openai, "_DECODER", msgspec.json.Decoder(Union[older]))  # noqa: UP007
    monkeypatch.setattr(openai, "TAGS", tags_of(Union[older]))  # noqa: UP007
    tape = Keep()
    frames = (Frame(np.full((180, 320, 3), 20 * number, np.uint8), float(number)) for number in range(1, 6))
    async with serving() as server:
        await session(server.http, watching=Watching(film=Film(*frames))).run(Tone(6), [SinkQueue(tape)])
    assert [word.lower() for word in said(tape)] == WORDS
    assert ["takes no pictures: unknown event" in fault.message for fault in tape.of(Fault)] == [True]


async def test_several_spoken_languages_come_each_as_a_stream_of_its_own():
    tape, request = Keep(), SessionRequest(("es", "de", "ca"), ("en",), spoken=("de", "es"))
    backends = (
        "translator.use=tests.scripted_backends:Tagging",
        "fallback_synthesizer.use=tests.scripted_backends:OtherVoice",
    )
    async with serving(*backends) as server:
        await ClientSession(Remote(server.http), request, LoopClock()).run(Tone(6), [SinkQueue(tape)])
    speech = {target: [one for one in tape.of(SpeechChunk) if one.target == target] for target in ("es", "de", "ca")}
    spoken_s = {target: sum(chunk.duration for chunk in chunks) for target, chunks in speech.items()}
    assert spoken_s["es"] == pytest.approx(spoken_s["de"], abs=0.01)
    assert spoken_s["es"] > 0.5
    assert spoken_s["ca"] == 0
    assert {lag.target for lag in tape.of(Lag)} == {"es", "de"}


async def test_two_in_a_room_hear_each_other_also_after_a_lost_connection(tmp_path):
    """Each says numbers of their own; what is heard, and what a participant records, is decoded from the sound."""
    async with serving(*NUMBERS) as server:
        tapes, talks = {"en": Keep(), "es": Keep()}, []
        for language, name, first in (("en", "Ana", 0), ("es", "Bo", 102)):
            remote = Remote(server.http, room="tea", participant=name)
            request = SessionRequest((language,), (language,), spoken=language)
            source = LiveTone(0, spoken(first, 24) + bytes(48_000 * 4))
            sinks = [SinkQueue(tapes[language]), SinkQueue(SessionRecording(tmp_path / name))]
            talks.append(ClientSession(remote, request, LoopClock()).run(source, sinks))

        def cut() -> None:
            (ana,) = [one for one in server.service.connections if one._seat.name == "Ana"]
            asyncio.get_running_loop().create_task(ana._socket.close(1012))

        asyncio.get_running_loop().call_later(6, cut)
        await asyncio.gather(*talks)
    for language, first, name in (("en", 102, "Bo"), ("es", 0, "Ana")):
        tape = tapes[language]
        assert {unit.speaker for unit in tape.of(ReadingUnit)} == {name}
        assert set(map(int, said(tape))) <= set(range(first, first + 24))
        pcm = np.concatenate([chunk.samples for chunk in tape.of(SpeechChunk)])
        assert set(numbers_in((pcm * 32767).astype("<i2").tobytes())) <= set(range(first, first + 24))
    assert [int(word) for word in said(tapes["es"])] == list(range(24))  # Ana comes back, and says again what was lost
    assert recorded(tmp_path / "Ana" / "original.wav") == recorded(tmp_path / "Bo" / "translated.wav") == list(range(24))
    assert recorded(tmp_path / "Bo" / "original.wav") == list(range(102, 126))
    assert len(tapes["en"].of(Fault)) == 1
    assert not tapes["es"].of(Fault)


async def test_no_word_is_lost_or_doubled_when_the_connection_breaks():
    async with serving() as server:
        broken = []

        def cut(unit) -> None:
            if unit.number == 1 and not broken:
                broken.append(unit)
                for connection in tuple(server.service.connections):
                    asyncio.get_running_loop().create_task(connection._socket.close(1012))

        tape = tape_of(cut)
        await session(server.http).run(Tone(6), [SinkQueue(tape)])
    assert broken
    assert ["connecting again" in fault.message for fault in tape.of(Fault)] == [True]
    numbers = [unit.number for unit in tape.of(ReadingUnit)]
    assert numbers == list(range(len(numbers)))
    spans = [(unit.start, unit.end) for unit in tape.of(ReadingUnit)]
    assert all(before[1] <= after[0] + 0.002 for before, after in zip(spans, spans[1:], strict=False))


def recorded(path) -> list[int]:
    samples, _ = soundfile.read(path, dtype="int16")
    return numbers_in(samples.astype("<i2").tobytes())


class Moving:
    """An address behind which another server answers when the first is killed."""

    key, name, participant = "", "the address", ""

    def __init__(self, servers) -> None:
        self._servers, self.killed = servers, 0

    @property
    def address(self) -> str:
        return self._servers[self.killed].url

    def kill(self, unit) -> None:
        if unit.number == 2 and not self.killed:
            self._servers[0].send(signal.SIGKILL)
            self.killed = 1


async def test_no_word_is_lost_or_said_twice_when_the_server_is_killed():
    servers = list(await asyncio.gather(*(ServerProcess.start(4) for _ in range(2))))
    try:
        await asyncio.gather(*(server.ready() for server in servers))
        moving = Moving(servers)
        tape, request = tape_of(moving.kill), SessionRequest(("es",), ("en",))
        await ClientSession(moving, request, LoopClock()).run(Tone(0, spoken(0, 30)), [SinkQueue(tape)])
        assert moving.killed
        heard = " ".join(text_of(unit.source) for unit in tape.of(ReadingUnit))
        assert list(map(int, heard.split())) == list(range(30))
        committed = " ".join(text_of(event.committed) for event in tape.of(Transcript))
        assert list(map(int, committed.split())) == list(range(30))
    finally:
        for server in servers:
            await server.end()


async def test_a_live_source_goes_on_while_the_server_is_killed():
    servers = list(await asyncio.gather(*(ServerProcess.start(4) for _ in range(2))))
    try:
        await asyncio.gather(*(server.ready() for server in servers))
        moving = Moving(servers)
        tape, request = tape_of(moving.kill), SessionRequest(("es",), ("en",), spoken="es")
        await ClientSession(moving, request, LoopClock()).run(LiveTone(0, spoken(0, 20)), [SinkQueue(tape)])
        heard = " ".join(text_of(unit.source) for unit in tape.of(ReadingUnit))
        assert list(map(int, heard.split())) == list(range(20))
        assert not tape.of(Gap)
        assert tape.of(Lag)
        assert all(lag.ear_voice_s > 0 for lag in tape.of(Lag))
    finally:
        for server in servers:
            await server.end()


async def test_ctrl_c_says_what_was_heard_and_ends(tmp_path):
    import soundfile

    talk, captions = tmp_path / "talk.wav", tmp_path / "talk.vtt"
    soundfile.write(talk, np.frombuffer(tone(60), "<i2"), 24_000)
    async with serving() as server:
        words = [str(talk), "--to", "es", "--from", "en", "--server", server.http, "--captions", str(captions)]
        process = await _started(*words)
        assert (await process.stdout.readline()).strip()
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        await asyncio.wait_for(server.service.admission.emptied(), 5)
    assert process.returncode == 128 + signal.SIGINT, err
    assert b"Traceback" not in err
    assert "WORD0" in captions.read_text()


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


@pytest.mark.parametrize("there", [True, False])
async def test_a_server_that_refuses_or_is_not_there_is_told_once_and_empties_no_file(tmp_path, there):
    import soundfile

    talk, captions = tmp_path / "talk.wav", tmp_path / "talk.vtt"
    soundfile.write(talk, np.frombuffer(tone(5), "<i2"), 24_000)
    captions.write_text("of yesterday")
    async with serving() as server:
        port = socket.create_server(("127.0.0.1", 0))
        free = f"http://127.0.0.1:{port.getsockname()[1]}"
        port.close()
        words = [str(talk), "--to", "pt", "--from", "en", "--captions", str(captions), "--out", str(tmp_path / "talk.flac")]
        code, _, err = await _command(*words, "--server", server.http if there else free)
    assert code == (2 if there else 5)
    assert err.count("refuses" if there else "cannot be reached") == 1
    assert there or err.splitlines()[-1] == "try: another --server, or start it there: translate-live serve"
    assert captions.read_text() == "of yesterday"
    assert not (tmp_path / "talk.flac").exists()


async def test_settings_of_models_are_refused_with_a_server():
    code, _, err = await _command("x.wav", "--to", "es", "--server", "ws://127.0.0.1:1", "--profile", "cpu")
    assert code == 2
    assert "--profile cannot be used with --server" in err


async def _started(*words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "pipeline", *words, stdout=pipe, stderr=pipe)


async def _command(*words: str) -> tuple[int, str, str]:
    process = await _started(*words)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
