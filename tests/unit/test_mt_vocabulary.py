"""The bytes of tokens: what they write is what the tokenizer decodes, in each of the three notations."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from models.mt.decoding import check_terms
from models.mt.terms.vocabulary import Vocabulary, text_of_tokens, token_bytes
from pipeline.contracts import Term
from pipeline.errors import BadInput

TEXTS = [
    "The Transformer reads “quotes”, numbers 1,250.50 and naïve café words.",
    "人工智能正在改变世界，人工智能。",
    "이것은 한국어 문장입니다. हिन्दी भी।",
    "tabs and emoji 🎉 in one line",
]
MARKS = ["<pad>", "</s>", "<unk>"]


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=MARKS, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def unigram(byte_fallback: bool) -> Tokenizer:
    pieces = [(mark, 0.0) for mark in MARKS] + [("▁", -3.0), ("▁The", -2.0), ("▁and", -2.0), ("人工", -2.0)]
    pieces += [(letter, -5.0) for letter in sorted(set("".join(TEXTS)) - set(" 🎉工인") - {"न"})]
    if byte_fallback:
        pieces += [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=byte_fallback))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Metaspace()])
    return tokenizer


@pytest.mark.parametrize("kind", ["byte-level", "fallback", "plain"])
def test_tokens_write_what_the_tokenizer_decodes(kind):
    tokenizer = byte_level() if kind == "byte-level" else unigram(kind == "fallback")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    written = token_bytes(fast, len(fast) + 5)
    assert len(written) == len(fast) + 5
    assert written[:3] == (b"", b"", b"")
    for text in TEXTS if kind != "plain" else TEXTS[:1]:
        tokens = fast(text, add_special_tokens=False).input_ids
        assert text_of_tokens(tokens, written).strip() == text
    vocabulary = Vocabulary(written)
    reachable = vocabulary.fewest("🎉".encode())
    assert (reachable < float("inf")) == (kind != "plain"), "without byte fallback an unknown character cannot be written"


def test_fewest_tokens_and_what_begins_a_text():
    vocabulary = Vocabulary([b"", b"a", b"b", b"ab", b"abc", b"c", b" a", "模".encode()[:1], "模".encode()[1:]])
    assert vocabulary.fewest(b"abcab") == 2
    assert vocabulary.first(b"abcab") == 4
    assert vocabulary.fewest(b"abd") == float("inf")
    assert sorted(vocabulary.beginning(b"abca")) == [1, 3, 4]
    assert sorted(vocabulary.continuing(b"ab")) == [3, 4]
    assert vocabulary.completing("模".encode()[:1]) == "模".encode()[1:]
    assert vocabulary.completing(b"\xf0") == b""
    assert vocabulary.silent == [0]
    assert sorted(vocabulary.word_continuing) == [1, 2, 3, 4, 5]


def test_tokens_by_what_they_contain_and_how_they_begin():
    half = "模".encode()[:2]
    vocabulary = Vocabulary([b"", b"a", b"xaby", b"ab", b"b", half, "模a".encode(), b"...a", b"\xff"])
    assert vocabulary.containing(b"ab") == [2, 3], "nothing that two tokens write together"
    assert vocabulary.containing(b"a") == [1, 2, 3, 6, 7]
    assert vocabulary.word_ending == [6, 7, 8]
    assert vocabulary.halves == [5]


class CountingVocabulary(Vocabulary):
    """Notes every text whose spelling is worked out."""

    def __init__(self, written):
        super().__init__(written)
        self.spelled = set()

    def fewest(self, text):
        self.spelled.add(text)
        return super().fewest(text)


def test_ten_thousand_terms_are_checked_by_their_characters():
    """Spelling each term takes seconds; where every character can be written, so can every term."""
    vocabulary = CountingVocabulary([b"", *(bytes([byte]) for byte in range(256)), b" ter", "模型".encode()])
    terms = [Term(f"source {number}", (("término ", "模型")[number % 2] + str(number),)) for number in range(10_000)]
    check_terms(terms, "es", vocabulary)
    assert vocabulary.spelled == {letter.encode() for letter in " término0123456789模型"}


def test_a_term_is_refused_only_if_no_tokens_spell_it():
    vocabulary = Vocabulary([b"", b" ", b"a", "模型".encode()])
    check_terms([Term("x", ("模型 a",)), Term("y", ("b",), mode="soft")], "zh", vocabulary)
    with pytest.raises(BadInput, match="'型模' cannot be written"):
        check_terms([Term("x", ("型模",))], "zh", vocabulary)
