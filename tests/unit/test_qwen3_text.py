"""Text reaches the model unchanged: in pieces as whole, without control tokens, never longer than an utterance."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tts_checkpoint import write_tokenizer
from models.tts.qwen3.config import ControlTokens
from models.tts.qwen3.prompt import GrowingText, TextTokenizer
from models.tts.text_pieces import TextFailed, TextPieces, cut
from pipeline.errors import ModelError
from pipeline.scripts import speakable

TOKENS = ControlTokens(im_start=501, im_end=502, tts_pad=503, tts_bos=504, tts_eos=505,
                       pad=0, bos=0, eos=0, think=0, nothink=0, think_bos=0, think_eos=0)  # fmt: skip
TEXT = st.text(
    st.sampled_from("ab Z'st1é!?.,\n\t\r e\u0301\u0323\u030bhq日本🙂  '\"漢가\u1100\u1161\u11a8") | st.characters(),
    max_size=24,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return TextTokenizer(folder, TOKENS)


def pieces_of(text, cuts):
    places = sorted({min(place, len(text)) for place in cuts})
    return [text[begin:end] for begin, end in zip([0, *places], [*places, len(text)], strict=True)]


@given(text=TEXT, cuts=st.lists(st.integers(0, 24), max_size=8))
@settings(max_examples=300, deadline=None)
def test_text_in_pieces_gives_the_ids_of_the_whole(tokenizer, text, cuts):
    growing = GrowingText(tokenizer)
    ids = [token for piece in pieces_of(text, cuts) for token in growing.append(piece)] + growing.close()
    assert ids == tokenizer.encode(text)


@given(text=TEXT)
@settings(max_examples=200, deadline=None)
def test_ids_are_those_of_transformers(folder, tokenizer, text):
    clean = text.encode("utf-8", "replace").decode("utf-8")
    assert tokenizer.encode(text) == reference(folder)(clean).input_ids


def reference(folder, loaded={}):  # noqa: B006
    from transformers import Qwen2TokenizerFast

    return loaded.setdefault(folder, Qwen2TokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")))


def test_a_word_is_given_out_when_the_next_one_begins(tokenizer):
    growing = GrowingText(tokenizer)
    assert [len(growing.append(piece)) > 0 for piece in ("hel", "lo", " wor", "ld")] == [False, False, True, False]


def test_control_tokens_are_spelled_out(tokenizer):
    ids = tokenizer.encode("<|im_end|><|im_start|>")
    assert len(ids) > 10
    assert max(ids) < 500


def test_another_models_tokenizer_is_refused(tmp_path):
    write_tokenizer(tmp_path)
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ModelError, match="assistant"):
        TextTokenizer(tmp_path, TOKENS)
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(ModelError, match=r"vocab\.json is missing"):
        TextTokenizer(tmp_path, TOKENS)


@given(text=st.text(st.sampled_from("ab, .!?\n日。、"), max_size=200), most=st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_long_text_is_cut_into_fitting_parts_and_nothing_is_lost(text, most):
    parts = cut(text, len, most)
    assert all(0 < len(part) <= most for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_ten_thousand_characters_are_cut_where_sentences_end():
    parts = cut("This is a sentence. " * 500, lambda text: len(text.split()), 60)
    assert all(part.endswith("sentence.") for part in parts)
    assert len(" ".join(parts)) == 9999


@pytest.mark.parametrize(
    ("text", "most", "parts"),
    [
        ("Go on. I do. So it is, and so.", 4, ["Go on. I do.", "So it is,", "and so."]),
        ("one two, three four, five.", 3, ["one two,", "three four, five."]),
        ("one two three four five", 2, ["one two", "three four", "five"]),
        ("一二三。四五，六七八九", 6, ["一二三。", "四五，", "六七八九"]),
    ],
)
def test_text_is_cut_at_the_best_places_into_few_parts(text, most, parts):
    length = len if text.isalpha() or "。" in text else lambda some: len(some.split())
    assert cut(text, length, most) == parts


@pytest.mark.parametrize("text", ["", " \n", "...", "?!", "🙂🙂", "—"])
def test_there_is_nothing_to_say_in_punctuation_and_emoji(text):
    assert not speakable(text)
    assert speakable(text + "é")
    assert speakable("7" + text)


async def test_text_is_taken_as_it_comes_put_back_and_taken_to_its_end():
    go_on = asyncio.Event()

    async def text():
        yield "one "
        await go_on.wait()
        for piece in ("two ", "", "three"):
            yield piece
            await asyncio.sleep(0)

    pieces = TextPieces()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pieces.read(text()))
        assert await pieces.take() == "one "
        pieces.put_back("e ")
        pieces.put_back("on")
        assert await pieces.take() == "one "
        rest = tasks.create_task(pieces.take_all())
        go_on.set()
    assert rest.result() == "two three"
    assert pieces.ended
    assert await pieces.take() == ""


async def test_an_error_in_the_text_is_raised_after_all_that_came_before_it():
    async def broken():
        yield "one "
        yield "two"
        raise OSError("line cut")

    pieces = TextPieces()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(pieces.read(broken()))
        assert await pieces.take() == "one two"
        with pytest.raises(TextFailed) as failed:
            await pieces.take()
    assert isinstance(failed.value.error, OSError)


def test_the_checkpoint_holds_the_special_tokens_the_config_names(tmp_path):
    vocabulary = write_tokenizer(tmp_path)
    added = json.loads((tmp_path / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    assert {entry["content"] for entry in added.values()} <= set(vocabulary)
