"""Retention: what is kept is known, goes in time, and can be erased: no byte of a speaker is left in any file."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.film_made import make_film
from pipeline.cli import main
from pipeline.errors import NetworkError
from pipeline.privacy.audit import Audit
from pipeline.privacy.erasure import Erased, Selection, erase, erase_bus, sweep, sweep_bus
from pipeline.privacy.ledger import Ledger, kept_session
from pipeline.server.access import Key
from pipeline.server.process import ServerOptions, _swept
from pipeline.sinks.bus import BusSink, Publisher
from pipeline.sinks.redis_stream import STREAM, RedisStream, client
from pipeline.sinks.sharing import Sharing
from pipeline.voices.store import VoiceStore, key_store, key_stores
from tests.resp_server import KINDS
from tests.unit.test_bus import UNIT, entries, redis  # noqa: F401 - a fixture
from tests.unit.test_cli_translate import config, in_folder, talk, translate  # noqa: F401 - fixtures
from tests.unit.test_film import RATE, SOUND
from tests.unit.test_voices_store import record

SPEAKER = "Zebedea"


@pytest.fixture(autouse=True)
def data(monkeypatch, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("TRANSLATE_LIVE_DATA", str(folder))
    return folder


def all_bytes(folder: Path) -> bytes:
    """Every byte of every file under a folder, and every name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join([path.read_bytes() + str(path.relative_to(folder)).encode() for path in files])


def enrolled(store: VoiceStore, name: str, who: str) -> None:
    new = record(name)
    store.add(replace(new, consent=replace(new.consent, who=who)), "model", {"x": np.arange(64, dtype=np.float32)})


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_whose_name_is_no_utf_8_is_found_and_erased(tmp_path):
    ledger, file = Ledger(), written(tmp_path, os.fsdecode(b"caf\xe9.vtt"), "text")
    ledger.add(kept_session("sess_1", [file], [], [], None))
    assert [one.path for one in ledger.sessions()[0].files] == [str(file)]
    assert erase(Selection("sess_1"), ledger, [], Audit()).left == []
    assert not file.exists()


def test_every_file_of_a_speaker_is_erased_and_no_byte_of_them_is_left_anywhere(tmp_path, data, capsys):
    ledger, mine = Ledger(), tmp_path / "mine"
    mine.mkdir()
    ids = []
    for number, speakers in enumerate([(SPEAKER, "Otto"), ("Otto",)]):
        told = f"{speakers[0]} said this in session {number}"
        files = [written(mine, f"{kind}{number}", f"{kind}: {told}") for kind in ("captions", "events")]
        recorded = [written(mine, f"sound{number}", told * 1000)]
        kept = kept_session(f"sess_{number}", files, recorded, speakers, None)
        ledger.add(kept)
        ids.append(kept.session)
    enrolled(VoiceStore(), "zeb", who=SPEAKER)
    enrolled(VoiceStore(), "otto", who="Otto")
    enrolled(key_store("studio"), SPEAKER, who="somebody")
    os.link(mine / "captions0", mine / "another name of it")
    Audit().note("enrolled", SPEAKER)
    Audit().note("used", SPEAKER, session=ids[0])
    for secret in (SPEAKER, SPEAKER.lower()):
        assert secret.encode() in all_bytes(tmp_path)
    assert main(["erase", "--speaker", SPEAKER.upper()]) == 0
    said = capsys.readouterr().out
    assert f"gone  {mine / 'captions0'}" in said
    assert "gone  voice zeb" in said
    left = all_bytes(tmp_path)
    for secret in (SPEAKER, SPEAKER.lower(), "session 0"):
        assert secret.encode() not in left
    assert b"Otto said this in session 1" in left
    assert [kept.session for kept in ledger.sessions()] == [ids[1]]
    assert VoiceStore().names() == ["otto"]
    assert [entry.action for entry in Audit().entries(SPEAKER)] == ["enrolled", "used", "erased"]
    assert main(["erase", "--speaker", SPEAKER]) == 2
    assert "nothing of it" in capsys.readouterr().err


def test_a_session_of_the_program_is_listed_with_all_it_wrote_and_erased_by_its_id(translate, in_folder, data, capsys):  # noqa: F811
    outputs = ["--out", "a.wav", "--captions", "c.vtt", "--transcript", "t.txt", "--events", "e.jsonl", "--record", "rec"]
    before = all_bytes(in_folder)
    code, out, _ = translate(*outputs)
    assert code == 0
    assert main(["erase", "--list"]) == 0
    listed = capsys.readouterr().out
    written_files = {path.name for path in in_folder.rglob("*") if path.is_file() and data not in path.parents}
    written_files -= {"talk.wav", "scripted.yaml"}
    assert written_files == {"a.wav", "c.vtt", "t.txt", "e.jsonl", "original.wav", "translated.wav"}
    assert all(name in listed for name in written_files)
    assert main(["erase", "--session", listed.split()[0]]) == 0
    said = capsys.readouterr().out
    assert said.count("gone") == len(written_files)
    assert b"WORD1" not in all_bytes(in_folder).replace(before, b"")
    assert not (in_folder / "rec").exists()
    assert Ledger().sessions() == []


def test_all_of_a_broadcast_is_erased_and_nothing_beside_it(translate, in_folder, data, capsys):  # noqa: F811
    make_film(in_folder / "talk.mp4", np.tile(SOUND, 2), RATE)
    code, _, _ = translate("--out", "show/live.m3u8", "--delay", "1", "--captions", "c.vtt", files=("talk.mp4",))
    assert code == 0
    made = {path.name for path in Path("show").iterdir()}
    assert {"live.m3u8", "live_picture.m3u8", "live_captions-es_vtt.m3u8", "live_es_init.mp4"} < made
    assert {Path(name).suffix for name in made} == {".m3u8", ".m4s", ".mp4", ".vtt"}
    others = {"live_notes.vtt", "live_2.m3u8", "live_2_17.m4s", "lively_17.m4s", "other.m3u8"}
    for name in others:
        written(Path("show"), name, "theirs")
    assert main(["erase", "--session", Ledger().sessions()[0].session]) == 0
    assert capsys.readouterr().out.count("gone") == len(made) + 1
    assert {path.name for path in Path("show").iterdir()} == others
    assert Ledger().sessions() == []


def test_a_file_that_a_later_session_wrote_belongs_to_that_one(tmp_path):
    ledger, file = Ledger(), written(tmp_path, "talk.vtt", "old")
    ledger.add(kept_session("sess_1", [file], [], [], None))
    file.write_text("new")
    ledger.add(kept_session("sess_2", [file], [], [], None))
    assert [kept.session for kept in ledger.sessions()] == ["sess_2"]
    assert erase(Selection("sess_1"), ledger, [], Audit()).gone == []
    assert file.read_text() == "new"


def test_another_file_of_the_name_is_left_and_told(tmp_path, data, capsys):
    ledger, file = Ledger(), written(tmp_path, "talk.vtt", "ours")
    kept = kept_session("sess_1", [file], [], [], None)
    ledger.add(replace(kept, files=tuple(replace(one, inode=file.stat().st_ino) for one in kept.files)))
    written(tmp_path, "other", "theirs").replace(file)
    assert main(["erase", "--session", "sess_1"]) == 3
    assert "LEFT" in capsys.readouterr().out
    assert file.read_text() == "theirs"


def test_what_cannot_be_erased_stays_on_the_list_and_is_told(tmp_path, monkeypatch):
    ledger, file = Ledger(), written(tmp_path, "talk.vtt", "ours")
    ledger.add(kept_session("sess_1", [file], [], ["Ana"], None))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    done = erase(Selection(speaker="ana"), ledger, [], Audit())
    assert (done.gone, len(done.left)) == ([], 1)
    monkeypatch.undo()
    assert file.read_text() == "", "what was in it is gone all the same"
    monkeypatch.setenv("TRANSLATE_LIVE_DATA", str(tmp_path / "data"))
    assert [one.path for one in ledger.sessions()[0].files] == [str(file)]


def test_where_the_bus_cannot_be_reached_nothing_is_erased_so_that_it_can_be_again(tmp_path, capsys):
    file = written(tmp_path, "talk.vtt", "text")
    Ledger().add(kept_session("sess_1", [file], [], [], None))
    assert main(["erase", "--session", "sess_1", "--bus", "redis://127.0.0.1:9"]) == 5
    assert "the bus cannot be erased" in capsys.readouterr().err
    assert file.read_text() == "text"
    assert [kept.session for kept in Ledger().sessions()] == ["sess_1"]


@pytest.mark.parametrize("broken", ["iterdir", "rmdir"])
def test_a_folder_that_cannot_be_removed_is_told(tmp_path, monkeypatch, broken):
    ledger, folder = Ledger(), tmp_path / "rec"
    folder.mkdir()
    ledger.add(kept_session("sess_1", [], [written(folder, "original.wav", "sound")], [], None))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, broken, refuse)
    done = erase(Selection("sess_1"), ledger, [], Audit())
    assert (len(done.gone), len(done.left)) == (1, 1)


def test_a_list_that_cannot_be_shortened_is_told_with_what_is_gone(tmp_path, monkeypatch):
    ledger, file = Ledger(), written(tmp_path, "talk.vtt", "text")
    ledger.add(kept_session("sess_1", [file], [], [], None))
    unlink = Path.unlink

    def refuse(path: Path, **options: bool) -> None:
        if path.suffix == ".json":
            raise PermissionError(13, "Permission denied")
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refuse)
    done = erase(Selection("sess_1"), ledger, [], Audit())
    assert (len(done.gone), len(done.left)) == (1, 1)
    assert "sess_1.json" in done.left[0]


def test_recordings_go_when_their_time_is_over_and_other_files_stay(tmp_path):
    ledger = Ledger()
    recorded = written(tmp_path, "original.wav", "sound")
    captions = written(tmp_path, "talk.vtt", "text")
    ledger.add(kept_session("sess_1", [captions], [recorded], [], 7))
    ledger.add(kept_session("sess_2", [], [written(tmp_path, "for ever.wav", "x")], [], None))
    soon, late = datetime.now(UTC) + timedelta(days=6.9), datetime.now(UTC) + timedelta(days=7.1)
    assert sweep(ledger, lambda: soon).gone == []
    assert sweep(ledger, lambda: late).gone == [f"{recorded} (5 bytes)"]
    assert (recorded.exists(), captions.exists(), (tmp_path / "for ever.wav").exists()) == (False, True, True)
    assert sweep(ledger, lambda: late).gone == []


def test_the_next_session_deletes_a_recording_that_is_over(translate, in_folder):  # noqa: F811
    old = written(in_folder, "old.wav", "sound")
    Ledger().add(replace(kept_session("sess_1", [], [old], [], 1), recorded_until="2020-01-01T00:00:00+00:00"))
    code, _, err = translate()
    assert code == 0
    assert f"retention: deleted {old}" in err
    assert not old.exists()


def test_before_a_date_all_of_it_goes(tmp_path, capsys):
    ledger = Ledger()
    for session, began in (("sess_1", "2025-03-01T10:00:00+00:00"), ("sess_2", "2025-05-01T10:00:00+00:00")):
        ledger.add(replace(kept_session(session, [written(tmp_path, session, "x")], [], [], None), began=began))
    assert main(["erase", "--before", "2025-04-01"]) == 0
    assert [kept.session for kept in ledger.sessions()] == ["sess_2"]
    assert main(["erase", "--before", "April"]) == 2
    assert main(["erase", "--bus", "redis://127.0.0.1:9"]) == 2
    assert main(["erase", "--speaker", " "]) == 2
    assert "--speaker is empty" in capsys.readouterr().err


def test_the_list_and_the_audit_are_their_owners_alone_and_the_audit_holds_no_name(tmp_path, data):
    Ledger().add(kept_session("sess_1", [tmp_path / "x"], [], [SPEAKER], None))
    Audit().note("enrolled", SPEAKER, actor="key-1")
    for path in data.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    text = Audit().path.read_text()
    assert SPEAKER.casefold() not in text.casefold()
    (entry,) = Audit().entries(SPEAKER.lower())
    assert (entry.action, entry.actor) == ("enrolled", "key-1")
    assert list(Audit().entries("Otto")) == []
    assert json.loads(text)["subject"] != Audit(tmp_path / "elsewhere").subject(SPEAKER), "the hash has a key"


def test_the_store_of_a_key_lies_where_its_id_cannot_lead_it(data):
    for key in ("studio", "../../etc", "a/b", ".", "", "x" * 100):
        store = key_store(key)
        assert store.folder.resolve().parent.parent == (data / "keys").resolve()
    assert key_store("a/b").folder != key_store("a.b").folder
    enrolled(key_store("../x"), "ana", "Ana")
    assert [store.names() for store in key_stores()] == [["ana"]]


@pytest.mark.parametrize("chosen", [Selection("sess_1"), Selection(speaker="LUIS")])
async def test_entries_of_the_bus_are_erased_with_all_of_their_session(redis, chosen):  # noqa: F811
    for session in ("sess_1", "sess_2"):
        async with Publisher(RedisStream(redis.url), str).running() as publisher:
            sink = BusSink([publisher], session, text=True)
            await sink.put(UNIT if session == "sess_1" else replace(UNIT, speaker="Otto"))
            await sink.close()
    done = Erased()
    await erase_bus(redis.url, chosen, [], done)
    assert done.gone == ["3 entries of the bus"]
    assert {record["session"] for record in await entries(redis)} == {"sess_2"}
    await erase_bus(redis.url, Selection(before=datetime.now(UTC) + timedelta(days=1)), [], done)
    assert await entries(redis) == []
    assert KINDS


async def test_entries_of_a_participant_are_erased_also_where_speakers_are_told_apart(redis):  # noqa: F811
    for name in ("Eva", "Bo"):
        async with Publisher(RedisStream(redis.url), str).running() as publisher:
            sink = BusSink([publisher], f"sess_{name}", text=True, room="tea", participant=name)
            await sink.put(replace(UNIT, speaker="Speaker 1"))
            await sink.close()
    done = Erased()
    await erase_bus(redis.url, Selection(speaker="eva"), [], done)
    left = await entries(redis)
    assert {(record["session"], record["participant"], record["room"]) for record in left} == {("sess_Bo", "Bo", "tea")}
    assert "Eva" not in json.dumps(left)


async def test_entries_of_a_key_go_when_its_time_is_over_and_no_others(redis, monkeypatch):  # noqa: F811
    import time

    monkeypatch.setattr("pipeline.privacy.erasure.PAGE", 2)
    async with Publisher(RedisStream(redis.url), str).running() as publisher:
        for key in ("short", "long", "none"):
            sink = BusSink([publisher], f"sess_{key}", text=True, key=key)
            await sink.put(UNIT)
            await sink.close()
    days = {"short": 1.0, "long": 30.0}
    assert await sweep_bus(redis.url, days) == 0
    assert await sweep_bus(redis.url, days, lambda: time.time() + 2 * 86_400) == 3
    assert {record["key"] for record in await entries(redis)} == {"long", "none"}
    assert await sweep_bus(redis.url, days, lambda: time.time() + 31 * 86_400) == 3
    assert {record["key"] for record in await entries(redis)} == {"none"}
    await redis.kill()
    with pytest.raises(NetworkError, match="cannot be erased"):
        await sweep_bus(redis.url, days)


async def test_what_another_program_put_into_the_stream_is_left_alone_and_stops_nothing(redis):  # noqa: F811
    async with Publisher(RedisStream(redis.url), str).running() as publisher:
        sink = BusSink([publisher], "sess_1", text=True, key="k")
        await sink.put(UNIT)
        await sink.close()
    connection = client(redis.url)
    foreign = [b"no json", b"\xff", b"[]", b"7", b"null", b'{"session": "sess_1"}', b'{"session": [], "unix_ns": 1}']
    for fields in ({"note": b"hello"}, *({"record": one} for one in (*foreign, b"[" * 99_999))):
        await connection.xadd(STREAM, fields, maxlen=1000)
    await connection.aclose()
    assert await sweep_bus(redis.url, {"k": 1.0}, lambda: datetime.now().timestamp() + 2 * 86_400) == 3
    for chosen in (Selection("sess_1"), Selection(speaker="luis"), Selection(before=datetime.now(UTC) + timedelta(days=1))):
        done = Erased()
        await erase_bus(redis.url, chosen, [], done)
        assert done.gone == []


async def test_a_sweep_that_fails_is_told_and_made_again_in_an_hour(monkeypatch, caplog):
    swept = asyncio.Semaphore(0)

    async def broken(*_):
        swept.release()
        raise KeyError(SPEAKER)

    monkeypatch.setattr("pipeline.server.process.sweep_bus", broken)
    monkeypatch.setattr("pipeline.server.process.SWEPT_S", 0)
    sweeping = asyncio.create_task(
        _swept(ServerOptions(keys=(Key("k", retention_days=1),), sharing=Sharing(bus="redis://x")))
    )
    async with asyncio.timeout(30):
        for _ in range(3):
            await swept.acquire()
    sweeping.cancel()
    assert "retention failed: KeyError" in caplog.text
    assert SPEAKER not in caplog.text


async def test_the_log_of_a_server_tells_how_many_files_went_and_not_their_names(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    file = tmp_path / SPEAKER / "sess_1.wav"
    file.parent.mkdir()
    file.write_bytes(b"sound")
    Ledger().add(replace(kept_session("sess_1", [], [file], [SPEAKER], 0), recorded_until="2000-01-01"))
    sweeping = asyncio.create_task(_swept(ServerOptions()))
    async with asyncio.timeout(30):
        while "erased=1" not in caplog.text:  # noqa: ASYNC110 - of a log
            await asyncio.sleep(0.01)
    sweeping.cancel()
    assert not file.exists()
    assert SPEAKER not in caplog.text


def test_a_list_that_cannot_be_written_costs_nobody_his_captions_and_is_told(translate, in_folder, data):  # noqa: F811
    data.write_text("a file where the folder would be")
    code, _, err = translate("--captions", "c.vtt")
    assert code == 0
    assert "WORD1" in (in_folder / "c.vtt").read_text()
    assert "cannot be found by erase" in err


def test_a_log_holds_no_word_of_what_was_said_or_sent(translate, in_folder, monkeypatch):  # noqa: F811
    import logging

    monkeypatch.setenv("TRANSLATE_LIVE_WEBHOOK_SECRET", "sixteen bytes or more")
    monkeypatch.setattr("pipeline.sinks.bus.CLOSE_S", 0.1)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        code, out, _ = translate("--log-file", "log", "--webhook", "http://127.0.0.1:9/hook?token=secret")
    finally:
        root.handlers, root.level = handlers, level
    log = (in_folder / "log").read_text()
    assert (code, "WORD1" in out) == (0, True)
    assert log
    for secret in ("word1", "token=secret", "sixteen"):
        assert secret not in log.lower()
