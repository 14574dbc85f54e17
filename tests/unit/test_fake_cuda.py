"""The work recorded as CUDA graphs, followed at the published sizes on CUDA tensors without a GPU.

That numbers are right is shown elsewhere; here, that the branches taken for a GPU hold together in bfloat16, never need the
host, and stay few operations: each is a kernel that a graph must start, some microseconds whatever it does.
"""

import json

import pytest
import torch

from benchmarks import voxcpm_checkpoint
from benchmarks.mt_speed import loaded_model
from benchmarks.tts_checkpoint import GEOMETRIES, SPECIAL, codec_config, generation_config, model_config
from models.mt.steps.fixed_steps import Bucket, FixedStep
from models.tts.blocks.causal_layers import StreamLayout
from models.tts.qwen3.codec import load_codec
from models.tts.qwen3.config import POSITIONS, TEXT_CAPACITY, read_codec_config, read_model_config
from models.tts.qwen3.rows import allocate_rows
from models.tts.qwen3.sampler import read_generation_config
from models.tts.qwen3.speaker_encoder import load_speaker_encoder
from models.tts.qwen3.talker import load_speech_model
from models.tts.voxcpm import config as voxcpm
from models.tts.voxcpm import model as voxcpm_model
from models.tts.voxcpm.audio_vae import VaeLoader, load_audio_decoder
from models.tts.voxcpm.diffusion import Diffusion
from tests.fake_cuda import CUDA, FakeTensors, fake_cuda, operations
from tests.tape import NotRecordable

SESSIONS = 4


@pytest.fixture(autouse=True)
def gpu():
    with fake_cuda(), torch.inference_mode():
        yield


def write_configuration(folder, geometry="1.7b"):
    """All of a checkpoint but its tensors."""
    sizes = GEOMETRIES[geometry]
    (folder / "speech_tokenizer").mkdir()
    files = {
        "config.json": model_config("base", sizes, dict.fromkeys(SPECIAL, 0)),
        "generation_config.json": generation_config(),
        "speech_tokenizer/config.json": codec_config(sizes),
    }
    for name, values in files.items():
        (folder / name).write_text(json.dumps(values))
    return read_model_config(folder), read_generation_config(folder), read_codec_config(folder)


def integers(*size):
    return torch.zeros(size, dtype=torch.int64, device=CUDA)


def load_model(config, generation):
    model = load_speech_model(FakeTensors(), config, generation, POSITIONS, CUDA)
    return model, allocate_rows(config, SESSIONS, POSITIONS, TEXT_CAPACITY, model.talker.code_table)


def test_a_frame_can_be_recorded(tmp_path):
    config, generation, _ = write_configuration(tmp_path)
    model, rows = load_model(config, generation)
    step = operations(lambda: model.step(rows, SESSIONS, 512))
    layers = config.talker.layers + 15 * config.predictor.layers
    assert step["scaled_dot_product_attention"] == layers
    assert step["linear"] == 4 * layers + 16 + 1
    assert step.total() <= 2052


def test_a_prompt_can_be_recorded(tmp_path):
    config, generation, _ = write_configuration(tmp_path, "0.6b")
    model, rows = load_model(config, generation)
    prompt = torch.empty(32, config.talker.hidden, device=CUDA, dtype=torch.bfloat16)
    assert operations(lambda: model.begin(rows, integers(1), prompt, integers(1))).total() <= 2060


@pytest.mark.parametrize("frames", [1, 8])
def test_the_codec_can_be_recorded(tmp_path, frames):
    *_, config = write_configuration(tmp_path)
    codec = load_codec(FakeTensors(), config)
    streams = codec.layout.allocate(SESSIONS + 1, CUDA, torch.bfloat16)
    decode = operations(lambda: codec.decode(streams, integers(SESSIONS), integers(SESSIONS, 16, frames)))
    assert decode.total() <= 442


def test_a_voice_is_heard_where_the_model_is(tmp_path):
    config, *_ = write_configuration(tmp_path)
    encoder = load_speaker_encoder(FakeTensors(), config.speaker_encoder)
    vector = encoder.encode(torch.empty(3 * encoder.config.sample_rate, device=CUDA))
    assert (vector.device, vector.dtype, vector.shape) == (CUDA, torch.bfloat16, (encoder.config.width,))


def voxcpm_config(folder):
    (folder / "config.json").write_text(json.dumps(voxcpm_checkpoint.model_config("2b")))
    return voxcpm.read_model_config(folder)


def test_a_patch_of_voxcpm_can_be_recorded(tmp_path):
    config = voxcpm_config(tmp_path)
    model = voxcpm_model.load_speech_model(FakeTensors(), config, Diffusion(10, 2.0), CUDA)
    rows = voxcpm_model.allocate_rows(config, SESSIONS, voxcpm.POSITIONS, model.text_table)
    step = operations(lambda: model.step(rows, SESSIONS, 256))
    layers = config.language.layers + config.residual.layers + config.encoder.layers + 9 * config.decoder.layers
    assert step["scaled_dot_product_attention"] == layers
    assert step["linear"] == 4 * layers + 9 * 2 + 10
    assert step.total() <= 2446


def test_speech_of_voxcpm_can_be_recorded(tmp_path):
    config = voxcpm_config(tmp_path).vae
    decoder = load_audio_decoder(VaeLoader(FakeTensors(), StreamLayout()), config)
    streams = decoder.layout.allocate(SESSIONS, CUDA, torch.bfloat16)
    patch = torch.empty(SESSIONS, 4, config.latent, device=CUDA, dtype=torch.bfloat16)
    assert operations(lambda: decoder.decode(streams, integers(SESSIONS), patch)).total() <= 387


@pytest.mark.parametrize("geometry", ["0.6b", "1.8b"])
def test_a_step_of_the_translation_can_be_recorded(geometry):
    model = loaded_model(geometry, "cuda")
    shape, bucket = model.config, Bucket(4, 160, 96)
    states = torch.empty(2, 4, shape.num_key_value_heads, bucket.length, shape.head_dim, device=CUDA, dtype=model.dtype)
    memory = [states.clone() for _ in range(shape.num_hidden_layers)]
    scores = torch.empty(4, shape.vocab_size, device=CUDA)
    step = FixedStep(model, torch.empty(shape.vocab_size, device=CUDA), bucket, memory, scores)
    counted = operations(step._do)
    assert counted["scaled_dot_product_attention"] == shape.num_hidden_layers
    assert (counted["rms_norm"], counted["rsqrt"]) == (4 * shape.num_hidden_layers + 1, 0)
    assert counted.total() <= 984


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (lambda numbers: numbers[0].item(), "_local_scalar_dense"),
        (lambda numbers: numbers[numbers > 0], "nonzero"),
        (lambda numbers: numbers.add_(torch.ones(3, dtype=torch.int64)), "cpu"),
        (lambda numbers: numbers.copy_(torch.ones(3, dtype=torch.int64)), "cpu"),
        (lambda numbers: numbers.add_(torch.tensor([1, 2, 3], device=CUDA)), "lift_fresh|_to_copy|to.device"),
        (lambda numbers: numbers.cpu(), "cpu"),
        (lambda numbers: numbers + torch.ones(()), "cpu"),
    ],
)
def test_what_the_host_must_see_is_refused(work, why):
    numbers = integers(3)
    with pytest.raises((NotRecordable, RuntimeError), match=why):
        operations(lambda: work(numbers))
