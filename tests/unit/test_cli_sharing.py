"""Sharing of a translation: the schema of events, on a bus that may be there or not, and only where it was asked to."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.cli import main
from tests.unit.test_cli_translate import config, in_folder, talk, translate  # noqa: F401 - fixtures

SECRET = "sixteen bytes or more"


@pytest.fixture
def hook(monkeypatch):
    """An address that takes posts, and their records."""
    records: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            records.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["records"])
            self.send_response(204)
            self.end_headers()

    monkeypatch.setenv("TRANSLATE_LIVE_WEBHOOK_SECRET", SECRET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", records
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_translation_is_published_as_it_is_shown(translate, hook):  # noqa: F811
    url, records = hook
    code, out, err = translate("--webhook", url)
    assert code == 0
    units = [record["text"].strip() for record in records if record["event"] == "ReadingUnit"]
    assert [unit for unit in units if unit] == out.splitlines()
    assert (records[0]["event"], records[-1]["event"]) == ("session", "end")
    assert (records[0]["to"], records[0]["spoken"]) == (["es"], None)
    assert len({record["session"] for record in records}) == 1
    assert [record["number"] for record in records] == list(range(len(records)))
    assert "bus" not in err


@pytest.mark.parametrize("option", ["--bus", "--webhook"])
def test_a_bus_that_is_not_there_changes_no_word_and_is_told(translate, monkeypatch, option):  # noqa: F811
    monkeypatch.setenv("TRANSLATE_LIVE_WEBHOOK_SECRET", SECRET)
    monkeypatch.setattr("pipeline.sinks.bus.CLOSE_S", 0.2)
    code, plain, _ = translate()
    url = {"--bus": "redis://127.0.0.1:9", "--webhook": "http://127.0.0.1:9/hook"}[option]
    code, out, err = translate(option, url)
    assert (code, out) == (0, plain)
    assert "events were not delivered" in err
    assert url in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--bus", "localhost"), "no address of Redis"),
        (("--webhook", "http://crm.example/x"), "in the clear"),
        (("--webhook", "nonsense"), "error: nonsense is no address of a webhook"),
        (("--webhook", "https://[::1"), "https://[::1 is no address"),
        (("--webhook", "https://crm.example:99999/x"), "is no address"),
        (("--webhook", "https://crm.example/x"), "a webhook is signed"),
        (("--retention-days", "3"), "does nothing"),
        (("--retention-days", "0", "--bus", "redis://h"), "--retention-days cannot be 0"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_is_loaded(translate, in_folder, options, said):  # noqa: F811
    code, out, err = translate(*options)
    assert (code, out) == (2, "")
    assert said in err
    assert sorted(path.name for path in in_folder.iterdir()) == ["scripted.yaml", "talk.wav"]


def test_without_options_a_session_writes_nothing_anywhere(translate, in_folder, monkeypatch):  # noqa: F811
    """Nothing is kept by default: neither here, nor in the folders of the user's data, settings, caches and state."""
    home = in_folder / "home"
    home.mkdir()
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.delenv("TRANSLATE_LIVE_DATA", raising=False)
    code, out, _ = translate()
    assert (code, bool(out)) == (0, True)
    assert list(home.rglob("*")) == []
    assert sorted(path.name for path in in_folder.iterdir()) == ["home", "scripted.yaml", "talk.wav"]


@pytest.mark.parametrize("names", [("", "Ana"), ("tea", " ")])
def test_a_room_without_a_name_is_refused_rather_than_a_session_alone(names, capsys):
    words = ["--mic", "--to", "es", "--server", "ws://127.0.0.1:9", "--room", names[0], "--as", names[1]]
    assert main(words) == 2
    assert "need a name each" in capsys.readouterr().err


def test_a_server_says_what_it_would_publish_before_it_loads(capsys):
    assert main(["serve", "--bus", "amqp://h"]) == 2
    assert "no address of Redis" in capsys.readouterr().err


def test_a_server_that_could_not_record_says_so_before_it_loads(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    assert main(["serve", "--record", str(tmp_path / "file" / "rec")]) == 3
    assert "cannot write" in capsys.readouterr().err
    monkeypatch.setenv("TRANSLATE_LIVE_STORE_KEY", "no key")
    assert main(["serve", "--record", str(tmp_path / "rec")]) == 2
    assert "is not the base64 of 32 bytes" in capsys.readouterr().err
    assert not (tmp_path / "rec").exists()


def test_personal_data_is_left_out_of_every_export_and_the_bus_and_what_is_heard_and_seen_has_it(
    translate,  # noqa: F811
    hook,
    in_folder,  # noqa: F811
):
    url, records = hook
    names = in_folder / "names.txt"
    names.write_text("word2 word3\nWORD7\n")
    files = [in_folder / name for name in ("c.vtt", "t.txt", "e.jsonl")]
    outputs = ["--captions", files[0], "--captions-language", "both", "--transcript", files[1], "--events", files[2]]
    code, plain, _ = translate()
    code, out, _ = translate(*outputs, "--redact-names", names, "--webhook", url)
    assert (code, out) == (0, plain), "the listener's own text is as it was"
    written = [file.read_text().lower() for file in files] + [json.dumps(records).lower()]
    for text in written:
        assert "[name]" in text
        assert not any(secret in text for secret in ("word2", "word3", "word7"))
        assert "word1" in text
        assert "word4" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--redact", "fone"), "did you mean 'phone'"),
        (("--redact-speech",), "does nothing without --redact"),
        (("--redact-names", "none.txt"), "cannot read the names"),
    ],
)
def test_a_wrong_redaction_is_refused(translate, in_folder, options, said):  # noqa: F811
    code, _, err = translate(*options)
    assert code == 2
    assert said in err


def test_what_is_not_to_be_spoken_is_a_pause_and_only_if_that_was_asked_for(translate, in_folder, monkeypatch):  # noqa: F811
    from tests import scripted

    spoken: list[str] = []
    say = scripted._Stream.say

    def listening(self, unit, text):
        spoken.append(unit.text)
        return say(self, unit, text)

    monkeypatch.setattr(scripted._Stream, "say", listening)
    names = in_folder / "names.txt"
    names.write_text("WORD2\n")
    translate("--out", in_folder / "a.wav", "--redact-names", names)
    assert "WORD2" in " ".join(spoken)
    spoken.clear()
    code, out, _ = translate("--out", in_folder / "a.wav", "--redact-names", names, "--redact-speech")
    assert code == 0
    assert "WORD2" not in " ".join(spoken)
    assert "…" in " ".join(spoken)
    assert "WORD2" in out
