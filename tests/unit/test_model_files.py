"""The table of model files, and finding them on this machine."""

import hashlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from models import model_files
from models.model_files import FOLDER_VARIABLE, ModelFile, find, missing, models_folder, table
from models.tts.kokoro import Kokoro
from pipeline.errors import FETCH_MODELS, BadInput
from pipeline.profiles.profile import load_profile
from pipeline.request import _instead
from tests.weights import needs

MODEL, PORTUGUESE, ENGLISH = (
    ModelFile("toy", path, 4, "0" * 64, "MIT") for path in ("model.bin", "voices/pf_dora.bin", "voices/af_heart.bin")
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(model_files, "table", lambda: {"toy": (MODEL, PORTUGUESE, ENGLISH)})
    return tmp_path / "translate-live" / "models"


def write(folder: Path, file: ModelFile, data: bytes = b"1234") -> None:
    path = folder / file.model / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_every_file_has_a_license_a_hash_and_a_source():
    files = [file for group in table().values() for file in group]
    assert {"whisper-base", "whisper-tiny.en", "bergamot-enpt", "bergamot-pten", "kokoro"} <= set(table())
    assert len({(file.model, file.path) for file in files}) == len(files)
    for file in files:
        voice = file.model == "piper"
        assert re.fullmatch("md5:[0-9a-f]{32}" if voice else "[0-9a-f]{64}", file.digest)
        assert file.license in (RECORDINGS if voice else {"MIT", "MPL-2.0", "Apache-2.0"})
        assert file.hub or file.packages
        assert re.fullmatch(r"|[\w-]+/[\w.-]+@[0-9a-f]{40}/.+|https://[\w./-]+/releases/download/.+", file.hub)
        assert file.hub or file.model != "kokoro", "its graph is on no hub, but where it was released"
        assert all(re.fullmatch(r"(npm:[\w-]+@|[\w-]+==)[\d.]+/.+", piece) for piece in file.packages)


RECORDINGS = {"public domain", "CC0 1.0", "CC BY 4.0", "CC BY-SA 4.0", "CC BY-SA 3.0 ES"}


def test_a_language_needs_the_files_of_its_own_piper_voice_only():
    def needed(*wanted: str) -> set[str]:
        return {file.path for file in table()["piper"] if file.needed(wanted)}

    assert needed("en") == {"en_US-ljspeech-medium.onnx", "en_US-ljspeech-medium.onnx.json"}
    assert needed("en_US-norman-medium") == {"en_US-norman-medium.onnx", "en_US-norman-medium.onnx.json"}
    assert needed("xx") == needed() == set()
    assert len(needed("de", "sv")) == 4


def test_every_voice_has_a_language():
    voices = [file for file in table()["kokoro"] if file.path.startswith("voices/")]
    assert len(voices) == 54
    assert {file.path for file in voices if file.needed({"pt"})} == {f"voices/{name}.bin" for name in PORTUGUESE_VOICES}
    assert not any(file.needed({"de"}) for file in voices)


PORTUGUESE_VOICES = ("pf_dora", "pm_alex", "pm_santa")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=needs(name))
        for name in ("whisper-base", "whisper-tiny.en", "bergamot-enpt", "bergamot-pten", "kokoro")
    ],
)
def test_the_table_tells_the_truth_about_trained_weights(name):
    for file in table()[name]:
        path = models_folder() / name / file.path
        assert path.stat().st_size == file.size
        with path.open("rb") as opened:
            assert hashlib.file_digest(opened, "sha256").hexdigest() == file.digest, file.path


def test_a_model_is_found_with_the_voices_that_are_asked_for(cache):
    assert find("toy") is None
    write(cache, MODEL)
    assert find("toy") == cache / "toy"
    assert find("toy", {"pt"}) is None
    write(cache, PORTUGUESE)
    assert find("toy", {"pt"}) == cache / "toy"
    assert find("toy", {"pt", "en"}) is None


def test_what_lacks_is_told_with_its_size_and_what_mends_it(cache):
    assert [item.what for item in missing("toy", {"en", "pt"})] == ["the model toy (1 MB)"]
    write(cache, MODEL)
    (item,) = missing("toy", {"en", "pt"})
    assert item.what == "voices/pf_dora.bin, voices/af_heart.bin of the model toy (1 MB)"
    assert item.fix == FETCH_MODELS
    assert not missing("toy")


@pytest.mark.parametrize("named", [None, "", "mine"])
def test_a_file_of_another_size_is_not_the_file(cache, tmp_path, monkeypatch, named):
    """Neither in the user's cache nor in a folder that is named; an empty name is none."""
    folder = tmp_path / named if named else cache
    if named is not None:
        monkeypatch.setenv(FOLDER_VARIABLE, str(folder) if named else "")
    assert models_folder() == folder
    for damaged in (b"123", b"12345", b""):
        write(folder, MODEL, damaged)
        assert find("toy") is None
    write(folder, MODEL)
    assert find("toy") == folder / "toy"


def test_an_unknown_model_is_told_with_the_nearest(cache):
    with pytest.raises(BadInput, match="did you mean 'toy'"):
        find("toys")


def test_finding_uses_no_network(cache, monkeypatch):
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("a socket"))
    assert find("toy") is None
    assert missing("toy")


def test_the_hub_library_is_told_to_send_nothing_about_us():
    code = "import models, huggingface_hub.constants as hub; print(hub.HF_HUB_DISABLE_TELEMETRY)"
    environment = {key: value for key, value in os.environ.items() if "TELEMETRY" not in key}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert said.stdout == "True\n"


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"en_US-joe-medium.onnx.json": "{}", "en_US-joe-medium.onnx": ""}, "holds voices of Piper"),
        ({"vocab.enpt.spm": ""}, "holds a translation model of Bergamot"),
        ({"config.json": '{"model_type": "qwen3_tts"}'}, "holds a checkpoint of qwen3_tts"),
        ({"config.json": "[]"}, "holds other files"),
        ({"voices/af_heart.bin": "", "kokoro-v1.0.onnx": ""}, "holds other files"),
        ({}, "is empty"),
        (None, "is no folder"),
    ],
)
def test_a_folder_of_ones_own_of_another_kind_is_told_and_what_is_expected(tmp_path, files, kind):
    folder = tmp_path / "mine"
    if files is not None:
        folder.mkdir()
    for name, text in (files or {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (missing,) = Kokoro(folder=str(folder)).missing()
    assert missing.what == f"Kokoro's model in {folder}, which {kind},"
    assert "model.onnx and voices/NAME.bin" in missing.fix
    assert not missing.fetchable


def test_a_session_whose_kokoro_folder_is_of_another_kind_says_so_and_advises_no_download(tmp_path):
    (tmp_path / "vocab.enpt.spm").touch()
    profile = load_profile("cpu", None, [f"synthesizer.folder={tmp_path}"])
    told = _instead(profile, "pt", "fallback_synthesizer", cloned=False)
    assert told.startswith(
        f"not found: Kokoro's model in {tmp_path}, which holds a translation model of Bergamot; Espeak will speak"
    )
    assert "expected: a folder with model.onnx and voices/NAME.bin" in told
    assert FETCH_MODELS not in told
