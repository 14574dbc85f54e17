"""Words in pieces, late punctuation and glossary terms: what no reading unit may tear apart, whichever policy cuts it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.toy_language import Speech, ToyTranslator
from pipeline.contracts import Term, Translation, TranslationRequest
from pipeline.events import ReadingUnit, Transcript, Word, text_of
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.policies.agreement_units import AgreementUnits
from pipeline.policies.boundaries import attached, may_go_on, without_late_words, word_count
from pipeline.policies.options import AgreementOptions
from pipeline.policies.pause_units import PauseOptions, PauseUnits, UnitPolicy
from pipeline.policies.release import Choice
from pipeline.policies.stability import CLOSING_MARKS, Suffix, without_late_marks

LOW = AgreementOptions(latency="low")
POLICIES = {
    "pauses": lambda glossary=None: PauseUnits("en", "es", glossary=glossary),
    "agreement": lambda glossary=None: AgreementUnits("en", "es", LOW, glossary),
}


def echo(request: TranslationRequest) -> Translation:
    """Translate by shouting, behind the prefix, as a translator that keeps the order of words."""
    said, text = request.prefix.split(), request.source.upper().split()
    return Translation(" ".join([*said, *text[len(said) :]]))


def units_of(policy: UnitPolicy, pieces: list[Transcript], translate=echo) -> list[ReadingUnit]:
    units: list[ReadingUnit] = []
    for number, piece in enumerate(pieces):
        policy.hear(piece, final=number == len(pieces) - 1)
        while requests := policy.ask():
            units += policy.read([translate(request) for request in requests]).units
    return units


def pieces_of(text: str, pause_s: float = 0.05) -> list[Word]:
    """Words of a quarter second; ``+`` joins a piece to the one before it, ``|`` is a pause of a second."""
    words: list[Word] = []
    at = 0.0
    for token in text.split():
        if token == "|":
            at += 1.0
            continue
        piece = token[1:] if token.startswith("+") else " " + token
        words.append(Word(piece, at, at + 0.25, 0.9))
        at += 0.25 + pause_s
    return words


def heard_by_word(words: list[Word]) -> list[Transcript]:
    """Each word committed when the next one is over."""
    pieces = [Transcript((word,), (following,), "en", following.end, 0.0, False) for word, following in pairwise(words)]
    return [*pieces, Transcript((words[-1],), (), "en", words[-1].end + 0.1, 0.1, False)]


PIECES = [
    "state-of +-the +-art",
    "866 +-450 +-61 +52",
    "Version 12. +0 +.1",
    "house",
    "met",
    "the",
    "and",
    "we",
    "home +,",
    "big",
]
texts = st.lists(st.sampled_from(PIECES), min_size=1, max_size=16).map(" ".join)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=80, deadline=None)
@given(text=texts, pause_s=st.sampled_from([0.0, 0.05, 0.3]))
def test_no_unit_ends_inside_a_word_or_a_number(policy: str, text: str, pause_s: float) -> None:
    words = pieces_of(text, pause_s)
    units = units_of(POLICIES[policy](), heard_by_word(words))
    assert [word for unit in units for word in unit.source] == words[: sum(len(unit.source) for unit in units)]
    for before, after in pairwise(units):
        assert not attached([before.source[-1], after.source[0]], 1), (before.text, after.text)


def test_pieces_are_one_word_of_a_unit() -> None:
    words = pieces_of("866 +-450 +-61 +52 is state-of +-the +-art")
    assert word_count(words) == 3
    options = PauseOptions(min_words=2, max_words=4)
    policy = PauseUnits("en", "es", options)
    policy.hear(Transcript(tuple(words), (), "en", 9.0, 0.0, False))
    assert policy.ask() == ()  # three words of seven pieces
    short = Transcript(tuple(pieces_of("home +, +- +we")), (), "en", 9.0, 0.0, False)
    assert all(word_count(unit.source) > 0 for unit in units_of(POLICIES["agreement"](), [short]))


def test_scripts_without_spaces_have_no_pieces() -> None:
    words = [Word(text, 0.0, 0.1, 0.9) for text in ("他们", "都", "来", "。", "是")]
    assert not any(attached(words, index) for index in range(6))
    assert word_count(words) == 5


@pytest.mark.parametrize(
    ("text", "goes_on"), [("in 12.", True), ("a 866 +-450", True), ("state-of", True), ("met.", False)]
)
def test_a_number_and_a_hyphen_may_go_on(text: str, goes_on: bool) -> None:
    assert may_go_on(pieces_of(text)) is goes_on


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("text", "ends"), [("version 12. +5 works", False), ("version 12. | works", True)])
def test_an_unfinished_number_ends_nothing_before_the_next_word_or_a_pause(policy: str, text: str, ends: bool) -> None:
    words = pieces_of("we have installed " + text)
    one_by_one = [Transcript((word,), (), "en", word.end, 0.0, False) for word in words]
    units = units_of(POLICIES[policy](), one_by_one)
    assert (" 12." in {unit.source[-1].text for unit in units}) is ends


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=60, deadline=None)
@given(marks=st.sampled_from([",", ".", "?", "…", ".”"]), count=st.integers(1, 9))
def test_punctuation_that_comes_late_begins_no_unit_and_no_request(policy: str, marks: str, count: int) -> None:
    words = pieces_of(" ".join(f"n{number}" for number in range(count)) + f" | +{marks} so we go home again")
    silent = Transcript(tuple(words[:count]), (), "en", words[count - 1].end + 0.9, 0.9, False)
    asked: list[str] = []

    def translate(request: TranslationRequest) -> Translation:
        asked.append(request.source)
        return echo(request)

    late = Transcript(tuple(words[count:]), (), "en", words[-1].end, 0.0, True)
    units = units_of(POLICIES[policy](), [silent, late], translate)
    assert len(units) >= 2
    assert not [text for text in (*asked, *(unit.text for unit in units)) if text.strip()[:1] in CLOSING_MARKS]
    assert "".join(unit.text for unit in units).split()[-1] == "AGAIN"


@pytest.mark.parametrize(
    ("text", "without"),
    [
        (", porque", " porque"),
        (".” Sim", " Sim"),
        ("。因为", "因为"),
        (" , y", " y"),
        ("¿Qué", "¿Qué"),
        (".5 %", ".5 %"),
        ("", ""),
    ],
)
def test_late_marks(text: str, without: str) -> None:
    assert without_late_marks(text) == without


def test_words_that_are_only_marks_are_late_at_the_start_alone() -> None:
    words = pieces_of("+, +. we +, go")
    assert text_of(without_late_words(words)) == "we, go"
    assert without_late_words(pieces_of("+.5 percent"))[0].text == ".5"


def choice(said: str, candidate: str, everything: str, source: str = "a b c d e f", **options) -> Choice:
    words = [Word(f" {word}", 0.0, 0.1, 0.9) for word in source.split()]
    own = Suffix.of(said, candidate)
    return Choice(words, 0, source, options.get("terms", ()), said, own, len(own.units), Suffix.of(said, everything))


def test_a_comma_that_everything_confirms_goes_with_the_unit_that_is_said() -> None:
    said = choice("", "Feche a janela.", "Feche a janela, porque está frio.").release(3, True, False)
    assert said is not None
    assert (said.text, said.whole) == ("Feche a janela,", True)
    for everything in ("Feche a janela", "Feche a porta, porque"):
        other = choice("", "Feche a janela.", everything).release(3, True, False)
        assert other is not None
        assert other.text == "Feche a janela"


def terms_in(source: str, **targets: str) -> tuple[Term, ...]:
    return Glossary([Entry(word, (target,), "g", 1) for word, target in targets.items()]).terms_in(source, "en", "pt")


def test_a_part_covers_no_term_that_is_still_to_come_and_those_that_it_says() -> None:
    source = "they had leisure for considering it"
    terms = terms_in(source, leisure="lazer")
    late = choice("", "eles a consideraram com lazer", "", source, terms=terms)
    part = late.release(4, True, False)
    assert part is not None
    assert (part.text, part.count, part.whole) == ("eles a consideraram com", 2, False)
    early = choice("", "lazer eles tinham para isso", "", source, terms=terms).release(1, True, False)
    assert early is not None
    assert (early.text, early.count) == ("lazer", 3)


def test_where_a_term_comes_first_its_part_waits_for_it_unless_overdue() -> None:
    source = "leisure for considering it"
    waiting = choice("", "para considerar isso com lazer aqui", "", source, terms=terms_in(source, leisure="lazer"))
    assert waiting.release(3, True, False) is None
    overdue = waiting.release(3, True, True)
    assert overdue is not None
    assert overdue.text == "para considerar isso com lazer"


@pytest.mark.parametrize(
    ("units", "overdue", "said"),
    [
        (5, True, "procuro presente"),
        (5, False, "procuro presente para a minha"),
        (7, True, "procuro presente para a minha avó hoje"),
    ],
)
def test_an_overdue_part_does_not_end_with_a_function_word(units: int, overdue: bool, said: str) -> None:
    """An article that was said decides the noun ("para a | minha avó aniversário")."""
    own = replace(
        choice("", "procuro presente para a minha avó hoje", ""), function_words=frozenset(("para", "a", "minha"))
    )
    part = own.release(units, True, overdue)
    assert part is not None
    assert part.text == said


def test_an_overdue_part_that_is_only_function_words_waits_for_the_next() -> None:
    own = replace(choice("", "O seu voo está atrasado", ""), function_words=frozenset(("o", "seu")))
    assert own.release(2, True, True) is None


@dataclass(frozen=True)
class Exact(ToyTranslator):
    """Says "Big Red" for every term, as a constrained search would."""

    def translate(self, request: TranslationRequest) -> Translation:
        terms = {term.source.upper(): term.targets[0] for term in request.terms}
        text = ToyTranslator.translate(self, request).text
        said = len(request.prefix)
        tokens = [terms.get(token.strip(".,"), token) for token in text[said:].split()]
        return Translation(" ".join([request.prefix.strip(), *tokens]).strip())


@settings(max_examples=120, deadline=None)
@given(
    kinds=st.lists(st.sampled_from("nnnvc"), min_size=4, max_size=30),
    verb_final=st.booleans(),
    latency=st.sampled_from(["low", "balanced"]),
    data=st.data(),
)
def test_a_unit_that_covers_a_term_holds_its_target(
    kinds: list[str], verb_final: bool, latency: str, data: st.DataObject
) -> None:
    tokens = ["and" if kind == "c" else f"{kind}{number}" for number, kind in enumerate(kinds)]
    numbered = [token for token in tokens if token != "and"]
    chosen = data.draw(st.sets(st.sampled_from(numbered), max_size=2)) if numbered else set()
    glossary = Glossary([Entry(token, (f"T{token}",), "g", 1) for token in sorted(chosen)])
    words = tuple(Word(f" {token}", at * 0.3, at * 0.3 + 0.25, 0.9) for at, token in enumerate(tokens))
    policy = AgreementUnits("en", "ja", AgreementOptions(latency=latency), glossary)
    units = units_of(policy, Speech(words, 0.3, 0.1).transcripts(), Exact(verb_final).translate)
    assert [word for unit in units for word in unit.source] == list(words)
    for unit in units:
        covered = {word.text.strip() for word in unit.source}
        assert all(f"T{token}" in unit.text for token in chosen & covered)


def short(request: TranslationRequest) -> Translation:
    """Find a committed prefix complete whatever follows, and be unsure of the sixth word and those behind it."""
    words = request.source.upper().split()
    return Translation(request.prefix or " ".join(words if len(words) <= 8 else [*words[:5], "X"]))


@pytest.mark.parametrize(
    ("text", "said", "language"),
    [
        ("n0 n1 n2 n3, n4 n5", ["N0 N1 N2 N3"], "en"),  # said as a whole: nothing translates the rest
        ("n0 n1 n2 n3 n4 n5 n6 n7 n8 n9", ["N0 N1 N2 N3"], "es"),  # said in part: the rest of it was taken back
    ],
)
def test_words_for_which_a_sentence_adds_nothing_are_not_shown_as_its_translation(
    text: str, said: list[str], language: str
) -> None:
    words = pieces_of(text)
    heard = Transcript(tuple(words[:-2]), tuple(words[-2:]), "en", words[-2].end, 0.0, False)
    units = units_of(
        POLICIES["agreement"](), [heard, Transcript(tuple(words[-2:]), (), "en", words[-1].end, 0.5, True)], short
    )
    assert [word for unit in units for word in unit.source] == words
    assert [unit.text.strip(",") for unit in units] == [*said, ""]
    assert units[-1].language == language


def young_man(request: TranslationRequest) -> Translation:
    """Shout; "young man" is one word, as in Portuguese."""
    text = request.source.upper().replace("YOUNG MAN", "YOUNG")
    return Translation(text if text.startswith(request.prefix) else f"{request.prefix} {text}")


def test_words_that_the_unit_before_says_too_are_not_told_as_untranslated() -> None:
    words = pieces_of("he was a kind young man")
    heard = Transcript(tuple(words[:-1]), tuple(words[-1:]), "en", words[-1].end, 0.0, False)
    units = units_of(
        POLICIES["agreement"](), [heard, Transcript(tuple(words[-1:]), (), "en", words[-1].end, 0.8, True)], young_man
    )
    assert [(unit.text, unit.language) for unit in units] == [("HE WAS A KIND YOUNG", "es"), ("", "es")]
    assert text_of(units[-1].source).strip() == "man"


def comma_later(request: TranslationRequest) -> Translation:
    """Shout; the fourth word ends the sentence, or has a comma if more was heard."""
    words = request.source.upper().replace(",", "").split()
    text = " ".join(words[:4]) + ("." if len(words) <= 4 else ", " + " ".join(words[4:]))
    return Translation(text if text.startswith(request.prefix) else request.prefix)


def test_a_comma_that_the_next_words_bring_is_said_before_them() -> None:
    words = pieces_of("please close the window, because the children freeze")
    units = units_of(POLICIES["agreement"](), heard_by_word(words), comma_later)
    assert "".join(unit.text for unit in units) == "PLEASE CLOSE THE WINDOW, BECAUSE THE CHILDREN FREEZE"
    assert units[0].text == "PLEASE CLOSE THE WINDOW,"
