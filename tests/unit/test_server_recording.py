"""Rooms that are recorded: everybody is told, each has a track and captions of their own, and all of it can be erased."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections import Counter
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from starlette.applications import Starlette
from starlette.testclient import TestClient

from benchmarks.serve_rooms import NUMBERS
from benchmarks.spoken_numbers import SLOT_S, numbers_in
from pipeline.cli import main
from pipeline.engine import Engine
from pipeline.errors import DeviceError
from pipeline.events import AudioChunk, ReadingUnit
from pipeline.lane import Lane
from pipeline.privacy.erasure import sweep
from pipeline.privacy.ledger import Ledger
from pipeline.profiles.profile import load_profile
from pipeline.server.access import Key
from pipeline.server.asked import Asked
from pipeline.server.connection import Connection
from pipeline.server.dialects.openai import OpenAI
from pipeline.server.room_recording import ParticipantRecording, RoomRecorder
from pipeline.server.room_routes import room_routes
from pipeline.server.rooms import Room, Seat
from pipeline.server.service import Limits
from pipeline.sinks.audio_writer import AudioWriter
from pipeline.sinks.personal_data import PersonalData
from pipeline.sinks.sealing import KEY, MAGIC, SealedAudio, unsealed_audio
from pipeline.sinks.sharing import Sharing
from pipeline.sinks.writing import RecordFile, check_file
from tests.serving import make_service
from tests.unit.test_privacy import all_bytes
from tests.unit.test_server_rooms import Hall, Person, leave

pytestmark = pytest.mark.looptime(noop_cycles=2)


class InlineLane:
    """A lane whose calls are made at once: in virtual time a thread would be late."""

    def __init__(self, name: str) -> None:
        pass

    async def run(self, call, *arguments):
        return call(*arguments)

    def close(self) -> None:
        pass


async def inline(call, *arguments):
    return call(*arguments)


@pytest.fixture(autouse=True)
def data(monkeypatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TRANSLATE_LIVE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("pipeline.sinks.speech_file.Lane", InlineLane)
    monkeypatch.setattr("pipeline.server.room_recording.Lane", InlineLane)
    monkeypatch.setattr("pipeline.privacy.ledger.asyncio.to_thread", inline)
    return tmp_path


@asynccontextmanager
async def recorded(folder: Path, sharing: Sharing | None = None):
    async with Engine.load(load_profile("cpu", None, list(NUMBERS))) as engine, asyncio.TaskGroup() as tasks:
        service = make_service(engine)
        service.recording = RoomRecorder(folder / "rec", sharing or Sharing())
        yield Hall(service, tasks)


def session_of(person: Person) -> str:
    return person.of("session.created")[0]["session"]["id"]


def file_of(folder: Path, person: Person, suffix: str) -> Path:
    (found,) = (folder / "rec").glob(f"*/{session_of(person)}{suffix}")
    return found


def sound_of(path: Path) -> bytes:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 24_000
    return samples.tobytes()


def said_in(path: Path) -> list[int]:
    return numbers_in(sound_of(path))


async def test_each_has_a_track_and_captions_by_name_and_everybody_is_told(tmp_path):
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        cy = await rooms.join("r", "Cy", "es", extensions=False)
        await asyncio.gather(ana.count(0, 12), bo.count(102, 12))
        await leave(ana, bo, cy)
    for person in (ana, bo):
        assert [one["recording"] for one in person.of("translate_live.recording")] == [True]
    assert cy.of("session.updated")[0]["session"]["translate_live"] == {"recorded": True}
    assert said_in(file_of(tmp_path, ana, ".wav")) == list(range(12))
    assert said_in(file_of(tmp_path, bo, ".wav")) == list(range(102, 114))
    captions = file_of(tmp_path, ana, ".vtt").read_text()
    assert "<v Ana>" in captions
    assert "Bo" not in captions
    assert {number for number in captions.split() if number.isdigit()} >= set(map(str, range(12)))
    for path in (tmp_path / "rec").glob("*/*"):
        assert path.stat().st_mode & 0o077 == 0
    assert {kept.session: kept.speakers for kept in Ledger().sessions()} == {
        session_of(ana): ("Ana",),
        session_of(bo): ("Bo",),
    }, "of who said nothing there is nothing"


async def test_a_room_of_a_server_that_records_none_is_told_nothing(tmp_path):
    async with recorded(tmp_path) as rooms:
        rooms.service.recording = None
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        await ana.count(0, 6)
        await leave(ana, bo)
    assert not ana.of("translate_live.recording")
    assert "translate_live" not in ana.of("session.created")[0]["session"]
    assert not (tmp_path / "rec").exists()
    assert Ledger().sessions() == []


@pytest.mark.parametrize("kept", [True, False])
def test_the_list_of_participants_says_if_the_room_is_recorded(tmp_path, kept):
    class Alone:
        recording = RoomRecorder(tmp_path, Sharing()) if kept else None

        class access:  # noqa: N801
            invited = staticmethod(lambda *_: None)
            identify = staticmethod(lambda *_: Alone)

        class rooms:  # noqa: N801
            participants = staticmethod(lambda *_: [])

        key = None

    app = Starlette(routes=room_routes())
    app.state.service = Alone
    assert TestClient(app).get("/v1/rooms?room=r").json()["recorded"] is kept


async def test_who_comes_back_and_who_comes_later_lie_where_the_conversation_was(tmp_path):
    async with recorded(tmp_path) as rooms:
        loop = asyncio.get_running_loop()
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        began = loop.time()
        await asyncio.gather(ana.count(0, 6), bo.sound(bytes(round(48_000 * (6 * SLOT_S + 3)))))
        await leave(ana)
        assert said_in(file_of(tmp_path, ana, ".wav")) == list(range(6)), "whole as soon as Ana has left"
        await bo.sound(bytes(48_000 * 10))
        again, late_s = await rooms.join("r", "Ana", "en"), loop.time() - began
        await asyncio.gather(again.count(24, 6), bo.sound(bytes(round(48_000 * (6 * SLOT_S + 3)))))
        await leave(again, bo)
    sound = sound_of(file_of(tmp_path, again, ".wav"))
    assert numbers_in(sound) == list(range(24, 30))
    silent = next(place for place in range(0, len(sound), 2) if sound[place : place + 2] != b"\0\0")
    assert silent / 48_000 == pytest.approx(late_s, abs=0.5)
    assert file_of(tmp_path, ana, ".wav").parent == file_of(tmp_path, again, ".wav").parent


async def test_a_track_goes_on_over_the_sessions_that_others_bring_about_and_a_new_conversation_is_another(tmp_path):
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        talking = asyncio.create_task(ana.count(0, 42))
        await asyncio.sleep(20 * SLOT_S)
        cy = await rooms.join("r", "Cy", "fr")
        await talking
        await leave(ana, bo, cy)
        assert said_in(file_of(tmp_path, ana, ".wav")) == list(range(42))
        assert len(sound_of(file_of(tmp_path, ana, ".wav"))) / 48_000 == pytest.approx(42 * SLOT_S + 3, abs=0.5)
        di, eve = await rooms.join("r", "Di", "en"), await rooms.join("r", "Eve", "es")
        await di.count(0, 6)
        await leave(di, eve)
        assert file_of(tmp_path, di, ".wav").parent != file_of(tmp_path, ana, ".wav").parent


async def test_of_one_who_is_erased_no_byte_is_left_and_the_others_stay(tmp_path, capsys):
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Zebedea", "en"), await rooms.join("r", "Bo", "es")
        await asyncio.gather(ana.count(0, 12), bo.count(102, 12))
        await leave(ana, bo)
    assert b"Zebedea" in all_bytes(tmp_path)
    assert main(["erase", "--speaker", "zebedea"]) == 0
    left = all_bytes(tmp_path)
    assert b"Zebedea" not in left
    assert session_of(ana).encode() not in left
    assert said_in(file_of(tmp_path, bo, ".wav")) == list(range(102, 114))
    assert main(["erase", "--session", session_of(bo)]) == 0
    assert list((tmp_path / "rec").iterdir()) == []


async def test_what_is_erased_while_it_is_written_does_not_come_back(tmp_path):
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Zebedea", "en"), await rooms.join("r", "Bo", "es")
        await ana.count(0, 6)
        assert main(["erase", "--before", "2999-01-01"]) == 0
        await ana.count(6, 6)
        assert bo.heard() == list(range(12))
        await leave(ana, bo)
    assert b"Zebedea" not in all_bytes(tmp_path)
    assert Ledger().sessions() == []


@pytest.mark.parametrize(("for_all", "of_key"), [(7, None), (None, 7), (30, 7), (7, 30)])
async def test_sound_and_captions_go_when_their_time_is_over(tmp_path, for_all, of_key):
    async with recorded(tmp_path, Sharing(retention_days=for_all)) as rooms:
        key = Key("k", retention_days=of_key)
        ana, bo = await rooms.join("r", "Ana", "en", key), await rooms.join("r", "Bo", "es", key)
        await ana.count(0, 6)
        await leave(ana, bo)
    soon, late = (datetime.now(UTC) + timedelta(days=days) for days in (6.9, 7.1))
    assert sweep(Ledger(), lambda: soon).gone == []
    assert len(sweep(Ledger(), lambda: late).gone) == 2
    assert list((tmp_path / "rec").iterdir()) == []


async def test_captions_are_redacted_where_the_operator_says_so(tmp_path):
    personal = PersonalData(frozenset(), ("Ana",))
    async with recorded(tmp_path, Sharing(personal=personal)) as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        await ana.count(0, 6)
        await leave(ana, bo)
    captions = file_of(tmp_path, ana, ".vtt").read_text()
    assert "[name]" in captions
    assert "Ana" not in captions


async def test_with_a_key_nothing_can_be_read_from_the_disk_and_all_of_it_with_the_key(tmp_path, monkeypatch, capsys):
    pytest.importorskip("cryptography")
    monkeypatch.setenv(KEY, base64.b64encode(bytes(range(32))).decode())
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        await ana.count(0, 12)
        await leave(ana, bo)
    files = list((tmp_path / "rec").glob("*/*"))
    assert sorted("".join(path.suffixes) for path in files) == [".vtt.sealed", ".wav.sealed"]
    for path in files:
        data = path.read_bytes()
        assert data.startswith(MAGIC)
        assert not any(mark in data for mark in (b"<v Ana>", b"WEBVTT", b"WAVEfmt ", b" --> 00:"))
    wav, vtt = tmp_path / "open.wav", tmp_path / "open.vtt"
    assert main(["unseal", str(file_of(tmp_path, ana, ".wav.sealed")), "--out", str(wav)]) == 0
    assert main(["unseal", str(file_of(tmp_path, ana, ".vtt.sealed")), "--out", str(vtt)]) == 0
    assert said_in(wav) == list(range(12))
    assert vtt.read_text().startswith("WEBVTT")
    assert "<v Ana>" in vtt.read_text()
    assert main(["erase", "--speaker", "ana"]) == 0
    assert list((tmp_path / "rec").iterdir()) == []


async def test_a_full_disk_ends_one_recording_and_all_are_told_while_everybody_is_heard(tmp_path, monkeypatch):
    written, write = [0], AudioWriter.write

    def full(self, samples):
        written[0] += session_of(ana) in str(self.path)
        if written[0] > 20 and session_of(ana) in str(self.path):
            raise DeviceError(f"cannot write {self.path} any more: the disk is full")
        write(self, samples)

    monkeypatch.setattr(AudioWriter, "write", full)
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        await asyncio.gather(ana.count(0, 18), bo.count(102, 18))
        for person in (ana, bo):
            told = person.of("translate_live.recording")
            assert [(one["recording"], one.get("participant")) for one in told] == [(True, None), (False, "Ana")]
            assert not any(str(tmp_path) in str(message) for message in person.sent)
        await leave(ana, bo)
    assert bo.heard() == list(range(18))
    assert ana.heard() == list(range(102, 120))
    assert 0 < len(sound_of(file_of(tmp_path, ana, ".wav"))) < len(sound_of(file_of(tmp_path, bo, ".wav")))
    assert said_in(file_of(tmp_path, bo, ".wav")) == list(range(102, 120))
    assert len(Ledger().sessions()) == 2


async def test_a_disk_that_hangs_holds_nobody_up_and_is_told(tmp_path, monkeypatch):
    written, freed = [0], asyncio.Event()

    class Hanging(InlineLane):
        async def run(self, call, *arguments):
            written[0] += 1
            while written[0] > 40 and not freed.is_set():  # as a thread that waits for the system: it cannot be cancelled
                with suppress(asyncio.CancelledError):
                    await freed.wait()
            return call(*arguments)

    monkeypatch.setattr("pipeline.sinks.speech_file.Lane", Hanging)
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        loop = asyncio.get_running_loop()
        loop.call_later(300, freed.set)  # that the test ends, whatever happens
        await asyncio.gather(ana.count(0, 120), bo.sound(bytes(48_000 * 50)))
        began = loop.time()
        await leave(ana, bo)
        left_s = loop.time() - began
    assert bo.heard() == list(range(120))
    told = [one["message"] for one in ana.of("translate_live.fault")]
    assert any("the recording of this room took nothing for 30 s" in message for message in told)
    assert left_s < 60


async def test_what_could_not_be_found_again_is_not_recorded(tmp_path):
    (tmp_path / "data").write_text("a file where the folder would be")
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        await ana.count(0, 6)
        await leave(ana, bo)
    assert bo.heard() == list(range(6))
    assert [one["recording"] for one in bo.of("translate_live.recording")] == [True, False]
    assert not (tmp_path / "rec").exists()


async def test_a_server_that_drains_finishes_the_recordings(tmp_path):
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        rooms.service.limits = Limits(drain_s=5)
        talking = asyncio.gather(ana.count(0, 600), bo.sound(bytes(48_000 * 240)))
        await asyncio.sleep(30)
        await rooms.service.drain()
        await asyncio.gather(ana.serving, bo.serving)
        talking.cancel()
    assert ana.closed[0] == bo.closed[0] == 1001
    said = said_in(file_of(tmp_path, ana, ".wav"))
    assert said == list(range(len(said)))
    assert len(said) * SLOT_S > 30
    assert all(file.inode for kept in Ledger().sessions() for file in kept.files)


async def test_who_vanishes_leaves_a_whole_recording(tmp_path):
    async with recorded(tmp_path) as rooms:
        ana, bo = await rooms.join("r", "Ana", "en"), await rooms.join("r", "Bo", "es")
        talking = asyncio.create_task(ana.count(0, 24))
        await asyncio.sleep(10 * SLOT_S)
        ana.vanish()
        await ana.serving
        talking.cancel()
        await leave(bo)
    said = said_in(file_of(tmp_path, ana, ".wav"))
    assert said == list(range(len(said)))
    assert len(said) >= 8


class Conversing:
    """A room whose participants are heard for a second each, at moments of a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 1000.0
        self._recording, self._room = RoomRecorder(folder / "rec", Sharing()), Room("tea", load_profile("cpu"))

    def now(self) -> float:
        return self.now_s

    def track(self, session: str, resuming: str = "") -> ParticipantRecording:
        seat = self._room.seats["Ana"] = Seat(self._room, "Ana", resuming=resuming)
        return self._recording.track(seat, session, Key("k"), self)

    async def heard(self, session: str, start_ms: int, resuming: str = "") -> None:
        track, began = self.track(session, resuming), self.now_s
        sink = track.sink(SimpleNamespace(clock_time=lambda moment: began + moment), start_ms, "en")
        for tenth in range(10):
            await sink.put(AudioChunk(np.full(2400, 0.1, np.float32), 24_000, tenth / 10))
        await track.close()
        self.now_s += 1


def sounds_from(folder: Path, session: str) -> float:
    """At which second of a file there is the first sound."""
    (path,) = (folder / "rec").glob(f"*/{session}.wav")
    samples, rate = soundfile.read(path)
    return float(np.argmax(np.abs(samples) > 0.05)) / rate


async def test_nobody_is_recorded_in_the_future_whatever_time_a_client_says(tmp_path):
    room = Conversing(tmp_path)
    await room.heard("sess_a", 0)
    room.now_s += 9
    await room.heard("sess_b", 2_000_000, resuming="sess_a")
    assert sounds_from(tmp_path, "sess_b") == pytest.approx(10, abs=0.01)


async def test_who_resumes_lies_where_they_were_and_one_who_was_alone_before_where_it_is_now(tmp_path):
    room = Conversing(tmp_path)
    room.track("sess_first")
    room.now_s += 5
    await room.heard("sess_a", 0)
    room.now_s += 54
    await room.heard("sess_b", 500, resuming="sess_a")  # what was lost is sent again
    assert sounds_from(tmp_path, "sess_b") == pytest.approx(5.5, abs=0.01)
    room.now_s += 39
    await room.heard("sess_c", 20_000)  # nobody needed the first 20 s of another who has the name
    assert sounds_from(tmp_path, "sess_c") == pytest.approx(100, abs=0.01)


async def test_the_log_of_a_recording_that_fails_does_not_name_the_room(tmp_path, caplog):
    (tmp_path / "rec").write_text("a file where the folder would be")
    await Conversing(tmp_path).heard("sess_a", 0)
    assert "sess_a" in caplog.text
    assert "tea" not in caplog.text


async def test_a_client_whose_secret_asks_for_the_extension_is_told_and_gets_a_token_once(tmp_path):
    async with recorded(tmp_path) as rooms:
        ana, dialect = Person(), OpenAI("local", Asked("en", extensions=True), recorded=True)
        with rooms.service.rooms.seat(Key("k"), "r", "Ana") as seat:
            serving = asyncio.create_task(Connection(ana, dialect, rooms.service, Key("k"), seat=seat).serve())
            await asyncio.sleep(0.01)
            told = [event["type"] for event in ana.sent]
            assert told == ["session.created", "translate_live.resume", "translate_live.recording"]
            ana.wish("en")
            await leave_one(ana, serving)
    assert len(ana.of("translate_live.recording")) == len(ana.of("translate_live.resume")) == 1


async def leave_one(person: Person, serving: asyncio.Task[None]) -> None:
    person.send("session.close")
    await serving


@pytest.mark.looptime(False)
async def test_only_threads_wait_for_the_disk(tmp_path, monkeypatch):
    calls: set[tuple[str, int]] = set()

    def noted(kind: type, name: str) -> None:
        call = getattr(kind, name)

        def with_note(self, *arguments, **options):
            if not (kind is Path and "data" in self.parts):  # where the list is, which the test makes without a thread
                calls.add((f"{kind.__name__}.{name}", threading.get_ident()))
            return call(self, *arguments, **options)

        monkeypatch.setattr(kind, name, with_note)

    monkeypatch.setattr("pipeline.sinks.speech_file.Lane", Lane)
    monkeypatch.setattr("pipeline.server.room_recording.Lane", Lane)
    for kind, name in (
        (Path, "mkdir"),
        (AudioWriter, "__init__"),
        (AudioWriter, "write"),
        (AudioWriter, "close"),
        (RecordFile, "__init__"),
        (RecordFile, "add"),
        (RecordFile, "close"),
    ):
        noted(kind, name)
    before = threading.active_count()
    track = Conversing(tmp_path).track("sess_a")
    sink = track.sink(SimpleNamespace(clock_time=lambda moment: 1000 + moment), 0, "en")
    await sink.put(AudioChunk(np.zeros(24_000, np.float32), 24_000, 0.0))
    await sink.put(ReadingUnit(0, (), "hola", "en", 0.0, 1.0, 1.0, "en"))
    await track.close()
    assert "hola" in next((tmp_path / "rec").glob("*/*.vtt")).read_text()
    assert len({name for name, _ in calls}) == 7
    assert threading.get_ident() not in {thread for _, thread in calls}
    assert threading.active_count() == before


async def test_files_that_a_slow_disk_makes_when_the_track_has_ended_are_closed(tmp_path, monkeypatch):
    freed = asyncio.Event()

    class Slow(InlineLane):
        async def run(self, call, *arguments):
            await freed.wait()
            return call(*arguments)

    monkeypatch.setattr("pipeline.server.room_recording.Lane", Slow)
    track = Conversing(tmp_path).track("sess_a")
    sink = track.sink(SimpleNamespace(clock_time=lambda moment: 1000 + moment), 0, "en")
    putting = asyncio.create_task(sink.put(AudioChunk(np.zeros(2400, np.float32), 24_000, 0.0)))
    await asyncio.sleep(1)
    await track.close()
    freed.set()
    await putting
    for suffix in (".wav", ".vtt"):
        (path,) = (tmp_path / "rec").glob(f"*/sess_a{suffix}")
        check_file(path)  # nobody writes it


@pytest.mark.parametrize("key", [None, bytes(range(32))])
async def test_the_hours_before_a_late_comer_cost_nothing(tmp_path, monkeypatch, key):
    if key is not None:
        pytest.importorskip("cryptography")
        monkeypatch.setenv(KEY, base64.b64encode(key).decode())
    written = Counter()
    for kind in (AudioWriter, SealedAudio):
        monkeypatch.setattr(kind, "write", counted(kind.write, written))
    room = Conversing(tmp_path)
    await room.heard("sess_a", 0)
    room.now_s += 4 * 3600 - 1
    await room.heard("sess_b", 0)
    assert written.total() < 50
    path = next((tmp_path / "rec").glob("*/sess_b.wav*"))
    if key is not None:
        assert path.stat().st_size < 100_000
        assert unsealed_audio(path, tmp_path / "open.wav") == pytest.approx(4 * 3600 + 1)
        path = tmp_path / "open.wav"
    with soundfile.SoundFile(path) as opened:
        assert len(opened) == 24_000 * (4 * 3600 + 1)
        opened.seek(24_000 * 4 * 3600 - 2400)
        sound = opened.read(4800)
    assert np.abs(sound[:2300]).max() == 0
    assert np.abs(sound[2500:]).min() > 0.05


def counted(call, counts: Counter):
    def counting(self, *arguments):
        counts[type(self)] += 1
        call(self, *arguments)

    return counting
