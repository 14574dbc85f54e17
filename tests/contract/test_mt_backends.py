"""The translation backends on real models, through the contract: a trained toy, and random ones of every architecture."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.mt_toy import SOURCE, TARGET, sample
from models.mt.causal_lm import CausalArchitecture, CausalLM
from models.mt.checkpoint import load_checkpoint
from models.mt.decoding import Decoder
from models.mt.seq2seq import Seq2Seq
from models.mt.terms.constraints import constraints_of
from pipeline.contracts import Term, TranslationRequest
from pipeline.errors import BadInput, ModelError
from tests.mt_models import save_random_model
from tests.tape import TapeRecorder

TOY = Path(__file__).parent.parent / "toy_mt"
BACKEND = CausalLM(model=str(TOY), languages=("en>es",), device="cpu")


def sentences(count: int, seed: int = 5) -> list[tuple[str, str]]:
    random = np.random.default_rng(seed)
    return [sample(random) for _ in range(count)]


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


async def test_the_toy_translates_alone_as_in_a_batch_and_obeys_its_glossary():
    pairs = sentences(32)
    async with BACKEND.load() as translator:
        requests = [TranslationRequest(source, SOURCE, TARGET) for source, _ in pairs]
        together = await asyncio.gather(*map(translator.translate, requests))
        assert sum(one.text == expected for one, (_, expected) in zip(together, pairs, strict=True)) >= 30
        for request, batched in list(zip(requests, together, strict=True))[:4]:
            alone = await translator.translate(request)
            assert alone.text == batched.text
            assert alone.score == pytest.approx(batched.score, abs=1e-4)
        draft = await translator.translate(replace(requests[0], draft=True))
        assert draft.text == together[0].text, "the toy is sure of itself: greedy finds what the beam finds"

        term, foreign, banned = (
            Term("x", ("EBITDA",)),
            Term("y", ("息税",)),
            Term("z", (together[1].text.split()[0],), mode="ban"),
        )
        asked = [
            replace(request, terms=terms) for request in requests[:3] for terms in ((term,), (foreign, term), (banned,))
        ]
        for request, said in zip(asked, await asyncio.gather(*map(translator.translate, asked)), strict=True):
            assert constraints_of(request.terms, TARGET).met(said.text), (request, said)


def test_the_toy_translates_the_same_with_recorded_steps_and_records_only_while_it_is_loaded(monkeypatch):
    recorder = TapeRecorder()
    entry, requests = BACKEND.entry(), [TranslationRequest(source, SOURCE, TARGET) for source, _ in sentences(8)]
    plain = BACKEND.decoder()
    model, tokenizer = load_checkpoint(entry.repository, "causal", "cpu", "auto")
    recorded = Decoder(CausalArchitecture(model, tokenizer, entry, 32, recorder), 4, 512)
    loaded = recorder.recorded
    terms = (Term("x", ("EBITDA",)),)
    for batch in (requests[:1], requests, [replace(one, draft=True) for one in requests[:3]], requests[1:3]):
        for asked in (batch, [replace(one, terms=terms) for one in batch]):
            texts = [one.text for one in recorded.translate(asked)]
            assert texts == [one.text for one in plain.translate(asked)]
    assert recorder.recorded == loaded > 0
    assert recorder.replayed > 100

    def refuse(_device):
        raise AssertionError("recorded on a CPU")

    monkeypatch.setattr("models.mt.causal_lm.CudaRecorder", refuse)
    assert replace(BACKEND, graphs=True).decoder().translate(requests[:1])[0].text == plain.translate(requests[:1])[0].text


def test_a_model_without_a_number_of_positions_translates_but_is_not_recorded(monkeypatch):
    """Bloom's configuration has none: its attention fades with distance instead."""
    entry, request = BACKEND.entry(), [TranslationRequest(source, SOURCE, TARGET) for source, _ in sentences(1)]
    model, tokenizer = load_checkpoint(entry.repository, "causal", "cpu", "auto")
    del model.config.max_position_embeddings
    monkeypatch.delattr(type(model.config), "max_position_embeddings", raising=False)  # transformers 5 has a usual number
    assert Decoder(CausalArchitecture(model, tokenizer, entry, 32), 4, 512).translate(request)[0].text
    with pytest.raises(ModelError, match="Qwen3.*positions.*translator.graphs=false"):
        CausalArchitecture(model, tokenizer, entry, 32, TapeRecorder())


async def test_a_committed_prefix_stays_and_its_last_word_is_not_lengthened():
    pairs = [pair for pair in sentences(40) if len(pair[1].split()) > 4][:6]
    async with BACKEND.load() as translator:
        right = 0
        for source, target in pairs:
            prefix = " ".join(target.split()[:2])
            said = await translator.translate(TranslationRequest(source, SOURCE, TARGET, prefix=prefix))
            assert said.text.startswith(f"{prefix} ")
            right += said.text == target
            strange = await translator.translate(TranslationRequest(source, SOURCE, TARGET, prefix="EBITDA"))
            assert strange.text.startswith("EBITDA ")
        assert right >= len(pairs) - 1
        await translator.check([Term("x", ("cualquier cosa", "任何"))], SOURCE, TARGET)  # bytes write anything


async def test_a_missing_model_is_named_and_a_damaged_one_is_a_typed_error(tmp_path):
    absent = CausalLM(model=str(tmp_path / "none"), languages=("en", "es"))
    assert "none" in absent.missing()[0].what
    with pytest.raises(ModelError, match="is not on this machine; try: fetch the model files"):
        async with absent.load():
            pass
    for file in TOY.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot load"):
        async with CausalLM(model=str(tmp_path), languages=("en", "es")).load():
            pass


async def test_a_model_without_a_chat_template_is_refused_in_words(tmp_path):
    for file in TOY.iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    base = CausalLM(model=str(tmp_path), languages=("en>es",), device="cpu")
    (lacks,) = base.missing()
    assert "chat template" in lacks.what
    assert not lacks.fetchable
    with pytest.raises(ModelError, match="has no chat template, so it cannot be asked.*try: a model that was trained"):
        async with base.load():
            pass
    assert BACKEND.missing() == []


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (CausalLM(model="hy-mt3"), "did you mean 'hy-mt2-7b'"),
        (CausalLM(model="madlad-400-3b"), "is a seq2seq model"),
        (CausalLM(model=str(TOY)), "say which `languages`"),
        (Seq2Seq(model=str(TOY), languages=("en", "es"), prompt="m2n"), "did you mean 'm2m'"),
    ],
)
def test_wrong_settings_say_what_is_valid(backend, message):
    with pytest.raises(BadInput, match=message):
        backend.pairs()


@pytest.mark.parametrize(
    ("setting", "told"), [({"dtype": "int3"}, "valid: bfloat16, float16"), ({"device": "gpu"}, "cuda:0")]
)
def test_a_device_or_type_of_numbers_that_is_unknown_is_no_damaged_checkpoint(setting, told):
    with pytest.raises(BadInput, match=told):
        replace(BACKEND, **setting).decoder()


@pytest.mark.parametrize(
    ("kind", "prompt"), [("t5", "madlad"), ("m2m", "m2m"), ("m2m", "nllb"), ("marian", "marian-multi")]
)
async def test_random_encoder_decoders_keep_prefix_terms_and_batch(tmp_path, kind, prompt):
    save_random_model(tmp_path, kind, prompt)
    pair = ("eng_Latn", "spa_Latn") if prompt == "nllb" else ("en", "es")
    backend = Seq2Seq(model=str(tmp_path), languages=(">".join(pair),), prompt=prompt, device="cpu")
    async with backend.load() as translator:
        requests = [
            TranslationRequest(
                text, *pair, prefix=prefix, terms=(Term("x", ("verde casa", "模型")), Term("y", ("la",), count=2))
            )
            for text in ("la casa verde", "una casa", "verde")
            for prefix in ("", "la casa", "la")
        ]
        said = await asyncio.gather(*map(translator.translate, requests))
        for request, translation in zip(requests, said, strict=True):
            assert translation.text.startswith(request.prefix)
            assert "verde casa" in translation.text or "模型" in translation.text
            assert translation.text.split().count("la") >= 2 or "la" in translation.text
        alone = await translator.translate(requests[1])
        assert alone.text == said[1].text


async def test_the_8_bit_model_translates_and_what_it_cannot_say_is_searched_in_torch(tmp_path):
    from models.mt.ctranslate2 import CTranslate2

    backend = CTranslate2(model=str(TOY), languages=("en>es",), converted=str(tmp_path / "int8"), threads=1)
    assert "8-bit" in backend.missing()[0].what
    told = []
    backend.pull(lambda what, share: told.append((what, share)))
    assert backend.missing() == []
    assert told[-1][1] == 1.0
    pairs = sentences(16)
    async with backend.load() as translator:
        said = await asyncio.gather(*[translator.translate(TranslationRequest(one, SOURCE, TARGET)) for one, _ in pairs])
        assert sum(one.text == expected for one, (_, expected) in zip(said, pairs, strict=True)) >= 14
        source, target = pairs[0]
        terms = (Term("x", ("EBITDA",)), Term("y", (target.split()[0],), mode="ban"))
        forced = await translator.translate(TranslationRequest(source, SOURCE, TARGET, terms=terms))
        assert constraints_of(terms, TARGET).met(forced.text)
