"""The models' languages and licenses, and a router's choice among them."""

import pytest

from models.mt.catalog import CATALOG, entry_of, name_of
from models.mt.ctranslate2 import CTranslate2
from models.mt.router import Router
from pipeline.contracts import FetchOptions, TranslationRequest
from pipeline.errors import BadInput, ModelError, NetworkError


def test_every_entry_has_a_license_named_languages_and_its_published_coverage():
    for entry in CATALOG.values():
        assert entry.license
        assert not [code for code in entry.languages if name_of(code) == code]
    assert len(CATALOG["hy-mt2-1.8b"].languages) == 38
    assert len(CATALOG["lmt-60-1.7b"].languages) == 60
    assert len(CATALOG["hy-mt2-1.8b"].languages | CATALOG["lmt-60-1.7b"].languages) == 63


def test_no_default_forbids_use():
    for model in (*Router().models, CTranslate2().model):
        assert CATALOG[model].license == "Apache-2.0"


@pytest.mark.parametrize(
    ("source", "target", "model"),
    [
        ("en", "es", "hy-mt2-1.8b"),
        ("yue", "zh-Hant", "hy-mt2-1.8b"),
        ("en", "sv", "lmt-60-1.7b"),
        ("fi", "zh", "lmt-60-1.7b"),
        ("ca", "en", "madlad-400-3b"),
        ("en", "et", "madlad-400-3b"),
    ],
)
def test_the_router_takes_the_first_model_that_serves_a_pair(source, target, model):
    assert Router().model_for(source, target).model == model


def test_at_least_sixty_source_languages_reach_english_spanish_and_chinese():
    pairs = Router().pairs()
    for target in ("en", "es", "zh"):
        assert len({source for source, to in pairs if to == target}) >= 60


def test_languages_of_one_side_alone_choose_the_models_to_fetch():
    router = Router(models=("bergamot", "lmt-60-0.6b:int8"))
    for spoken, targets, models in (
        ((), (), ["bergamot"]),
        (("pt",), (), ["bergamot"]),
        (("ja",), (), ["lmt-60-0.6b"]),
        (("pt", "ja"), (), ["bergamot", "lmt-60-0.6b"]),
        ((), ("ko",), ["lmt-60-0.6b"]),
        (("en",), ("es", "ja"), ["bergamot", "lmt-60-0.6b"]),
    ):
        chosen = router.chosen(FetchOptions(spoken, targets))
        assert [getattr(tier, "model", "bergamot") for tier in chosen] == models


async def test_an_unserved_pair_and_an_absent_model_are_typed_errors():
    with pytest.raises(BadInput, match="nothing translates from 'en' to 'tlh'"):
        Router().model_for("en", "tlh")
    with pytest.raises(BadInput, match="did you mean 'lmt-60-1.7b'"):
        Router(models=("lmt-60-1.7",)).tiers()
    async with Router().load() as translator:
        with pytest.raises(ModelError, match=r"(tencent/Hy-MT2-1.8B.*fetch the model files|Python package.*pip install)"):
            await translator.translate(TranslationRequest("hello", "en", "es"))


def test_a_model_of_ones_own_says_its_languages_or_directions():
    entry = entry_of("me/mine", "causal", "plain", ("en>es",))
    assert entry.pairs() == {("en", "es")}
    assert len(entry_of("me/mine", "seq2seq", "marian", ("en", "es", "fr")).pairs()) == 6
    with pytest.raises(BadInput, match="from 'en' it translates to es"):
        entry.accept("en", "fr")
    with pytest.raises(BadInput, match="it translates from en"):
        entry.accept("es", "en")


def test_no_download_where_it_is_forbidden(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NetworkError, match="HF_HUB_OFFLINE"):
        Router(models=("lmt-60-0.6b",)).pull(lambda what, share: None)
