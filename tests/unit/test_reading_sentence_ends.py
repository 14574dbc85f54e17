"""The ends of sentences: after pauses that no term spans, in silence, at another language."""

from __future__ import annotations

from collections import deque

import pytest

from pipeline.events import Transcript, Word
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.policies.options import AgreementOptions
from pipeline.policies.sentence import Sentence, SentenceEnds

OPTIONS = AgreementOptions()
NEW_YORK = Glossary([Entry("New York", ("NY",), "g", 1)])


def spoken(text: str) -> tuple[Word, ...]:
    """Words a quarter of a second long, with a pause that ends a sentence for each ``|``."""
    words: list[Word] = []
    clock_s = 0.0
    for token in text.split():
        if token == "|":
            clock_s += OPTIONS.sentence_pause_s
            continue
        words.append(Word(f" {token}", clock_s, clock_s + 0.25, 0.9))
        clock_s += 0.25
    return tuple(words)


def sentences(*heard: Transcript, glossary: Glossary | None = None) -> list[str]:
    """The text up to each end."""
    sentence = Sentence(deque())
    ends = SentenceEnds(OPTIONS, glossary or Glossary(), "xx")
    for transcript in heard:
        ends.hear(sentence, transcript, transcript.language, final=False)
    texts = "".join(f"{one.word.text}{'|' * one.last}" for one in sentence.heard).split("|")
    return [text.strip() for text in texts[:-1]]


def transcript(words: tuple[Word, ...], tentative: tuple[Word, ...] = (), silence_s: float = 0.0, language: str = "en"):
    return Transcript(words, tentative, language, 60.0, silence_s, ended=False)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("we met | then", ["we met"]),
        ("we met and | left", []),
        ("met then | we left", ["met then"]),
        ("in New | York we", []),
        ("in New | houses we", ["in New"]),
        ("New | in New York", ["New"]),
    ],
)
@pytest.mark.parametrize("committed", [2, 3, 9])
def test_a_pause_ends_a_sentence_but_not_inside_a_term(text: str, ends: list[str], committed: int) -> None:
    """Holds whether what follows is committed at once, later or not at all."""
    words = spoken(text)
    both = transcript(words[:committed], words[committed:]), transcript(words[committed:])
    assert sentences(*both, glossary=NEW_YORK) == ends
    if committed >= text.split().index("|"):
        assert sentences(both[0], glossary=NEW_YORK) == ends


def test_silence_ends_a_sentence_and_more_of_it_one_whose_end_is_tentative() -> None:
    words = spoken("we met them")
    for tentative, least_s in ((words[2:], OPTIONS.stuck_tail_s), ((), OPTIONS.sentence_pause_s)):
        assert not sentences(transcript(words[:2], tentative, least_s - 0.01))
        assert sentences(transcript(words[:2], tentative, least_s)) == ["we met"]


def test_a_sentence_is_in_one_language() -> None:
    words = spoken("we met nous avons")
    assert sentences(transcript(words[:2]), transcript(words[2:], language="fr")) == ["we met"]
