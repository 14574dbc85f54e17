"""`AgreementUnits` against a scripted translator of a toy language: each bound of the policy as a property."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.toy_language import Speech, ToyTranslator, bare
from pipeline.contracts import Translation, TranslationRequest
from pipeline.errors import BadInput
from pipeline.events import Draft, ReadingUnit, Transcript, Word, text_of
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.policies.agreement_units import PROBE, AgreementUnits
from pipeline.policies.options import AgreementOptions
from pipeline.scripts import speakable

STEP_S = 0.25  # between calls


@dataclass
class Run:
    """The units a policy made of a stream."""

    units: list[ReadingUnit] = field(default_factory=list)
    drafts: list[tuple[float, Draft]] = field(default_factory=list)
    asks: list[tuple[float, tuple[TranslationRequest, ...]]] = field(default_factory=list)
    committed_s: dict[Word, float] = field(default_factory=dict)

    @property
    def said(self) -> list[str]:
        return [bare(word) for unit in self.units for word in unit.text.split()]


def run(pieces: list[Transcript], translator: ToyTranslator, policy: AgreementUnits) -> Run:
    result = Run()
    for number, piece in enumerate(pieces):
        result.committed_s.update(dict.fromkeys(piece.committed, piece.heard_s))
        policy.hear(piece, final=number == len(pieces) - 1)
        while requests := policy.ask():
            assert len(result.asks) < 20 + 20 * len(pieces), "ask() does not come to an end"
            result.asks.append((piece.heard_s, requests))
            reading = policy.read([translator.translate(request) for request in requests])
            result.units += reading.units
            result.drafts += [(piece.heard_s, reading.draft)] if reading.draft else []
    return result


def policy(latency: str = "balanced", glossary: Glossary | None = None, target: str = "de") -> AgreementUnits:
    return AgreementUnits("en", target, AgreementOptions(latency=latency), glossary)


def spoken(text: str, gap_s: float = 0.05, word_s: float = 0.25) -> tuple[Word, ...]:
    """Words with a pause of a second for each ``|``."""
    words: list[Word] = []
    clock_s = 0.0
    for token in text.split():
        if token == "|":
            clock_s += 1.0
            continue
        words.append(Word(f" {token}", clock_s, clock_s + word_s, 0.9))
        clock_s += word_s + gap_s
    return tuple(words)


@st.composite
def speeches(draw: st.DrawFn, flowing: bool | None = None) -> Speech:
    """Words in random rhythm; a ``flowing`` speech has neither pauses nor marks."""
    flowing = draw(st.booleans()) if flowing is None else flowing
    kinds = draw(st.lists(st.sampled_from("nnnnnvc"), min_size=1, max_size=40))
    pauses_s = [0.0, 0.0, 0.05, 0.1] + ([] if flowing else [0.3, 0.5, 0.8, 2.0])
    clock_s, words = 0.0, []
    for number, kind in enumerate(kinds):
        clock_s += draw(st.sampled_from(pauses_s))
        text = f"{kind}{number}" if kind != "c" else "and"
        mark = "" if flowing else draw(st.sampled_from(["", "", "", "", ",", "."]))
        end_s = clock_s + draw(st.sampled_from([0.1, 0.2, 0.3, 0.5]))
        probability = draw(st.sampled_from([0.9, 0.9, 0.3]))
        words.append(Word(f" {text}{mark}", round(clock_s, 3), round(end_s, 3), probability))
        clock_s = end_s
    lag_s, period_s, ended_s = (
        draw(st.sampled_from(choices)) for choices in ((0.0, 0.3, 1.0), (0.1, 0.25, 0.4), (0.5, 9.0))
    )
    return Speech(tuple(words), lag_s, period_s, ended_s)


translators = st.builds(ToyTranslator, st.booleans(), st.booleans(), st.booleans())
latencies = st.sampled_from(["low", "balanced", "quality"])


@settings(max_examples=250, deadline=None)
@given(speeches(), translators, latencies)
def test_every_word_in_one_unit_and_its_translation_said_once(
    speech: Speech, translator: ToyTranslator, latency: str
) -> None:
    result = run(speech.transcripts(), translator, policy(latency))
    assert [word for unit in result.units for word in unit.source] == list(speech.words)
    assert [unit.number for unit in result.units] == list(range(len(result.units)))
    assert all(speakable(unit.text) and unit.language == "de" for unit in result.units)
    assert Counter(result.said) == Counter(word.text.strip(" .,").upper() for word in speech.words)


@settings(max_examples=150, deadline=None)
@given(speeches(), translators, latencies)
def test_only_committed_words_are_said(speech: Speech, translator: ToyTranslator, latency: str) -> None:
    result = run(speech.transcripts(), translator, policy(latency))
    committed_s = {word.text.strip(" .,").upper(): at_s for word, at_s in result.committed_s.items()}
    for unit in result.units:
        assert all(committed_s[bare(word)] <= unit.heard_s for word in unit.text.split() if bare(word) != "AND")


@settings(max_examples=250, deadline=None)
@given(speeches(), translators, latencies)
def test_every_word_is_covered_within_the_bound(speech: Speech, translator: ToyTranslator, latency: str) -> None:
    options = AgreementOptions(latency=latency)
    result = run(speech.transcripts(), translator, policy(latency))
    bound_s = options.starved * options.budget_s("en", "de") + STEP_S + speech.period_s
    for unit in result.units:
        for word in unit.source:
            assert unit.heard_s - result.committed_s[word] <= bound_s + 1e-6


@settings(max_examples=150, deadline=None)
@given(speeches(), translators)
def test_silence_says_everything(speech: Speech, translator: ToyTranslator) -> None:
    result = run(speech.transcripts(), translator, policy("quality"))
    for unit in result.units:
        silent_since_s = max(result.committed_s[unit.source[-1]], unit.end)
        following = [word.start for word in speech.words if word.start >= unit.end]
        if not following or min(following) - silent_since_s > 0.7 + speech.period_s:
            assert unit.heard_s - silent_since_s <= 0.7 + speech.period_s


@settings(max_examples=150, deadline=None)
@given(speeches(flowing=True), translators)
def test_calls_and_drafts_are_spaced(speech: Speech, translator: ToyTranslator) -> None:
    pieces = speech.transcripts()
    talking = [piece for piece in pieces if piece.heard_s <= speech.words[-1].end]
    result = run(talking, translator, policy()) if talking else Run()
    last_s = talking[-1].heard_s if talking else 0.0
    asked = [at_s for at_s, requests in result.asks if at_s < last_s and requests[0].prefix != PROBE]
    repeated = 2  # what a probe interrupts, and what is asked anew without prefix, is asked at once, each once a session
    assert len(asked) <= repeated + 1 + last_s / STEP_S
    shown = [at_s for at_s, draft in result.drafts if draft.text]
    released = {unit.heard_s for unit in result.units}
    updates = [at_s for at_s in shown if at_s not in released]
    assert all(after - before >= 0.5 - 1e-6 for before, after in zip(updates, updates[1:], strict=False))


def test_a_monotone_translation_is_said_at_the_clause_boundary_at_once() -> None:
    speech = Speech(spoken("n1 v2 n3 and n4 v5 n6 n7."), lag_s=0.0, period_s=0.1)
    result = run(speech.transcripts(), ToyTranslator(verb_final=False), policy())
    first = result.units[0]
    assert text_of(first.source) == "n1 v2 n3"
    assert first.heard_s - speech.words[3].end <= 0.1 + 1e-6  # as soon as the conjunction was heard


def test_a_verb_final_target_waits_for_the_rest_of_the_clause() -> None:
    speech = Speech(spoken("n1 v2 n3 n4 and n5 v6 n7."), lag_s=0.0, period_s=0.1)
    result = run(speech.transcripts(), ToyTranslator(verb_final=True), policy(target="ja"))
    assert result.units[0].text.split() == ["N1", "N3", "N4", "V2"]


def test_at_the_deadline_only_what_is_agreed_is_said_and_the_verb_comes_when_its_clause_is_over() -> None:
    speech = Speech(spoken("n1 v2 " + " ".join(f"n{n}" for n in range(3, 16)) + "."), lag_s=0.0, period_s=0.1)
    result = run(speech.transcripts(), ToyTranslator(verb_final=True), policy("low"))
    assert len(result.units) > 2
    assert result.said == ["N1", *(f"N{n}" for n in range(3, 16)), "V2"]


def contrary(request: TranslationRequest) -> Translation:
    """A translator that forces the prefix and changes everything else with every word."""
    count = len(request.source.split())
    words = [f"w{count}x{place}" for place in range(len(request.prefix.split()), count)]
    return Translation(f"{request.prefix} {' '.join(words)}".strip())


def test_starved_of_agreement_it_speaks_anyway_and_asks_four_times_a_second_at_most() -> None:
    units = policy()
    heard: list[ReadingUnit] = []
    asked = 0
    pieces = Speech(spoken("n " * 90, gap_s=0.0, word_s=0.1), lag_s=0.3, period_s=0.05).transcripts()
    for piece in pieces:
        units.hear(piece)
        while requests := units.ask():
            asked += requests[0].prefix != PROBE
            heard += units.read([contrary(request) for request in requests]).units
    assert heard[0].heard_s == pytest.approx(3.0, abs=STEP_S + 0.06)
    assert len(heard) > 2
    assert 2.5 <= asked / pieces[-1].heard_s <= 1 / STEP_S


def test_starved_where_no_boundary_is_good_it_speaks_anyway() -> None:
    speech = Speech(spoken("of the " * 12), lag_s=0.0, period_s=0.1)
    result = run(speech.transcripts(), ToyTranslator(verb_final=False), policy())
    assert result.units[0].heard_s == pytest.approx(3.0, abs=STEP_S + 0.11)


def test_a_sentence_that_is_said_before_it_ends_is_over_all_the_same() -> None:
    speech = Speech(spoken("n1 v2 n3 n4 n5, | n6 v7 n8 n9."), lag_s=0.0, period_s=0.1, ended_s=9.0)
    result = run(speech.transcripts(), ToyTranslator(verb_final=False), policy("low"))
    later = [request for at_s, requests in result.asks if at_s > speech.words[5].end for request in requests]
    assert [unit.text for unit in result.units] == ["N1 V2 N3 N4 N5", "N6 V7 N8 N9."]
    assert all(request.context == (("n1 v2 n3 n4 n5,", "N1 V2 N3 N4 N5"),) and not request.prefix for request in later)


def test_texts_of_a_sentence_concatenate_to_what_was_committed_as_prefix() -> None:
    speech = Speech(spoken("n1 v2 n3, n4 v5 n6, n7 v8 n9 and n10 v11 n12. | n13 v14."), lag_s=0.2, period_s=0.1)
    result = run(speech.transcripts(), ToyTranslator(verb_final=False), policy())
    said = ""
    for unit in result.units:
        said = (said if unit.text.startswith(" ") else "") + unit.text
        later = [r.prefix for at_s, rs in result.asks if at_s > unit.heard_s for r in rs if r.prefix]
        assert not later or later[0].startswith(said[: len(later[0])])
    assert "".join(unit.text for unit in result.units).replace(".", ". ").split() == [
        *("N1", "V2", "N3", "N4", "V5", "N6", "N7", "V8", "N9", "AND", "N10", "V11", "N12."),
        *("N13", "V14."),
    ]


def test_finished_sentences_are_context_and_the_sentence_so_far_is_source() -> None:
    speech = Speech(spoken("n1 v2. | n3 v4. | n5 v6. | n7 v8 n9, n10 v11 n12."), lag_s=0.0, period_s=0.1)
    result = run(speech.transcripts(), ToyTranslator(verb_final=False), policy())
    last = result.asks[-1][1][0]
    assert last.context == (("n3 v4.", "N3 V4."), ("n5 v6.", "N5 V6."))
    assert last.source == "n7 v8 n9, n10 v11 n12."
    assert last.prefix == "N7 V8 N9"


@pytest.mark.parametrize("text", ["n1 v2 n3, n4 v5 n6, n7 v8 n9 " * 3, "n1 v2 " + "n3 " * 20, "n1 n2 n3 n4 v5 " * 5])
def test_a_translator_that_ignores_the_prefix_is_found_out_and_units_are_translated_alone(text: str) -> None:
    speech = Speech(spoken(text), lag_s=0.3, period_s=0.1)
    result = run(speech.transcripts(), ToyTranslator(verb_final=True, forces_prefix=False), policy("low"))
    assert len(result.units) > 2
    for unit in result.units:
        assert [bare(word) for word in unit.text.split()] == ToyTranslator(verb_final=True).words(text_of(unit.source))


def test_what_cannot_be_translated_is_shown_in_the_source_language_and_the_talk_goes_on() -> None:
    units = policy()
    pieces = Speech(spoken("n1 v2 n3. | n4 v5 n6."), lag_s=0.0, period_s=0.1).transcripts()
    released: list[ReadingUnit] = []
    for number, piece in enumerate(pieces):
        units.hear(piece, final=number == len(pieces) - 1)
        while requests := units.ask():
            broken = "n1" in requests[0].source and not requests[0].draft
            reading = units.fail() if broken else units.read([ToyTranslator().translate(request) for request in requests])
            released += reading.units
    assert [(unit.text, unit.language) for unit in released] == [("n1 v2 n3.", "en"), ("N4 N6 V5.", "de")]


class LeavesOut:
    """Translator that leaves out the last word of a sentence that has begun."""

    def translate(self, request: TranslationRequest) -> Translation:
        words = request.source.split()
        return ToyTranslator().translate(replace(request, source=" ".join(words[: -1 if request.prefix else None])))


@pytest.mark.parametrize(("last", "said"), [("and", ["N1", "N2", "N3", "AND"]), ("n4", ["N1", "N2", "N3"])])
def test_a_conjunction_that_the_translation_leaves_out_is_said_alone(last: str, said: list[str]) -> None:
    units, released, heard = policy(), list[ReadingUnit](), spoken(f"n1 n2 n3 {last}")
    for committed, heard_s, ended in [(heard[:3], 3.0, False), (heard[3:], 6.0, True)]:
        units.hear(Transcript(committed, (), "en", heard_s, 0.5, ended))
        while requests := units.ask():
            released += units.read([LeavesOut().translate(request) for request in requests]).units
    assert [bare(word) for unit in released for word in unit.text.split()] == said
    assert [word.text.strip() for unit in released for word in unit.source] == ["n1", "n2", "n3", last]


def test_a_change_of_language_ends_the_sentence() -> None:
    units = policy()
    units.hear(Transcript(spoken("n1 v2"), (), "en", 0.6, 0.0, False))
    later = tuple(Word(word.text, word.start + 0.6, word.end + 0.6, 0.9) for word in spoken("n3 v4"))
    units.hear(Transcript(later, (), "fr", 1.2, 0.0, True))
    languages = []
    while requests := units.ask():
        languages.append((requests[0].source, requests[0].source_language))
        units.read([ToyTranslator().translate(request) for request in requests])
    assert languages == [("n1 v2", "en"), ("n3 v4", "fr")]


def test_terms_go_with_the_request_and_a_half_heard_term_is_not_cut() -> None:
    known = Glossary([Entry("n3 n4", ("N3 N4",), "g", 1)])
    speech = Speech(
        spoken("n1 v2 n3", gap_s=0.1)
        + tuple(Word(word.text, word.start + 1.4, word.end + 1.4, 0.9) for word in spoken("n4 n5 v6 and n7 n8 n9")),
        lag_s=0.0,
        period_s=0.1,
        ended_s=9.0,
    )
    result = run(speech.transcripts(), ToyTranslator(verb_final=False), policy(glossary=known))
    assert all(text_of(unit.source[-1:]) != "n3" for unit in result.units)
    assert {term.source for _, requests in result.asks for request in requests for term in request.terms} == {"n3 n4"}
    assert all(
        bool(request.terms) == ("n3 n4" in request.source)
        for _, rs in result.asks
        for request in rs
        if request.prefix != PROBE
    )


@dataclass(frozen=True)
class WithTerm(ToyTranslator):
    """Says "Big Red Five" for n5, as a constrained search would."""

    def translate(self, request: TranslationRequest) -> Translation:
        plain = super().translate(replace(request, prefix=request.prefix.replace("Big Red Five", "N5")))
        return Translation(plain.text.replace("N5", "Big Red Five"))


def test_a_part_of_a_translation_does_not_end_inside_a_demanded_term() -> None:
    known = Glossary([Entry("n5", ("Big Red Five",), "g", 1)])
    speech = Speech(spoken("n1 v2 " + " ".join(f"n{n}" for n in range(3, 16)) + "."), lag_s=0.0, period_s=0.1)
    free, bound = (run(speech.transcripts(), WithTerm(), policy("low", glossary)) for glossary in (None, known))
    assert any(bare(unit.text.split()[-1]) in {"Big", "Red"} for unit in free.units)
    assert not any(bare(unit.text.split()[-1]) in {"Big", "Red"} for unit in bound.units)
    assert sorted(bound.said) == sorted(["N1", "V2", "N3", "N4", "Big", "Red", "Five", *(f"N{n}" for n in range(6, 16))])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["กขคงจ", "ကခဂဃ", "កខគឃ", "我你他是", "のにはを", " abcde"]), st.data())
def test_no_letter_is_lost_where_words_run_on(letters: str, data: st.DataObject) -> None:
    """Text that is its own translation comes out whole, in scripts with and without spaces."""
    pieces = data.draw(st.lists(st.text(letters[1:], min_size=1, max_size=4), min_size=1, max_size=40))
    space = " " if letters.startswith(" ") else ""
    words = tuple(Word(space + text, 0.3 * at, 0.3 * at + 0.3, 0.9) for at, text in enumerate(pieces))
    units, said = AgreementUnits("th", "th"), ""
    for at in range(0, len(words), 3):
        units.hear(Transcript(words[at : at + 3], words[at + 3 : at + 5], "th", 0.3 * at, 0.0, False), at + 3 >= len(words))
        while requests := units.ask():
            said += "".join(unit.text for unit in units.read([Translation(one.source) for one in requests]).units)
    assert said.replace(" ", "") == "".join(pieces)


def test_an_unknown_latency_class_names_the_valid_ones() -> None:
    with pytest.raises(BadInput, match="did you mean 'balanced'"):
        AgreementOptions(latency="balnced")


class Spanish:
    """Translates a question word by word, but for its first two; it is marked as one from its beginning on."""

    words = ("¿Sabes", "dónde", "está", "la", "estación")

    def translate(self, request: TranslationRequest) -> Translation:
        count = max(1, len(request.source.split()) - 2)
        text = " ".join(self.words[:count]) + ("?" if request.source.endswith("?") else "")
        return Translation(text if text.startswith(request.prefix) else f"{request.prefix} {text}")


@pytest.mark.parametrize("latency", ["low", "balanced", "quality"])
def test_a_spanish_question_keeps_both_its_marks_in_units(latency: str) -> None:
    speech = Speech(spoken("do you know where the station is?"), 0.3, 0.1, 0.5)
    result = run(speech.transcripts(), Spanish(), policy(latency, target="es"))
    assert len(result.units) > 1
    assert "".join(unit.text for unit in result.units) == "¿Sabes dónde está la estación?"
