"""The GPU memory that a profile needs: reckoned without one, told with its sources, compared with what is free."""

import subprocess
from dataclasses import fields, is_dataclass
from math import prod

import pytest
import torch

from benchmarks.tts_checkpoint import GEOMETRIES, SPECIAL, codec_config, model_config, write_checkpoint
from benchmarks.tts_tensors import codec_sizes, model_sizes
from models.asr.whisper import FasterWhisper
from models.model_files import count_elements
from models.mt.causal_lm import CausalLM
from models.mt.router import Router
from models.mt.seq2seq import Seq2Seq
from models.mt.steps.fixed_steps import FixedSteps, buckets
from models.tts.qwen3 import Qwen3TTS
from models.tts.qwen3.backend import estimated_memory
from models.tts.qwen3.loading import load_engine
from pipeline.doctor import gpu_memory as examined
from pipeline.errors import ModelError
from pipeline.profiles.gpu import ALLOWANCE, Gpu, NoGpu, gpus, need_of
from pipeline.profiles.profile import load_profile
from tests.mt_models import PIECES, random_model

SETTINGS = [f"synthesizer.{setting}" for setting in ("model=Qwen/Qwen3-TTS-12Hz-0.6B-Base", "sessions=1")]


@pytest.fixture
def driver(monkeypatch):
    """A driver that prints lines, or fails."""

    def install(printed: str, code: int = 0) -> None:
        monkeypatch.setattr("shutil.which", lambda _name: "nvidia-smi")
        done = subprocess.CompletedProcess([], code, printed, "")
        monkeypatch.setattr("subprocess.run", lambda *_, **__: done)

    return install


@pytest.fixture
def no_driver(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _name: None)


def test_a_machine_without_a_gpu_is_told_what_the_gpu_profile_needs(no_driver):
    finding = examined(load_profile("cpu"))
    assert (finding.well, finding.needed) == (True, False)
    assert finding.detail.startswith("profile cpu needs none; profile gpu needs about ")
    for part in ("large-v3-turbo", "hy-mt2-1.8b", "Qwen3-TTS-12Hz-1.7B-Base", "4 sessions", "not measured"):
        assert any(part in row for row in finding.rows)
    assert "no NVIDIA driver" not in finding.detail  # which the line about the GPU says
    sizes = [float(row.split(" GB ")[0]) for row in finding.rows if "when a language needs it" not in row]
    assert f"needs about {sum(sizes):.1f} GB" in finding.detail
    chosen = examined(load_profile("gpu"))
    assert (chosen.well, "needs none" in chosen.detail) == (False, False)


def test_what_is_free_is_compared_with_what_is_needed(driver):
    driver("NVIDIA H100 80GB HBM3, 550.54, 81559, 80000\n")
    assert examined(load_profile("gpu")).well
    driver("NVIDIA T4, 550.54, 15360, 9000\n")
    assert not examined(load_profile("gpu")).well
    assert examined(load_profile("gpu")).detail.endswith("; 9.4 GB are free")
    smaller = need_of(load_profile("gpu", None, SETTINGS).backends)
    assert ALLOWANCE < smaller.total < need_of(load_profile("gpu").backends).total


def test_the_profile_fits_the_card_that_its_file_asks_for(no_driver):
    need = need_of(load_profile("gpu").backends)
    assert 8e9 < need.total < 16e9
    assert set(need.later) == {
        "weights of lmt-60-1.7b, by its name",
        "weights of madlad-400-3b, by its name",
        "weights of VoxCPM2, from its published geometry",
        "caches of 4 sessions of VoxCPM2",
    }
    assert 20e9 < need.total + sum(need.later.values()) < 28e9
    assert need_of(load_profile("cpu").backends).total == 0


def test_drivers_tell_their_gpus_or_what_is_wrong(driver):
    driver("NVIDIA A100, PCIe, 550.54, 40960, 40000\nNVIDIA T4, 550.54, 15360, 1\n")
    assert gpus() == [
        Gpu("NVIDIA A100, PCIe", "550.54", 40960 << 20, 40000 << 20), Gpu("NVIDIA T4", "550.54", 15360 << 20, 1 << 20)
    ]  # fmt: skip
    for printed, code in (("couldn't communicate with the driver", 9), ("NVIDIA T4, 550.54, [N/A], [N/A]", 0)):
        driver(printed, code)
        with pytest.raises(NoGpu, match=printed.partition(",")[0]):
            gpus()


async def test_the_estimate_is_what_the_engine_allocates(tmp_path):
    folder = write_checkpoint(tmp_path, geometry="tiny-equal")
    sessions = 3
    expected = estimated_memory(str(folder), folder, sessions, 4)
    engine, _, encoder = load_engine(folder, "cpu", "float32", sessions, greedy=False)
    weights = [*tensors_in(engine.model), *tensors_in(engine.codec), *tensors_in(encoder)]
    caches = [*tensors_in(engine._rows), *tensors_in(engine._executor.loaded.streams)]
    taken = [sum({t.data_ptr(): t.nbytes for t in part}.values()) for part in (weights, caches)]
    assert list(expected.values()) == pytest.approx(taken, rel=0.15)


@pytest.mark.parametrize("kind", ["qwen3", "hunyuan"])
def test_the_estimate_is_what_recorded_translation_steps_keep(tmp_path, kind):
    model = random_model(kind, len(PIECES))
    model.save_pretrained(tmp_path)
    backend = CausalLM(str(tmp_path), languages=("en", "es"), device="cuda", dtype="float32", graphs=True)
    weights, recorded = backend.gpu_memory().values()
    assert weights == 4 * sum(tensor.numel() for tensor in model.parameters())
    steps = FixedSteps(model, torch.zeros(len(PIECES)), buckets(backend.batch * backend.beams, 512), None)
    kept = [states for step in steps._steps for layer in step._layers for states in layer._states]
    kept += [step._scores for step in steps._steps]
    taken = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    assert recorded == sum(taken.values())
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="translator.graphs=false"):
        backend.gpu_memory()


def test_recorded_steps_of_a_model_that_is_not_here_are_of_an_unknown_size():
    need = need_of(load_profile("gpu", None, ["translator.graphs=true"]).backends)
    assert (need.now["an unknown size for the recorded steps of hy-mt2-1.8b"], str(need).endswith(" or more")) == (0, True)


def tensors_in(part):
    """All tensors of nested dataclasses, sequences and closures."""
    if isinstance(part, torch.Tensor):
        yield part
    elif is_dataclass(part):
        for item in fields(part):
            yield from tensors_in(getattr(part, item.name))
    elif isinstance(part, list | tuple):
        for item in part:
            yield from tensors_in(item)
    elif callable(part):  # a packed linear map
        for cell in getattr(part, "__closure__", None) or ():
            yield from tensors_in(cell.cell_contents)


def test_constants_are_those_of_the_published_geometry():
    for size, geometry in (("0.6B", GEOMETRIES["0.6b"]), ("1.7B", GEOMETRIES["1.7b"])):
        root = model_config("base", geometry, dict.fromkeys(SPECIAL, 0))
        shapes = [*model_sizes(root).values(), *codec_sizes(codec_config(geometry)["decoder_config"]).values()]
        published = Qwen3TTS(f"Qwen/Qwen3-TTS-12Hz-{size}-Base", device="cuda", sessions=1).gpu_memory()
        assert next(iter(published.values())) == 2 * sum(prod(shape) for shape in shapes)


def test_heads_are_counted_and_damaged_files_told(tmp_path):
    folder = write_checkpoint(tmp_path, shards=3)
    assert count_elements(folder) > count_elements(folder, without=["speaker_encoder."]) > 0
    (folder / "model-00001-of-00003.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(ModelError, match="00001.*damaged"):
        count_elements(folder)
    profile = load_profile("gpu", None, [f"synthesizer.model={folder}", "synthesizer.device=cuda"])
    finding = examined(profile)
    assert (finding.well, finding.needed, "00001" in finding.detail) == (False, False, True)


def test_backends_need_nothing_of_a_gpu_on_a_cpu_and_know_what_they_do_not_know(no_driver, tmp_path):
    for backend in (
        Qwen3TTS(), Qwen3TTS(device="cpu"), FasterWhisper(device="cpu"), Router(device="cpu"), CausalLM(device="cpu"),
        Seq2Seq(),
    ):  # fmt: skip
        assert backend.gpu_memory() == {}
    assert [tier.gpu_memory() for tier in Router(device="cpu").tiers()] == [{}, {}, {}]
    assert Qwen3TTS("somebody/voice", device="cuda").gpu_memory() == {"an unknown size for voice": 0}
    (tmp_path / "model.bin").write_bytes(b"x" * 1000)
    assert list(FasterWhisper(str(tmp_path), device="cuda").gpu_memory().values()) == [1000]
