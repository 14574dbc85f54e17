"""Refusals of what licenses, a checkpoint or a language do not allow, with what they do; broken files are told by name."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.omnivoice_checkpoint import write_checkpoint
from models.tts import checkpoint
from models.tts.omnivoice import OmniVoice
from pipeline.errors import BadInput, ModelError, Refused


async def load(folder, **settings):
    async with OmniVoice(accept_license=True, model=str(folder), device="cpu", sessions=1, steps=4, **settings).load():
        pass


async def test_nothing_is_fetched_or_loaded_without_consent_to_the_licenses(folder, monkeypatch):
    fetched = []
    monkeypatch.setattr(checkpoint, "fetch_snapshot", lambda *arguments: fetched.append(arguments))
    for model in (str(folder), "k2-fsa/OmniVoice"):
        unread = OmniVoice(model=model, device="cpu")
        (lack,) = unread.missing()
        assert not lack.fetchable
        assert "CC-BY-NC" in lack.what
        assert "Boson" in lack.what
        with pytest.raises(Refused, match="CC-BY-NC"):
            unread.pull(lambda *_: None)
        with pytest.raises(Refused, match="CC-BY-NC"):
            await unread.load().__aenter__()
    assert not fetched


def test_the_checkpoint_is_fetched_where_it_is_not_there(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    fetched = []
    monkeypatch.setattr(checkpoint, "fetch_snapshot", lambda model, *_: fetched.append(model))
    OmniVoice(accept_license=True).pull(lambda *_: None)
    OmniVoice(accept_license=True, model=str(folder)).pull(lambda *_: None)
    assert fetched == ["k2-fsa/OmniVoice"]
    assert [lack.what for lack in OmniVoice(accept_license=True).missing()] == ["the model k2-fsa/OmniVoice"]
    assert OmniVoice(accept_license=True, model=str(folder)).missing() == []


def test_no_profile_brings_it():
    from pipeline.profiles.profile import load_profile, profile_names

    for name in profile_names():
        assert not any("omnivoice" in stage.use for stage in load_profile(name).stages.values())


async def test_a_language_nobody_measured_is_told_and_spoken_if_asked_for(folder, backend):
    async with backend.load() as synthesizer:
        with pytest.raises(Refused, match="Corsican|co"):
            await synthesizer.open(None, "co").__aenter__()
        with pytest.raises(Refused, match="nobody has published how well"):
            await synthesizer.open(None, "br").__aenter__()
        async with synthesizer.open(None, "pt-BR"), synthesizer.open(None, "ar"):
            pass
    willing = OmniVoice(accept_license=True, model=str(folder), device="cpu", sessions=1, steps=4, unmeasured=True)
    assert backend.languages() < willing.languages()
    assert "br" in willing.languages() - backend.languages()
    async with willing.load() as synthesizer, synthesizer.open(None, "br"):
        pass


async def test_another_release_is_told(tmp_path):
    folder = write_checkpoint(tmp_path)
    path, inner = folder / "config.json", folder / "audio_tokenizer" / "config.json"
    config, audio = json.loads(path.read_text()), json.loads(inner.read_text())
    for file, broken, says in (
        (path, config | {"model_type": "omnivoice2"}, "model_type is 'omnivoice2'"),
        (path, {key: value for key, value in config.items() if key != "audio_mask_id"}, "no 'audio_mask_id'"),
        (path, config | {"audio_mask_id": 7}, "audio_mask_id is 7"),
        (path, config | {"num_audio_codebook": 9}, "different releases"),
        (inner, audio | {"model_type": "xcodec"}, "model_type is 'xcodec'"),
        (inner, audio | {"codebook_size": 512}, "different releases"),
    ):
        whole = file.read_text()
        file.write_text(json.dumps(broken))
        with pytest.raises(ModelError, match=says):
            await load(folder)
        file.write_text(whole)
    await load(folder)


async def test_a_missing_or_foreign_tokenizer_is_told(tmp_path):
    folder = write_checkpoint(tmp_path)
    path = folder / "tokenizer.json"
    whole = path.read_text()
    path.write_text(whole.replace("<|lang_start|>", "<|other|>"))
    with pytest.raises(ModelError, match="no tag <.lang_start.>"):
        await load(folder)
    path.write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        await load(folder)
    path.unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        await load(folder)


@pytest.mark.parametrize("inner", ["", "audio_tokenizer"])
async def test_a_broken_checkpoint_is_told_by_name(tmp_path, inner):
    folder = write_checkpoint(tmp_path)
    path = folder / inner / "model.safetensors"
    tensors = load_file(path)
    name = "audio_heads.weight" if not inner else "fc2.bias"
    save_file({key: value for key, value in tensors.items() if key != name}, path)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        await load(folder)
    save_file(tensors | {"surplus": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="surplus"):
        await load(folder)


def test_its_gpu_memory_is_reckoned_from_its_files(folder):
    reckoned = OmniVoice(accept_license=True, model=str(folder), device="cuda", dtype="bfloat16", sessions=3).gpu_memory()
    weights = next(size for what, size in reckoned.items() if what.startswith("weights"))
    files = [(folder / part / "model.safetensors").stat().st_size for part in ("", "audio_tokenizer")]
    assert weights == pytest.approx(files[0] / 2 + files[1], rel=0.02)  # float32 in the files; the tokenizer stays so
    assert OmniVoice(accept_license=True, model=str(folder), device="cpu").gpu_memory() == {}


async def test_settings_are_held_to_what_is_valid(folder):
    with pytest.raises(BadInput, match="steps must be 4 to 64"):
        async with OmniVoice(accept_license=True, model=str(folder), steps=1).load():
            pass
    with pytest.raises(Refused, match=r"did you mean 'low pitch'\?"):
        await load(folder, style="female, low pich")
    with pytest.raises(Refused, match="exclude each other"):
        await load(folder, style="male, female")
    await load(folder, style="Female, low pitch, british accent")


def test_the_runtime_needs_no_library_of_the_package(folder):
    import subprocess
    import sys

    code = (
        "import asyncio, sys\nfrom models.tts.omnivoice import OmniVoice\n"
        "async def main():\n"
        f"    async with OmniVoice(accept_license=True, model={str(folder)!r}, device='cpu', steps=4).load(): pass\n"
        "asyncio.run(main())\n"
        "assert not {'transformers', 'torchaudio', 'librosa', 'omnivoice', 'gradio'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
