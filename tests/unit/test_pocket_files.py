"""Files of Pocket TTS: what a machine has and lacks, and the download at pinned revisions. The package is not needed."""

import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import httpx
import pytest
import yaml
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

from models import model_files
from models.tts.pocket import Pocket, files
from models.tts.pocket.files import CONFIGS, FETCHED, GATED, PUBLIC, VOICES_REVISION, fetch_language, find_language
from models.tts.pocket.synthesizer import PocketSynthesizer
from pipeline.contracts import FetchOptions, Voice
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, NetworkError, Refused
from pipeline.lane import Lane
from pipeline.profiles.profile import load_profile
from pipeline.speech_facts import SpeechFacts

CONFIG = {
    "weights_path": f"hf://{GATED}/languages/spanish/model.safetensors@{'a' * 40}",
    "weights_path_without_voice_cloning": f"hf://{PUBLIC}/languages/spanish/model.safetensors@{'b' * 40}",
    "flow_lm": {"lookup_table": {"tokenizer_path": f"hf://{PUBLIC}/languages/spanish/tokenizer.json@{'c' * 40}"}},
    "mimi": {"sample_rate": 24_000},
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and a package with the configuration of Spanish alone."""
    package = tmp_path / "pocket_tts"
    (package / "config").mkdir(parents=True)
    (package / "config" / "spanish.yaml").write_text(yaml.safe_dump(CONFIG))
    spec = ModuleSpec("pocket_tts", None, is_package=True)
    spec.submodule_search_locations = [str(package)]
    for module in (files, model_files):
        monkeypatch.setattr(module, "find_spec", lambda name: spec)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def hub(cache, monkeypatch):
    """A hub that puts what is asked for into the cache; ``refused`` are errors by repository."""
    asked, refused = [], {}

    def download(repository: str, path: str, revision: str) -> None:
        asked.append((repository, path, revision))
        if repository in refused:
            raise refused[repository]
        put(cache, repository, path, revision)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return asked, refused


def put(cache, repository: str, path: str, revision: str) -> None:
    place = cache / f"models--{repository.replace('/', '--')}" / "snapshots" / revision / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"x")


def answer(kind: type[HfHubHTTPError], status: int) -> HfHubHTTPError:
    return kind("no", response=httpx.Response(status, request=httpx.Request("GET", "https://hub.example")))


def test_a_machine_without_the_package_is_told_what_brings_it(monkeypatch):
    for module in (files, model_files):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    (lack,) = Pocket().missing()
    assert "pocket_tts" in lack.what
    assert lack.fix == "pip install 'translate-live[pocket]'"
    with pytest.raises(ModelError, match="pocket-tts is not installed"):
        fetch_language("es", lambda *_: None)
    assert find_language("es", "") is None


def test_a_package_without_a_language_is_told(cache):
    with pytest.raises(ModelError, match="has no model for nl"):
        fetch_language("nl", lambda *_: None)


async def test_loading_without_files_says_what_to_fetch(cache):
    with pytest.raises(ModelError, match="any language .*220 MB") as caught:
        async with Pocket().load():
            pass
    assert caught.value.hint == FETCH_MODELS
    spanish, french = Pocket(speaks=("es", "fr")).missing()
    assert "for es" in spanish.what
    assert "for fr" in french.what
    assert french.fetchable


async def test_a_language_that_is_none_is_told_with_the_nearest(cache):
    with pytest.raises(BadInput, match="no 'eo'.*valid: de, en, es"):
        async with Pocket(speaks=("eo",)).load():
            pass


def test_everything_is_fetched_at_the_revisions_that_are_pinned(cache, hub):
    asked, _ = hub
    told = []
    Pocket().fetch(FetchOptions(targets=("es", "hi")), lambda what, share: told.append(share))
    voices = {f"languages/spanish/embeddings/{name}.safetensors" for name in ("lola", *FETCHED)}
    assert {(repository, path, revision) for repository, path, revision in asked} == {
        (GATED, "languages/spanish/model.safetensors", "a" * 40),
        (PUBLIC, "languages/spanish/tokenizer.json", "c" * 40),
        *((PUBLIC, path, VOICES_REVISION) for path in voices),
    }
    assert told == sorted(told)
    assert told[-1] == 1.0
    found = find_language("es", "")
    assert found is not None
    assert found.clones
    assert Pocket().describe("es") == SpeechFacts("CC-BY-4.0", cloned=True, voice="lola")
    assert next(iter(found.voices)) == "lola"
    assert found.config["flow_lm"]["lookup_table"]["tokenizer_path"].startswith(str(cache))
    assert Pocket(speaks=("es",)).missing() == []
    assert Pocket().missing_for("es") == []
    (lack,) = Pocket().missing_for("fr")
    assert "for fr" in lack.what
    assert lack.fix == f"{FETCH_MODELS} for the language fr"
    asked.clear()
    Pocket(speaks=("es",)).pull(lambda *_: None)
    assert asked == []


def test_without_leave_the_open_weights_come_and_it_is_told_how_to_get_the_others(hub):
    asked, refused = hub
    refused[GATED] = answer(GatedRepoError, 403)
    told = []
    fetch_language("es", lambda what, share: told.append(what))
    assert any("accept them at https://huggingface.co/kyutai/pocket-tts," in what for what in told)
    found = find_language("es", "")
    assert found is not None
    assert not found.clones
    assert not Pocket().describe("es").cloned
    assert "b" * 40 in found.config["weights_path"]
    spanish = Pocket(speaks=("es",))
    with pytest.raises(Refused, match="cannot clone a voice.*accepted its terms") as caught:
        spanish.check_cloning()
    assert "hf auth login" in caught.value.hint
    assert FETCH_MODELS in caught.value.hint
    refused.clear()
    spanish.pull(lambda *_: None)
    spanish.check_cloning()


def test_a_connection_that_fails_is_a_network_error_and_no_reason_for_other_weights(hub):
    asked, refused = hub
    refused[GATED] = answer(HfHubHTTPError, 503)
    with pytest.raises(NetworkError, match="failed"):
        fetch_language("es", lambda *_: None)
    assert (PUBLIC, "languages/spanish/model.safetensors", "b" * 40) not in asked


@pytest.mark.parametrize("source", ["packages", "/media/disk"])
def test_another_source_than_the_hub_is_not_asked_for(hub, source):
    Pocket(speaks=("es",)).fetch(FetchOptions(source=source), lambda *_: None)
    assert hub[0] == []


def test_a_download_that_was_broken_off_is_not_taken_for_a_model(cache):
    put(cache, GATED, "languages/spanish/model.safetensors", "a" * 40)
    assert find_language("es", "") is None
    put(cache, PUBLIC, "languages/spanish/tokenizer.json", "d" * 40)
    assert find_language("es", "") is None, "of another revision"
    put(cache, PUBLIC, "languages/spanish/tokenizer.json", "c" * 40)
    assert find_language("es", "") is not None


@pytest.mark.parametrize("text", ["a: [", "just a text", "\x80"])
def test_a_folder_whose_configuration_is_broken_is_told(tmp_path, cache, text):
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "config.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"config\.yaml"):
        Pocket(folder=str(tmp_path)).missing()


def test_a_folder_of_ones_own_without_its_files_is_told_where_they_go(tmp_path, cache):
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "config.yaml").write_text(yaml.safe_dump({"weights_path": "model.safetensors"}))
    (lack,) = Pocket(folder=str(tmp_path), speaks=("es",)).missing()
    assert str(tmp_path / "es") in lack.what
    assert "config.yaml" in lack.fix
    assert not lack.fetchable


async def test_a_language_that_was_not_fetched_is_told_apart_from_one_that_is_not_spoken():
    with Lane("speak") as lane:
        synthesizer = PocketSynthesizer(lane, lane, {}, frozenset(CONFIGS), 1)
        with pytest.raises(ModelError, match="for fr was on this machine"):
            async with synthesizer.open(None, "fr-CA"):
                pass
        with pytest.raises(Refused, match="does not speak 'hi'"):
            async with synthesizer.open(Voice("alba"), "hi"):
                pass


def test_the_example_of_the_documentation_is_a_profile_that_speaks_what_was_fetched(tmp_path, hub, monkeypatch):
    fetch_language("es", lambda *_: None)
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    monkeypatch.setattr("models.tts.kokoro.Kokoro.missing", lambda self: [])
    (tmp_path / "kokoro/voices").mkdir(parents=True)
    for voice in ("ff_siwis", "hf_alpha"):  # French and Hindi
        (tmp_path / f"kokoro/voices/{voice}.bin").touch()
    (example,) = re.findall(r"```yaml\n(.*?)```", (Path(__file__).parents[2] / "docs" / "pocket.md").read_text(), re.DOTALL)
    (tmp_path / "pocket.yaml").write_text(example)
    backends = load_profile("cpu", tmp_path / "pocket.yaml").backends
    assert isinstance(backends.synthesizer, Pocket)
    assert {language: backends.synthesizer_for(language) for language in ("es", "fr", "hi", "ru")} == {
        "es": "synthesizer", "fr": "second_synthesizer", "hi": "second_synthesizer", "ru": "fallback_synthesizer",
    }  # fmt: skip
