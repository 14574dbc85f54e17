"""Reasons why a model could not be fetched: one line of what the system said, not of what libraries wrapped around it."""

import errno
import logging
import os
import shutil
import threading
from functools import partial
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from models.downloads import folder_size, not_fetched
from models.hub import ANOTHER_DISK, HubFile, _snapshots, fetch_snapshot, newest_snapshot
from pipeline.errors import BadInput, ModelError, NetworkError


class Wrapping(OSError):
    """As urllib3's errors: what happened stands in ``reason``, and all of it once more in the text."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(f"HTTPSConnectionPool(host='hub'): Max retries exceeded (Caused by {reason!r})")
        self.reason = reason


def raised(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


LOST = OSError(errno.ECONNREFUSED, "Connection refused")


@pytest.mark.parametrize(
    "error",
    [
        Wrapping(Wrapping(LOST)),
        OSError(Wrapping(LOST), "(Request ID: 1)"),
        raised(ValueError("no such file on disk, and the connection failed"), Wrapping(LOST)),
    ],
)
def test_the_innermost_reason_is_told(error):
    told = not_fetched("team/tiny", error, ANOTHER_DISK)
    assert isinstance(told, NetworkError)
    assert f"{told}".startswith("the download of team/tiny failed: Connection refused; try: the same command again")


def test_the_hubs_library_does_not_log_each_failed_try(monkeypatch):
    logger, heard = logging.getLogger("huggingface_hub.utils._http"), []

    def refused(*_, **__):
        heard.append(logger.isEnabledFor(logging.WARNING))
        raise LOST

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refused)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refused)
    before = logger.getEffectiveLevel()
    snapshot = partial(fetch_snapshot, "team/tiny", ["*"], "config.json", lambda *_: None)
    for fetch in (snapshot, HubFile("team/tiny", "a", "main").fetch):
        with pytest.raises(NetworkError, match="Connection refused; "):
            fetch()
    assert (heard, logger.getEffectiveLevel()) == ([False, False], before)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_the_file_by_which_a_snapshot_counts_as_whole_comes_last(monkeypatch, weights):
    files = [SimpleNamespace(rfilename=name, size=2) for name in ("README.md", "config.json", weights, "vocab.json")]
    fetched, told = [], []
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: SimpleNamespace(siblings=files, sha="c0ffee"))
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda _, name, revision, **_kw: fetched.append((name, revision))
    )
    fetch_snapshot("team/tiny", ["*.json", "*.safetensors"], "config.json", lambda _, share: told.append(share))
    assert sorted(fetched) == sorted((name, "c0ffee") for name in ("config.json", weights, "vocab.json"))
    assert fetched[-1] == ("config.json", "c0ffee")
    assert told[-1] == 1.0


def test_the_newest_snapshot_is_the_one_that_was_linked_last_also_where_a_commit_did_not_change_a_file(tmp_path):
    repository = tmp_path / "models--team--tiny"
    (blob := repository / "blobs" / "c0ffee").parent.mkdir(parents=True)
    blob.write_text("{}")
    for commit, linked_s in (("b", 1), ("c", 3), ("a", 2)):
        link = repository / "snapshots" / commit / "config.json"
        link.parent.mkdir(parents=True)
        link.symlink_to(blob)
        os.utime(link, (linked_s, linked_s), follow_symlinks=False)
    assert newest_snapshot("team/tiny", "config.json", str(tmp_path)).name == "c"


def test_a_download_is_the_work_of_the_thread_that_asks_so_that_an_interruption_ends_it_there(monkeypatch, tmp_path):
    files = [SimpleNamespace(rfilename=name, size=2) for name in ("config.json", "model.bin", "pytorch_model.bin")]
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: SimpleNamespace(siblings=files, sha="c0ffee"))
    monkeypatch.setenv("HOME", str(tmp_path))
    shares, asked = SimpleQueue(), []

    def download(_, name, revision, cache_dir):
        asked.append((name, threading.current_thread(), cache_dir))
        blobs = tmp_path / "hub" / "models--team--tiny" / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        (blobs / f"{len(asked)}").write_bytes(b"1")
        while shares.get(timeout=60) != len(asked) / 4:  # it is told of while it lasts
            pass
        raise [RuntimeError("the connection was cut"), KeyboardInterrupt][len(asked) - 1]

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(KeyboardInterrupt):
        fetch_snapshot("team/tiny", ["*.json", "model.bin"], "x", lambda _, share: shares.put(share), cache="~/hub")
    assert asked == [("config.json", threading.current_thread(), tmp_path / "hub")] * 2


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"XDG_CACHE_HOME": "/cache"},
        {"XDG_CACHE_HOME": "/cache", "HF_HOME": "~/hf"},
        {"HF_HOME": "$HOME/hf", "HUGGINGFACE_HUB_CACHE": "/old"},
        {"HF_HOME": "/hf", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "~/$USER"},
    ],
)
def test_snapshots_are_looked_for_where_the_hubs_library_keeps_them(monkeypatch, settings):
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/ana", "USER": "ana", **settings}.items():
        monkeypatch.setenv(name, value)
    spec = find_spec("huggingface_hub.constants")
    constants = module_from_spec(spec)
    spec.loader.exec_module(constants)  # a copy, which reads the environment as it is now
    assert _snapshots("team/tiny") == Path(constants.HF_HUB_CACHE, "models--team--tiny", "snapshots")


def test_a_full_disk_is_no_fault_of_the_connection():
    told = not_fetched("team/tiny", OSError(errno.ENOSPC, "No space left on device"), ANOTHER_DISK)
    assert isinstance(told, ModelError)
    assert f"{told}" == f"cannot write the model team/tiny: No space left on device; try: {ANOTHER_DISK}"


def test_a_repository_that_is_not_there_is_a_wrong_name():
    from huggingface_hub.errors import RepositoryNotFoundError

    missing = RepositoryNotFoundError.__new__(RepositoryNotFoundError)
    assert isinstance(not_fetched("team/tiny", missing, ANOTHER_DISK), BadInput)


def test_errors_that_name_each_other_end():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert "failed: other" in f"{not_fetched('team/tiny', one, ANOTHER_DISK)}"


def test_what_vanishes_while_a_download_is_watched_counts_nothing(tmp_path, monkeypatch):
    (tmp_path / "kept").write_bytes(b"123")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked" / "part").write_bytes(b"12345")
    assert folder_size(tmp_path) == 8
    scan = os.scandir

    def vanishing(folder):
        if folder == str(tmp_path / "unpacked"):
            shutil.rmtree(folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", vanishing)
    assert folder_size(tmp_path) == 3
    assert folder_size(tmp_path / "nowhere") == 0
