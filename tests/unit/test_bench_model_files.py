"""The files of a profile's models are told with their hashes, and hashed once."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from benchmarks import model_files
from benchmarks.model_files import FINDERS, Hashes
from models.asr.whisper import FasterWhisper
from pipeline.contracts import Missing
from pipeline.profiles.backends import BackendChoice
from pipeline.profiles.profile import load_profile, profiles_folder

TOYS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "translate-live" / "model-hashes.json"


def toys():
    whisper = BackendChoice("models.asr.whisper:FasterWhisper", {"model": str(TOYS / "toy_whisper")})
    mt = BackendChoice("models.mt.causal_lm:CausalLM", {"model": str(TOYS / "toy_mt"), "languages": ["en>es"]})
    cpu = load_profile("cpu")
    return replace(cpu, stages={**cpu.stages, "recognizer": whisper, "translator": mt})


def test_each_file_has_its_name_size_and_hash():
    found = model_files.model_files(toys())
    for stage, folder in (("recognizer", "toy_whisper"), ("translator", "toy_mt")):
        files = {file["name"]: file for file in found[stage] if file["name"].startswith(folder)}
        on_disk = [path for path in (TOYS / folder).rglob("*") if path.is_file()]
        assert set(files) == {f"{folder}/{path.relative_to(TOYS / folder)}" for path in on_disk}
        for path in on_disk:
            file = files[f"{folder}/{path.relative_to(TOYS / folder)}"]
            assert file["bytes"] == path.stat().st_size
            assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert any("silero" in file["name"] for file in found["recognizer"])


def test_what_was_hashed_is_not_read_again_until_it_changes(tmp_path, cache, monkeypatch):
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    hashes = Hashes(cache)
    before = hashes.of(file)
    hashes.keep()
    with monkeypatch.context() as patched:
        patched.setattr(model_files, "_sha256", lambda path: pytest.fail("read again"))
        assert Hashes(cache).of(file) == before == hashlib.sha256(b"weights").hexdigest()
    file.write_bytes(b"other weights")
    assert Hashes(cache).of(file) == hashlib.sha256(b"other weights").hexdigest()
    cache.write_text("{broken")
    assert Hashes(cache).of(file) == hashlib.sha256(b"other weights").hexdigest()


def test_a_folder_of_many_files_is_one_entry_that_any_change_changes(tmp_path, cache):
    for index in range(model_files.MANY + 1):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"voice{index}").write_text(str(index))
    (before,) = model_files._listed("data", tmp_path / "data", Hashes(cache))
    assert before.name == "data/ (65 files)"
    (tmp_path / "data" / "voice7").write_text("another voice")
    (after,) = model_files._listed("data", tmp_path / "data", Hashes(cache))
    assert before.sha256 != after.sha256


def test_every_backend_of_a_profile_is_known_and_any_other_is_said_not_to_be():
    for file in profiles_folder().glob("*.yaml"):
        settings = yaml.safe_load(file.read_text())
        for stage in (one for part in (settings, *settings.get("by_cores", {}).values()) for one in part.values()):
            if isinstance(stage, dict) and "use" in stage:
                assert stage["use"] in FINDERS
    foreign = replace(toys(), stages={"recognizer": BackendChoice("my_package:Mine")})
    assert model_files.model_files(foreign)["recognizer"] is None


def test_what_is_missing_has_no_files_and_is_left_for_loading_to_tell(monkeypatch):
    monkeypatch.setattr(FasterWhisper, "missing", lambda self: [Missing("the model", "fetch the model files")])
    assert model_files.model_files(load_profile("cpu"))["recognizer"] is None
