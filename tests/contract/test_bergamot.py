"""Bergamot's students through the contract: random ones for what must always hold, trained ones for what they say."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from benchmarks.toy_language import Speech
from models.model_files import models_folder, table
from models.mt.bergamot.backend import Bergamot
from models.mt.bergamot.pairs import PairsDecoder
from models.mt.router import Router
from models.mt.terms.constraints import constraints_of
from pipeline.contracts import FetchOptions, Term, TranslationRequest
from pipeline.errors import BadInput, ModelError
from pipeline.events import Word
from pipeline.policies.agreement_units import AgreementUnits
from tests.marian_files import write_shortlist, write_student
from tests.weights import needs

ROOT = Path(__file__).parents[2]
WEIGHTS = str(models_folder())
trained = needs("bergamot-enpt", "bergamot-pten")
EVERYDAY = ROOT / "benchmarks" / "data" / "everyday"
ROWS = [line.split("\t") for line in (EVERYDAY / "en-pt.tsv").read_text(encoding="utf-8").splitlines()]
SOURCES = ("the house is green", "a small dog sees it", "every day")
HARD = (Term("house", ("casa verde",)), Term("dog", ("cão", "cachorro")))


@pytest.fixture(scope="module")
def random_students(tmp_path_factory):
    """English to Portuguese and back with one vocabulary each, English to Spanish with two."""
    folder = tmp_path_factory.mktemp("students")
    for seed, pair in enumerate(("enpt", "pten", "enes")):
        write_student(folder / f"bergamot-{pair}", pair, seed, split=pair == "enes")
    return folder


async def translated(backend, requests):
    async with backend.load() as translator:
        return await asyncio.gather(*map(translator.translate, requests), return_exceptions=True)


async def test_terms_hold_whatever_the_shortlist_leaves_out(random_students, tmp_path):
    folder = write_student(tmp_path / "bergamot-enpt", "enpt")
    write_shortlist(folder / "lex.50.50.enpt.s2t.bin", [[]] * 64, frequent=2)
    requests = [TranslationRequest(source, "en", "pt", terms=HARD) for source in SOURCES]
    for said in await translated(Bergamot(str(tmp_path)), requests):
        assert constraints_of(HARD, "pt").met(said.text)
    free = [TranslationRequest(source, "en", "pt") for source in SOURCES]
    assert await translated(Bergamot(str(tmp_path)), free) != await translated(Bergamot(str(random_students)), free)


async def test_a_pair_without_english_goes_through_it_and_keeps_prefix_and_terms(random_students):
    backend = Bergamot(str(random_students))
    assert backend.pairs() == {("en", "pt"), ("pt", "en"), ("en", "es"), ("pt", "es")}
    terms = (Term("casa", ("casa verde",), spans=((2, 6),)), Term("cão", (), mode="keep"))
    request = TranslationRequest("a casa é verde", "pt", "es", prefix="um cão", terms=terms)
    draft = replace(request, terms=(Term("x", ("isso",), mode="ban"),), draft=True)
    whole, draft, empty, unknown = await translated(
        backend, [request, draft, replace(request, source=" \n"), replace(request, target_language="fr")]
    )
    assert whole.text.startswith("um cão")
    assert constraints_of(terms, "es").met(whole.text)
    assert not constraints_of([Term("x", ("isso",))], "es").met(draft.text)
    assert empty.text == "um cão"
    assert isinstance(unknown, BadInput)
    assert "from 'pt' there are: en, es" in str(unknown)


def test_both_legs_of_a_pivot_are_given_the_term(random_students):
    """The first leg says the term as a model translates it alone; the second finds it where the first said it."""
    asked = {}

    class Recorded:
        def __init__(self, pair):
            self._pair, self._decoder = pair, Bergamot(str(random_students)).decoder(pair)

        def translate(self, requests):
            asked.setdefault(self._pair, []).extend(requests)
            return self._decoder.translate(requests)

        def check(self, terms, language):
            self._decoder.check(terms, language)

    decoder = PairsDecoder(Recorded, [("pt", "en"), ("en", "es")])
    terms = (Term("casa", ("casa verde",), spans=((2, 6),)),)
    decoder.translate([TranslationRequest("a casa é verde", "pt", "es", terms=terms)])
    alone, first = asked["pt", "en"]
    (second,) = asked["en", "es"]
    (held,), (found,) = first.terms, second.terms
    assert (alone.source, alone.target_language) == ("casa", "en")
    assert held.spans == terms[0].spans
    assert held.targets[0].lower() == found.source.lower()
    assert found.targets == ("casa verde",)
    assert found.spans
    assert all(second.source[start:end].lower().startswith(found.source.lower()) for start, end in found.spans)


async def test_a_term_that_cannot_be_written_is_refused_and_harms_nobody_else(random_students):
    good = TranslationRequest("the house", "en", "pt")
    refused, fine = await translated(Bergamot(str(random_students)), [replace(good, terms=(Term("x", ("息税",)),)), good])
    assert isinstance(refused, BadInput)
    assert "cannot be written" in str(refused)
    assert fine.text
    async with Bergamot(str(random_students)).load() as translator:
        await translator.check(HARD, "en", "pt")
        with pytest.raises(BadInput, match="cannot be written"):
            await translator.check([Term("x", ("息税",))], "en", "es")


async def test_missing_damaged_and_foreign_models_are_named(random_students, tmp_path):
    absent = Bergamot(str(tmp_path), ("en>pt",))
    assert "bergamot-enpt" in absent.missing()[0].what
    with pytest.raises(ModelError, match="bergamot-enpt"):
        async with absent.load():
            pass
    for file in (random_students / "bergamot-enpt").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert absent.missing() == []
    (tmp_path / "model.enpt.intgemm.alphas.bin").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be read as a Marian model"):
        async with absent.load():
            pass
    write_student(tmp_path, "enpt")
    (tmp_path / "vocab.enpt.spm").write_bytes(b"not a vocabulary")
    with pytest.raises(ModelError, match="cannot be read as a vocabulary"):
        async with absent.load():
            pass
    with pytest.raises(BadInput, match="no direction"):
        Bergamot(languages=("english-portuguese",)).pairs()


def test_published_models_are_offered_and_fetched_by_language(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    backend, fetched = Bergamot(), []
    assert {("en", "pt"), ("pt", "en")} <= backend.pairs()
    assert backend.missing()[0].fetchable
    monkeypatch.setattr("models.mt.bergamot.backend.fetch", lambda name, progress, source: fetched.append((name, source)))
    backend.fetch(FetchOptions(("pt",), ("es", "en"), "hub"), lambda what, share: None)
    assert fetched == [("bergamot-enes", "hub"), ("bergamot-pten", "hub")]
    fetched.clear()
    backend.fetch(FetchOptions(targets=("pt",)), lambda what, share: None)
    assert fetched == [(f"bergamot-{pair}", "") for pair in ("deen", "enpt", "esen", "fren", "iten")]
    fetched.clear()
    backend.fetch(FetchOptions(spoken=("pt",)), lambda what, share: None)
    assert fetched == [(f"bergamot-{pair}", "") for pair in ("ende", "enes", "enfr", "enit", "pten")]
    fetched.clear()
    Bergamot(languages=("en>pt",)).pull(lambda what, share: None)
    assert fetched == [("bergamot-enpt", "")]


def test_a_published_model_that_is_not_whole_counts_as_not_there(tmp_path, monkeypatch):
    """One without its lexical shortlist would be slow in silence; one of one's own may have none."""
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    (tmp_path / "bergamot-enpt").mkdir()
    for file in table()["bergamot-enpt"]:
        if not file.path.startswith("lex"):
            with (tmp_path / "bergamot-enpt" / file.path).open("wb") as sized:
                sized.truncate(file.size)
    (lack,) = Bergamot(languages=("en>pt",)).missing()
    assert lack.what.startswith("lex.50.50.enpt.s2t.bin of the model bergamot-enpt")
    assert lack.fetchable
    assert Bergamot().missing()
    assert Bergamot(str(tmp_path), languages=("en>pt",)).missing() == []


def test_what_a_pair_lacks_is_told_for_each_step_of_its_way(random_students, tmp_path, monkeypatch):
    whole = Bergamot(str(random_students))
    assert all(whole.missing_between(*pair) == [] for pair in whole.pairs())
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    lacks = {pair: [one.what for one in Bergamot().missing_between(*pair)] for pair in (("en", "es"), ("pt", "es"))}
    assert [what.partition(" (")[0] for what in lacks["en", "es"]] == ["the model bergamot-enes"]
    assert [what.partition(" (")[0] for what in lacks["pt", "es"]] == ["the model bergamot-enes", "the model bergamot-pten"]
    router = Router(("bergamot", "lmt-60-0.6b:int8"))
    assert router.missing_between("en", "es") == Bergamot().missing()
    monkeypatch.setattr(Bergamot, "missing", lambda self: [])  # it has another model
    assert [one.what for one in router.missing_between("en", "es")] == lacks["en", "es"]
    assert router.missing_between("en", "zh") == router.model_for("en", "zh").missing()


def test_nothing_of_torch_is_imported(random_students):
    code = """if True:
        import asyncio, sys
        sys.modules["torch"] = sys.modules["transformers"] = None
        from models.mt.bergamot.backend import Bergamot
        from pipeline.contracts import Term, TranslationRequest

        async def main():
            backend = Bergamot(sys.argv[1], ("en>pt",))
            assert backend.missing() == []
            async with backend.load() as translator:
                request = TranslationRequest("the house is 14", "en", "pt", prefix="a", terms=(Term("x", ("casa verde",)),))
                await translator.check(request.terms, "en", "pt")
                print((await translator.translate(request)).text)

        asyncio.run(main())
        """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(random_students)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "casa verde" in ran.stdout


@trained
def test_greedy_translations_are_those_of_the_reference_engine():
    said = json.loads((EVERYDAY / "greedy.json").read_text(encoding="utf-8"))
    for pair, column in (("enpt", 0), ("pten", 1)):
        decoder = Bergamot(WEIGHTS, beams=1).decoder((pair[:2], pair[2:]))
        found = decoder.translate([TranslationRequest(row[column], pair[:2], pair[2:]) for row in ROWS])
        assert [one.text for one in found] == said[pair]


def call_portuguese_spanish(folder):
    """Portuguese to English, and English to Portuguese under the name of another language: a way through English."""
    for pair, name in (("pten", "pten"), ("enpt", "enes")):
        (folder / name).mkdir()
        for file in Path(WEIGHTS, f"bergamot-{pair}").glob("*.*"):
            (folder / name / file.name.replace("enpt", name)).symlink_to(file)


@trained
async def test_trained_students_obey_fluently_and_through_english(tmp_path):
    source, term = "Please send me the contract before Thursday morning.", "acordo comercial"
    start = source.index("contract")
    terms = (Term("contract", (term,), spans=((start, start + 8),)),)
    free, held = await translated(
        Bergamot(WEIGHTS, ("en>pt",)),
        [TranslationRequest(source, "en", "pt"), TranslationRequest(source, "en", "pt", terms=terms)],
    )
    assert held.text == free.text.replace("contrato", term)
    call_portuguese_spanish(tmp_path)
    there = held.text.replace(term, "contrato")
    start = there.index("contrato")
    terms = (Term("contrato", (term,), spans=((start, start + 8),)),)
    request = TranslationRequest(there, "pt", "es", prefix="Por favor", terms=terms)
    (back,) = await translated(Bergamot(str(tmp_path)), [request])
    assert back.text.startswith("Por favor")
    assert term in back.text
    assert back.score > held.score - 0.5, back


ASKED = [
    ("en", "pt", "Do you know where the station is?"),
    ("en", "pt", "I have never seen so many people!"),
    ("pt", "en", "Quem lhe disse isso?"),
]


@trained
@pytest.mark.parametrize(("source", "target", "sentence"), ASKED)
def test_questions_and_exclamations_are_spoken_as_such(source, target, sentence):
    decoder, policy, said = Bergamot(WEIGHTS, beams=1).decoder((source, target)), AgreementUnits(source, target), ""
    words = tuple(Word(f" {word}", 0.4 * at, 0.4 * at + 0.35, 0.9) for at, word in enumerate(sentence.split()))
    pieces = Speech(words, 0.9, 0.6).transcripts()
    with threadpool_limits(1, user_api="blas"):
        for number, piece in enumerate(pieces):
            policy.hear(piece, final=number == len(pieces) - 1)
            while requests := policy.ask():
                reading = policy.read([decoder.translate([request])[0] for request in requests])
                said += "".join(unit.text for unit in reading.units)
    assert said[-1] == sentence[-1], said
