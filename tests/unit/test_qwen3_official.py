"""The engine does what the official package does with the same checkpoint: prompts, codes, voices, samples."""

from contextlib import suppress
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from benchmarks.tts_checkpoint import write_checkpoint
from benchmarks.tts_official import official_decoder, official_model
from models.tts.checkpoint import Tensors
from models.tts.qwen3.codec import load_codec
from models.tts.qwen3.config import CODEC_ENCODER, read_codec_config, read_model_config
from models.tts.qwen3.prompt import (
    PromptSpeaker,
    Reference,
    streaming,
    whole,
)
from models.tts.qwen3.speaker_encoder import load_speaker_encoder
from tests.qwen3_frames import CPU, draw_frames, load, opening

pytestmark = pytest.mark.skipif(find_spec("qwen_tts") is None, reason="the official package is not installed")

FRAMES = 25
TEXT, LONG_TEXT = [20, 21, 22, 23, 24, 25, 26], list(range(50, 75))
REFERENCE_TEXT = [40, 41, 42]


@pytest.fixture(scope="module", params=["tiny", "tiny-equal"])
def pair(request, tmp_path_factory):
    """The official model and the engine's, with equal weights."""
    folder = write_checkpoint(tmp_path_factory.mktemp("checkpoint"), geometry=request.param)
    return official_model(folder), load(folder)


@pytest.fixture(scope="module")
def reference():
    codes = torch.randint(0, 2048, (12, 16), generator=torch.Generator().manual_seed(3))
    return Reference(tuple(REFERENCE_TEXT), codes.numpy())


def speaker_for(model):
    return torch.randn(model.config.talker.hidden, generator=torch.Generator().manual_seed(4))


def clone(speaker, reference=None):
    if speaker is None:
        return None
    codes = None if reference is None else torch.from_numpy(reference.codes)
    alone = reference is None
    return {
        "ref_code": [codes], "ref_spk_embedding": [speaker], "x_vector_only_mode": [alone], "icl_mode": [not alone]
    }  # fmt: skip


def wrapped(model, text):
    role = opening(model).role
    return torch.tensor([[*role, *text, model.config.tokens.im_end, 10, *role]])


def generate(official, model, text, *, reference=None, speaker=None, language="english", whole_text=False, **more):
    ids = torch.tensor([[*opening(model).role, *REFERENCE_TEXT, model.config.tokens.im_end, 10]])
    return official.generate(
        input_ids=[wrapped(model, text)],
        ref_ids=[ids],
        voice_clone_prompt=clone(speaker, reference),
        languages=[language],
        non_streaming_mode=whole_text,
        do_sample=False,
        subtalker_dosample=False,
        repetition_penalty=1.05,
        max_new_tokens=FRAMES + 1,
        **more,
    )[0][0]


class Captured(Exception):
    pass


def official_prompt(official, model, text, monkeypatch, **options):
    """The embedded prompt and trailing text with which the official package would generate."""
    taken = {}

    def capture(**arguments):
        taken.update(arguments)
        raise Captured

    monkeypatch.setattr(official.talker, "generate", capture)
    with suppress(Captured):
        generate(official, model, text, **options)
    return taken["inputs_embeds"][0], taken["trailing_text_hidden"][0]


def assert_same_prompt(official, model, prompt, speaker, theirs):
    embedded, trailing = theirs
    torch.testing.assert_close(model.talker.embed_prompt(prompt, speaker), embedded, rtol=1e-5, atol=1e-5)
    tokens = prompt.trailing or (model.config.tokens.tts_pad,)
    torch.testing.assert_close(model.talker.embed_text(torch.tensor(tokens)), trailing, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("language", ["english", "auto"])
@pytest.mark.parametrize("whole_text", [False, True])
def test_voice_prompts_are_the_official_ones(pair, language, whole_text, monkeypatch):
    official, model = pair
    speaker = speaker_for(model)
    lay = whole if whole_text else streaming
    prompt = lay(model.config.tokens, opening(model, language), TEXT)
    theirs = official_prompt(official, model, TEXT, monkeypatch, speaker=speaker, language=language, whole_text=whole_text)
    assert_same_prompt(official, model, prompt, speaker, theirs)


@pytest.mark.parametrize("text", [TEXT, LONG_TEXT])
def test_continued_prompts_are_the_official_ones(pair, reference, text, monkeypatch):
    official, model = pair
    speaker = speaker_for(model)
    prompt = whole(model.config.tokens, opening(model), text, reference)
    theirs = official_prompt(official, model, text, monkeypatch, speaker=speaker, reference=reference, whole_text=True)
    assert_same_prompt(official, model, prompt, speaker, theirs)


@pytest.mark.parametrize(("kind", "name"), [("custom_voice", "ryan"), ("custom_voice", "dylan"), ("voice_design", "")])
def test_preset_and_described_voices_are_the_official_ones(kind, name, tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path, kind=kind)
    official, model = official_model(folder), load(folder)
    row = model.config.speakers.get(name)
    tag = model.config.dialects.get(name, "chinese")
    begins = opening(model, tag, None if row is None else PromptSpeaker(row), instruction=(30, 31, 32))
    theirs = official_prompt(
        official, model, TEXT, monkeypatch,
        speakers=[name], instruct_ids=[torch.tensor([[30, 31, 32]])], language="chinese", whole_text=True,
    )  # fmt: skip
    assert_same_prompt(official, model, whole(model.config.tokens, begins, TEXT), None, theirs)


def never_ending(official, monkeypatch):
    """Keep the official package from ending, as the tests' rows are kept."""
    inner = official.talker.generate
    monkeypatch.setattr(official.talker, "generate", lambda **given: inner(**given | {"min_new_tokens": FRAMES + 1}))


@pytest.mark.parametrize("geometry", ["tiny", "tiny-equal"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_greedy_codes_are_the_official_ones(geometry, seed, tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path, geometry=geometry, seed=seed)
    official, model = official_model(folder), load(folder)
    never_ending(official, monkeypatch)
    speaker = speaker_for(model)
    theirs = generate(official, model, TEXT, speaker=speaker)
    ours = draw_frames(model, streaming(model.config.tokens, opening(model), TEXT), speaker, FRAMES)
    assert theirs.tolist() == ours.tolist()


def test_greedy_codes_after_a_reference_are_the_official_ones(pair, reference, monkeypatch):
    official, model = pair
    never_ending(official, monkeypatch)
    speaker = speaker_for(model)
    prompt = whole(model.config.tokens, opening(model), LONG_TEXT, reference)
    theirs = generate(official, model, LONG_TEXT, speaker=speaker, reference=reference, whole_text=True)
    assert theirs.tolist() == draw_frames(model, prompt, speaker, FRAMES).tolist()


def test_the_speakers_vector_is_the_official_one(tmp_path):
    folder = write_checkpoint(tmp_path)
    config = read_model_config(folder).speaker_encoder
    encoder = load_speaker_encoder(Tensors(folder, CPU, torch.float32), config)
    samples = np.random.default_rng(0).standard_normal(72_000).astype(np.float32) * 0.1
    theirs = official_model(folder).extract_speaker_embedding(samples, 24_000)
    torch.testing.assert_close(encoder.encode(torch.from_numpy(samples)), theirs.clone(), rtol=1e-4, atol=1e-5)


FRAMES_DECODED = 60
CUTS = ([1] * FRAMES_DECODED, [1, 2, 4, 8, 8, 8, 8, 8, 8, 5], [25, 3, 32], [FRAMES_DECODED])


@pytest.fixture(scope="module")
def codecs(tmp_path_factory):
    """The official decoder and the streaming one, in float32 and float64."""
    folder = write_checkpoint(tmp_path_factory.mktemp("codec"))
    loaded = {}
    for dtype in (torch.float32, torch.float64):
        tensors = Tensors(folder / "speech_tokenizer", CPU, dtype)
        loaded[dtype] = official_decoder(folder, dtype), load_codec(tensors, read_codec_config(folder))
        tensors.finish(CODEC_ENCODER)
    return loaded


def some_codes(frames=FRAMES_DECODED):
    return torch.randint(0, 2048, (1, 16, frames), generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("cuts", CUTS, ids=["ones", "growing", "odd", "whole"])
def test_a_decoded_stream_is_the_official_whole(codecs, dtype, bound, cuts):
    official, codec = codecs[dtype]
    state = codec.layout.allocate(2, CPU, dtype)
    codes = some_codes()
    with torch.no_grad():
        parts = [codec.decode(state, torch.tensor([1]), part) for part in codes.split(list(cuts), -1)]
        expected = official(codes)[:, 0]
    assert expected.std() > 0.01
    torch.testing.assert_close(torch.cat(parts, -1), expected, rtol=0, atol=bound)


def test_decoding_again_with_25_frames_of_context_would_not_pass(codecs):
    official, _ = codecs[torch.float32]
    codes = some_codes()
    with torch.no_grad():
        expected = official(codes)[:, 0]
        again = official(codes[..., 27:])[:, 0, 25 * 1920 :]
    assert (again - expected[..., 52 * 1920 :]).abs().max() > 1e-4
