"""`AgreementUnits`: what it asks, and what it makes of answers that fail or do not begin as they should."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from benchmarks.toy_language import Speech, ToyTranslator, bare
from pipeline.contracts import Translation, TranslationRequest
from pipeline.events import Draft, ReadingUnit, Transcript, Word, text_of
from pipeline.policies.decision import PROBE
from tests.unit.test_reading_units_agreement import policy, run, spoken


def units_of(
    speech: Speech, translate: Callable[[TranslationRequest], Translation | None], latency: str = "low"
) -> tuple[list[ReadingUnit], list[TranslationRequest]]:
    """The units, and what was asked; a translation that is None has failed."""
    units, asked = policy(latency), []
    released: list[ReadingUnit] = []
    pieces = speech.transcripts()
    for number, piece in enumerate(pieces):
        units.hear(piece, final=number == len(pieces) - 1)
        while requests := units.ask():
            assert len(asked) < 2000, "ask() does not come to an end"
            asked += requests
            answers = [answer for request in requests if (answer := translate(request))]
            released += (units.read(answers) if len(answers) == len(requests) else units.fail()).units
    assert [word for unit in released for word in unit.source] == list(speech.words)
    return released, asked


def test_words_that_are_only_tentative_are_drafted_once_and_not_too_often() -> None:
    units, words = policy(), spoken("n1 n2 n3 n4")

    def drafted(heard_s: float, tentative: Sequence[Word]) -> tuple[list[tuple[str, bool]], Draft | None]:
        units.hear(Transcript((), tuple(tentative), "en", heard_s, 0.0, False))
        requests = units.ask()
        reading = units.read([ToyTranslator().translate(one) for one in requests]) if requests else None
        return [(one.source, one.draft) for one in requests], reading.draft if reading else None

    assert drafted(1.0, ()) == ([], None)
    assert drafted(1.0, words[:2]) == ([("n1 n2", True)], Draft("N1", "de"))
    assert drafted(1.4, words[:3]) == ([], None)
    assert drafted(1.5, words[:3]) == ([("n1 n2 n3", True)], Draft("N1 N2 N3", "de"))
    assert drafted(2.5, words[:3]) == ([], None)
    assert drafted(3.5, [Word(" …", 1.0, 1.2, 0.9)]) == ([], None)


def test_a_part_of_a_translation_takes_its_share_of_the_words() -> None:
    speech = Speech(spoken("n1 v2 " + " ".join(f"n{n}" for n in range(3, 16)) + "."), lag_s=0.0, period_s=0.1)
    units = run(speech.transcripts(), ToyTranslator(verb_final=True), policy("low")).units
    assert len(units) > 2
    assert [len(unit.source) for unit in units] == [len(unit.text.split()) for unit in units]
    assert all(unit.end == unit.source[-1].end for unit in units)


def test_an_answer_that_does_not_begin_with_the_prefix_finds_a_translator_out() -> None:
    """Text after it is translated alone."""

    def fickle(request: TranslationRequest) -> Translation:
        text = request.source.upper()
        return Translation(
            f"{PROBE} {text}" if request.prefix == PROBE else f"LATE {text}" if text.count(" ") > 6 else text
        )

    speech = Speech(spoken("n1 v2 n3, n4 v5 n6, n7 v8 n9, n10 v11 n12, n13 v14 n15."), lag_s=0.0, period_s=0.1)
    units, asked = units_of(speech, fickle)
    assert all(unit.text.strip(" ,.") == text_of(unit.source).upper().strip(" ,.") for unit in units)
    forced = [bool(request.prefix) for request in asked if request.prefix != PROBE]
    assert [kind for kind, _ in groupby(forced)] == [False, True, False]


def test_where_probes_fail_units_are_translated_alone_and_where_drafts_fail_nothing_is_lost() -> None:
    speech = Speech(spoken("n1 v2 " + "n3 " * 20), lag_s=0.3, period_s=0.1)
    translator = ToyTranslator(verb_final=True)
    units, _ = units_of(speech, lambda request: None if request.prefix == PROBE else translator.translate(request))
    assert len(units) > 2
    for unit in units:
        assert [bare(word) for word in unit.text.split()] == translator.words(text_of(unit.source))
    units, _ = units_of(
        speech, lambda request: None if request.draft and request.prefix != PROBE else translator.translate(request)
    )
    assert [bare(word) for unit in units for word in unit.text.split()] == ["N1", *["N3"] * 20, "V2"]


def test_after_words_that_cannot_be_translated_a_sentence_goes_on_without_them() -> None:
    speech = Speech(spoken("n1 v2 n3, n4 v5 n6, n7 v8 n9, n10 v11 n12."), lag_s=0.0, period_s=0.1)
    translator = ToyTranslator(verb_final=False)
    units, asked = units_of(
        speech, lambda request: None if "n1 " in request.source and not request.draft else translator.translate(request)
    )
    assert (units[0].language, units[1].language) == ("en", "de")
    failed = max(place for place, request in enumerate(asked) if "n1 " in request.source)
    assert not any(
        word.text.strip() in request.source.split() for request in asked[failed + 1 :] for word in units[0].source
    )
