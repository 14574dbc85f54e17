"""`PauseUnits`: every word in one unit, in order; where units end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts import Translation
from pipeline.events import ReadingUnit, Transcript, Word, text_of
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.policies.pause_units import PauseOptions, PauseUnits
from pipeline.scripts import speakable


def words_of(text: str, gap_s: float = 0.05, word_s: float = 0.25) -> list[Word]:
    words = text.split()
    return [Word(f" {word}", n * (word_s + gap_s), n * (word_s + gap_s) + word_s, 0.9) for n, word in enumerate(words)]


def transcript(words: list[Word], ended: bool = False, silence_s: float = 0.0, language: str = "en") -> Transcript:
    heard_s = words[-1].end if words else 60.0
    return Transcript(tuple(words), (), language, heard_s + silence_s, silence_s, ended)


def units_of(pieces: list[Transcript], options: PauseOptions | None = None) -> list[ReadingUnit]:
    policy = PauseUnits("en", "es", options)
    units: list[ReadingUnit] = []
    for number, piece in enumerate(pieces):
        policy.hear(piece, final=number == len(pieces) - 1)
        while requests := policy.ask():
            units += policy.read([Translation(request.source.upper()) for request in requests]).units
    return units


def test_a_pause_ends_a_unit_and_the_next_begins_with_the_next_word() -> None:
    first, second = words_of("we met them by the river"), words_of("and then we left")
    late = [Word(word.text, word.start + 3.0, word.end + 3.0, word.probability) for word in second]
    units = units_of([transcript(first + late)])
    assert [text_of(unit.source) for unit in units] == ["we met them by the river", "and then we left"]
    assert (units[0].start, units[0].end) == (first[0].start, first[-1].end)


def test_without_pauses_a_unit_is_cut_before_a_conjunction_and_leaves_nothing_dangling() -> None:
    units = units_of([transcript(words_of("she walked slowly home because the road was full of snow"))])
    assert text_of(units[0].source) == "she walked slowly home"


def test_a_sentence_ends_a_unit_but_an_abbreviation_does_not() -> None:
    units = units_of([transcript(words_of("Stop. Mr. Bennet is here."))])
    assert [text_of(unit.source) for unit in units] == ["Stop.", "Mr. Bennet is here."]
    assert [unit.text for unit in units] == ["STOP.", "MR. BENNET IS HERE."]


def test_silence_says_what_is_open_at_once_unless_words_are_still_tentative() -> None:
    policy = PauseUnits("en", "es")
    words = words_of("good morning")
    policy.hear(transcript(words))
    assert policy.ask() == ()
    policy.hear(Transcript((), (words[0],), "en", 1.5, 0.9, False))
    assert policy.ask() == ()
    policy.hear(Transcript((), (), "en", 1.6, 1.0, False))
    assert [request.source for request in policy.ask()] == ["good morning"]


def test_a_change_of_language_ends_the_unit_in_the_old_language() -> None:
    policy = PauseUnits("en", "es")
    policy.hear(transcript(words_of("good morning")))
    policy.hear(transcript(words_of("guten tag"), ended=True, language="de"))
    assert [(request.source, request.source_language) for request in policy.ask()] == [
        ("good morning", "en"),
        ("guten tag", "de"),
    ]


def test_terms_go_with_the_unit_that_has_them_and_are_not_cut_by_the_word_limit() -> None:
    known = Glossary([Entry("tidal range", ("amplitud",), "g", 1)])
    policy = PauseUnits("en", "es", PauseOptions(min_words=2, max_words=4), known)
    policy.hear(transcript(words_of("one two tidal range five six seven eight"), ended=True))
    requests = policy.ask()
    assert [request.source for request in requests if request.terms] == ["one two tidal range"]
    without = PauseUnits("en", "es", PauseOptions(min_words=2, max_words=4))
    without.hear(transcript(words_of("one two tidal range five six seven eight"), ended=True))
    assert without.ask()[0].source == "one two tidal"


def test_what_cannot_be_translated_is_shown_in_the_source_language() -> None:
    policy = PauseUnits("en", "es")
    policy.hear(transcript(words_of("good morning"), ended=True))
    assert policy.ask()
    (unit,) = policy.fail().units
    assert (unit.text, unit.language, len(unit.source)) == ("good morning", "en", 2)
    assert policy.ask() == ()


spoken = st.lists(
    st.tuples(
        st.sampled_from(["and", "the", "house", "runs.", "Mr.", "no,", "...", "3.5", "a"]), st.sampled_from([0.0, 0.3, 0.8])
    ),
    max_size=40,
)


def stream(spoken: list[tuple[str, float]]) -> list[Word]:
    words, clock_s = [], 0.0
    for text, gap_s in spoken:
        words.append(Word(f" {text}", clock_s + gap_s, clock_s + gap_s + 0.25, 0.9))
        clock_s = words[-1].end
    return words


@settings(max_examples=150, deadline=None)
@given(spoken, st.lists(st.integers(0, 40), max_size=6))
def test_every_word_in_one_unit_in_order_however_the_words_are_grouped(
    drawn: list[tuple[str, float]], cuts: list[int]
) -> None:
    words = stream(drawn)
    edges = [0, *sorted(min(cut, len(words)) for cut in cuts), len(words)]
    pieces = [transcript(words[start:end]) for start, end in zip(edges, edges[1:], strict=False)]
    units = units_of([*pieces, Transcript((), (), "en", 60.0, 0.0, True)])
    said = [word for unit in units for word in unit.source]
    assert said == words[: len(said)]
    assert not any(speakable(word.text) for word in words[len(said) :])
    assert [unit.number for unit in units] == list(range(len(units)))
    assert all(speakable(unit.text) for unit in units)
    whole = units_of([transcript(words), Transcript((), (), "en", 60.0, 0.0, True)])
    assert [unit.source for unit in whole] == [unit.source for unit in units]


@settings(max_examples=100, deadline=None)
@given(spoken)
def test_no_unit_grows_past_the_limits(drawn: list[tuple[str, float]]) -> None:
    options = PauseOptions()
    for unit in units_of([transcript(stream(drawn))], options):
        audible = [word for word in unit.source if speakable(word.text)]
        assert len(audible) <= options.max_words
