"""Apertium as a service: every text comes back, every fault is healed or told, and no program outlives its session."""

import asyncio
import os
import signal
import subprocess
import sys
import unicodedata

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.mt.apertium import backend as apertium
from models.mt.apertium.backend import Apertium
from models.mt.apertium.chain import commands_of
from models.mt.apertium.stream_format import from_stream, to_stream
from models.mt.terms.constraints import constraints_of
from pipeline.contracts import Term, TranslationRequest
from pipeline.errors import ModelError, Refused
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary

pytestmark = pytest.mark.skipif(("en", "es") not in Apertium().pairs(), reason="apertium-eng-spa is not installed")


def request(text, source="en", target="es", **more):
    return TranslationRequest(text, source, target, **more)


def programs():
    return [child.pid for child in psutil.Process().children(recursive=True)]


def fake_modes(tmp_path, command, timeout_s=20.0):
    """A pair en-es that is this shell command, twice."""
    program = tmp_path / "fake"
    program.write_text(f"#!/bin/sh\n{command}\n")
    program.chmod(0o755)
    (tmp_path / "eng-spa.mode").write_text(f"'{program}' | '{program}'\n")
    return Apertium(modes=str(tmp_path), timeout_s=timeout_s)


async def test_translates_sentences_and_ends_its_programs():
    async with Apertium().load() as translator:
        first = await translator.translate(request("he was not a zyxel young man"))
        second = await translator.translate(request("I am here"))
        assert "zyxel" in first.text
        assert "joven" in first.text
        assert second.text == "Soy aquí"
        assert len(programs()) >= 5
    assert programs() == []


async def test_odd_texts_come_back_and_do_not_disturb_the_next():
    texts = [
        "",
        " ",
        "\n",
        ".",
        "*",
        "#",
        "~ @ ^ $ / \\ | \\* [x] {y} <z>",
        "😀 the house 😀",
        "a\0b\x01",
        "\ud800",
        "مرحبا 中文",
        "][",
    ]
    async with Apertium().load() as translator:
        replies = [(await translator.translate(request(text))).text for text in texts]
        assert (await translator.translate(request("the house"))).text == "La casa"
        long = await translator.translate(request("the house is big. " * 500))
    assert replies[:6] == ["", "", "", ".", "*", "#"]
    assert replies[6].startswith("~ @ ^ $ / \\ | \\* [x]")
    assert "casa" in replies[7]
    assert replies[7].count("😀") == 2
    assert long.text.count("casa") == 500


async def test_calls_at_once_each_get_their_own_answer():
    async with Apertium().load() as translator, asyncio.TaskGroup() as group:
        calls = [group.create_task(translator.translate(request(f"the house {number}"))) for number in range(20)]
        await asyncio.wait(calls)
        assert [call.result().text for call in calls] == [f"La casa {number}" for number in range(20)]


async def test_a_killed_program_is_started_again():
    async with Apertium().load() as translator:
        await translator.translate(request("one"))
        for victim in (0, 4, -1):
            os.kill(programs()[victim], signal.SIGKILL)
            assert (await translator.translate(request("the house"))).text == "La casa"


async def test_a_program_that_hangs_is_restarted_once_then_told(tmp_path):
    async with fake_modes(tmp_path, "exec sleep 60", timeout_s=0.2).load() as translator:
        with pytest.raises(ModelError, match="no answer within"):
            await translator.translate(request("the house"))
    assert programs() == []


async def test_programs_that_grow_with_each_answer_are_renewed_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(apertium, "RENEWED_AFTER", 3)
    async with fake_modes(tmp_path, "exec cat").load() as translator:
        running = []
        for number in range(8):
            assert (await translator.translate(request(f"sentence {number}"))).text == f"sentence {number}"
            running.append(tuple(sorted(programs())))
    assert [len(one) for one in running] == [2, 2, 0, 2, 2, 0, 2, 2]
    assert len(set(running) - {()}) == 3


async def test_a_cancelled_call_leaves_no_stale_answer():
    async with Apertium().load() as translator:
        await translator.translate(request("one"))
        async with asyncio.TaskGroup() as group:
            call = group.create_task(translator.translate(request("the cat is here. " * 300)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            call.cancel()
        assert (await translator.translate(request("the house"))).text == "La casa"
    assert programs() == []


def test_programs_end_when_their_owner_is_killed():
    script = (
        "import asyncio, psutil\n"
        "from models.mt.apertium.backend import Apertium\n"
        "from pipeline.contracts import TranslationRequest\n"
        "async def main():\n"
        "    async with Apertium().load() as translator:\n"
        "        await translator.translate(TranslationRequest('one', 'en', 'es'))\n"
        "        print(*[child.pid for child in psutil.Process().children()], flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        owner.kill()
    children = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    assert len(pids) >= 5
    _, alive = psutil.wait_procs(children, timeout=10)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []


async def test_what_it_cannot_do_is_refused_with_what_can():
    async with Apertium().load() as translator:
        with pytest.raises(Refused, match="en-es"):
            await translator.translate(request("hello", "en", "ja"))
        for term in (Term("a", ("b", "c")), Term("a", ("b",), inflect=True), Term("a", ("b",), "ban")):
            with pytest.raises(Refused, match=r"mode keep.* one target, inflect no.*cpu or gpu"):
                await translator.translate(request("hello", terms=(term,)))
            with pytest.raises(Refused, match="cpu or gpu"):
                await translator.check([Term("b", ("b",), "keep"), term], "en", "es")
        with pytest.raises(Refused, match="spans"):
            await translator.translate(request("a house", terms=(Term("house", ("hogar",)),)))
        soft = request("the house", terms=(Term("house", ("hogar",), "soft"),))
        assert (await translator.translate(soft)).text == "La casa"


GLOSSARY = Glossary(
    [
        Entry("EBITDA", (), "g", 1, mode="keep"),
        Entry("operating profit", ("beneficio operativo",), "g", 2),
        Entry("miss bennet", ("Miss Bennet",), "g", 3),
    ]
)


def with_terms(text):
    return request(text, terms=GLOSSARY.terms_in(text, "en", "es"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EBITDA", "EBITDA"),
        ("the ebitda", "El EBITDA"),
        ("THE EBITDA IS BIG", "El EBITDA ES GRANDE"),
        ("give the ebitda to ebitda", "Dar el EBITDA a EBITDA"),
        ("EBITDA operating profits", "EBITDA beneficio operativo"),
        ("our operating profit, ebitda (EBITDA).", "Nuestro beneficio operativo, EBITDA (EBITDA)."),
        ("I saw the house of miss bennet", "Vi la casa de Miss Bennet"),
        ('"ebitda"-EBITDA 😀 [EBITDA]', '"EBITDA"-EBITDA 😀 [EBITDA]'),
        ("ＥＢＩＴＤＡ\nof ebitda", "EBITDA De EBITDA"),
    ],
)
async def test_a_protected_term_stands_where_its_source_stood(text, expected):
    async with Apertium().load() as translator:
        assert (await translator.translate(with_terms(text))).text == expected


texts = st.lists(
    st.sampled_from(["EBITDA", "ebitda's", "operating profit", "Miss Bennet", "the", "big", "house", "gave", "of", "not"]),
    min_size=1,
    max_size=12,
).flatmap(lambda words: st.sampled_from([" ", ", ", "-"]).map(lambda space: space.join(words)))


async def test_every_term_that_was_heard_is_said_as_a_word_of_its_own():
    cases: list[str] = []

    @settings(max_examples=60)
    @given(texts)
    def collect(text):
        cases.append(text)

    collect()
    async with Apertium().load() as translator:
        for text in cases:
            asked = with_terms(text)
            said = (await translator.translate(asked)).text
            assert constraints_of(asked.terms, "es").met(said), (text, said)
            assert "qz" not in said


@pytest.mark.parametrize("edit", ["s/qz[a-z]*//g", "s/qz[a-z]*/& &/g", "s/ qz/qz/g", "s/qz[a-z]*/&s/g", "s/qz[a-z]*/U&/g"])
async def test_a_chain_that_spoils_protected_words_translates_what_is_between(tmp_path, edit):
    async with fake_modes(tmp_path, f"exec sed -u -z '{edit}'").load() as translator:
        said = await translator.translate(with_terms("the ebitda, of operating profit"))
    assert said.text == "the EBITDA, of beneficio operativo"


async def test_missing_programs_and_pairs_name_their_packages(tmp_path):
    assert Apertium().missing() == []
    for backend in (Apertium(search_path=""), Apertium(modes=str(tmp_path))):
        assert "apt-get install apertium apertium-eng-spa" in backend.missing()[0].fix
        with pytest.raises(ModelError, match="apt-get install"):
            async with backend.load():
                pass


def test_pairs_are_named_from_the_mode_files(tmp_path):
    for name in ("eng-spa", "eng-cat_valencia", "en-fr", "xyz-eng", "spa-eng-tagger"):
        (tmp_path / f"{name}.mode").write_text("cat")
    assert Apertium(modes=str(tmp_path)).pairs() == {("en", "es"), ("en", "ca"), ("en", "fr"), ("xyz", "en")}


def test_a_mode_file_is_read_as_the_shell_does(tmp_path):
    mode = tmp_path / "eng-spa.mode"
    mode.write_text("lt-proc -w '/a b/c|d.bin' | tagger -g $2 \"x\" | lt-proc $1 'g.bin'\n")
    assert commands_of(mode) == [["lt-proc", "-w", "/a b/c|d.bin"], ["tagger", "-g", "x"], ["lt-proc", "-n", "g.bin"]]


@given(st.text(st.characters(exclude_categories=("C", "Z", "M"))))
def test_the_format_loses_nothing(text):
    assert from_stream(to_stream(text)) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [(("fr", "es"), "apertium-fr-es"), (("en", "gl"), "apertium-en-gl"), (("en", "de"), "--profile cpu")],
)
def test_a_pair_that_is_not_installed_names_what_brings_it(pair: tuple[str, str], expected: str) -> None:
    assert expected in Apertium().how_to_add(*pair)
