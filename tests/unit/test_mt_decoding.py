"""The decoder on a model path that misbehaves: what fails its check is searched again, once, and the better is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
import torch

from models.mt.decoding import NO_REPEAT, Decoder, Prompt
from models.mt.terms.vocabulary import Vocabulary
from pipeline.contracts import Term, TranslationRequest

WORDS = [" la", " casa", " verde", " es", " grande", " sol", " de", " 2024", " Transformer", " .", "."]
PIECES = [b"", b"", b"", *(word.encode() for word in WORDS), *(bytes([byte]) for byte in range(32, 256))]
END = 2


@dataclass
class Habits:
    """Says ``first`` (and ``later`` once its context is gone) with great certainty, word by word, unless hindered."""

    first: str
    later: str | None = None
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(PIECES))
    ends: tuple[int, ...] = (END,)
    searches: list[int] = field(default_factory=list)

    def prompt(self, request: TranslationRequest) -> Prompt:
        script = self.first if request.context or self.later is None else self.later
        prefix = tuple(PIECES.index(f" {word}".encode()) for word in request.prefix.split())
        number = {self.first: 0, self.later: 1}[script]
        return Prompt((number,), prefix, len(request.source.split()), group=len(prefix))

    def step_model(self, prompts: Sequence[Prompt], needed):
        self.searches.append(len(prompts))
        return Saying(
            [(self.first, self.later)[prompt.source[0]] for prompt in prompts], [len(one.target) for one in prompts]
        )


class Saying:
    """The stepper of `Habits`: a script of words, an end after it, everything else far away."""

    def __init__(self, scripts: Sequence[str], begun: Sequence[int]) -> None:
        self.scripts = [[PIECES.index(f" {word}".encode()) for word in script.split()] for script in scripts]
        self.begun = begun

    def start(self, beams, room):
        self.beams = beams
        self.histories = [()] * (len(self.scripts) * beams)
        return self.scores()[::beams].contiguous()

    def step(self, moves):
        self.histories = [(*self.histories[origin], token) for origin, token in moves.T.tolist()]
        return self.scores()

    def scores(self):
        scores = torch.full((len(self.histories), len(PIECES)), -9.0)
        scores[:, :2] = -60.0
        scores[:, len(WORDS) + 3 :] = -12.0  # single bytes
        for row, history in enumerate(self.histories):
            script = self.scripts[row // self.beams]
            said = self.begun[row // self.beams] + sum(token in script for token in history)
            scores[row, script[said] if said < len(script) else END] = 3.0
        return scores.log_softmax(-1)


def ask(source: str, **changes) -> TranslationRequest:
    return TranslationRequest(source, "en", "es", **changes)


def test_a_model_that_obeys_is_searched_once():
    model = Habits("la casa verde es grande")
    (said,) = Decoder(model, 4, 99).translate([ask("the green house is big", terms=(Term("x", ("casa",)),))])
    assert (said.text, said.notices) == ("la casa verde es grande", ())
    assert model.searches == [1]


def test_only_what_fails_is_searched_with_its_terms():
    model = Habits("la casa verde es grande")
    terms = (Term("x", ("Transformer",)), Term("y", ("verde",), mode="ban"))
    obeyed, plain = Decoder(model, 4, 99).translate([ask("the house is big", terms=terms), ask("the green house is big")])
    assert plain.text == "la casa verde es grande"
    assert "Transformer" in obeyed.text.split()
    assert "verde" not in obeyed.text.split()
    assert model.searches == [2, 1]


def test_a_model_that_loops_is_tried_once_more_without_its_context():
    loop = "la casa " * 30
    model = Habits(loop, "la casa verde es grande")
    (said,) = Decoder(model, 4, 99).translate([ask("the green house is big", context=(("a", "b"),))])
    assert (said.text, said.notices) == ("la casa verde es grande", ())


def test_a_model_that_always_loops_ends_at_the_cap_and_the_better_comes_with_a_notice():
    loop = "la casa " * 60
    (said,) = Decoder(Habits(loop), 4, 99).translate([ask("the green house that we have built is large")])
    words = said.text.split()
    assert len(words) <= 40
    assert len(words) >= NO_REPEAT
    assert said.notices == () or "doubtful" in said.notices[0].message
    (greedy,) = Decoder(Habits(loop), 4, 99).translate([ask("the green house that we have built is large", draft=True)])
    assert "la casa la casa la casa la casa" in greedy.text, "without the second try it would have looped"
    assert "la casa la casa la casa la casa" not in said.text


def test_a_lost_number_is_demanded_on_the_second_try():
    (said,) = Decoder(Habits("la casa es de"), 4, 99).translate([ask("the house is of 2024 and green")])
    assert "2024" in said.text
    assert said.notices == ()


def test_what_stays_wrong_is_said_in_a_notice():
    (said,) = Decoder(Habits("sol"), 1, 99).translate(
        [ask("the house that we have built by the sea is very large and green")]
    )
    assert "far shorter" in said.notices[0].message


def test_a_term_is_said_again_only_if_the_prefix_does_not_say_it():
    model = Habits("la casa verde es grande")
    terms = (Term("x", ("casa",)),)
    (said,) = Decoder(model, 4, 99).translate([ask("the green house is big", prefix="la casa", terms=terms)])
    assert said.text == "la casa verde es grande"
    assert model.searches == [1]


@dataclass
class Copying(Habits):
    """Says what ``scripts`` has for a source; a source that it does not know is an error of the test."""

    scripts: dict[str, str] = field(default_factory=dict)

    def prompt(self, request: TranslationRequest) -> Prompt:
        number = list(self.scripts).index(request.source)
        prefix = tuple(PIECES.index(f" {word}".encode()) for word in request.prefix.split())
        return Prompt((number,), prefix, len(request.source.split()), group=len(prefix))

    def step_model(self, prompts: Sequence[Prompt], needed):
        self.searches.append(len(prompts))
        scripts = list(self.scripts.values())
        return Saying([scripts[prompt.source[0]] for prompt in prompts], [len(one.target) for one in prompts])


FREE, SWITCHED = "the green house is big", "the green Transformer is big"
GLOSSARY = (Term("house", ("Transformer",), spans=((10, 15),)),)


def test_a_term_that_the_model_would_not_say_is_said_where_its_source_words_stand():
    model = Copying("", scripts={FREE: "la casa verde es grande", SWITCHED: "la Transformer verde es grande"})
    said, plain = Decoder(model, 4, 99).translate([ask(FREE, terms=GLOSSARY), ask(FREE)])
    assert (said.text, said.notices) == ("la Transformer verde es grande", ())
    assert said.score == pytest.approx(plain.score, abs=0.1)
    assert model.searches == [2, 3], "all ways are searched in one batch, and only for the text that lacks its term"


def test_the_spans_of_terms_are_places_in_the_text_as_it_was_given():
    model = Copying("", scripts={FREE: "la casa verde es grande", SWITCHED: "la Transformer verde es grande"})
    term = replace(GLOSSARY[0], spans=((14, 19),))
    (said,) = Decoder(model, 4, 99).translate([ask("  the\x07 \u200bgreen house  is big", terms=(term,))])
    assert said.text == "la Transformer verde es grande"


def test_terms_that_are_said_anyway_stay_in_the_source():
    source, terms = "the house of the sun", (Term("house", ("casa",), spans=((4, 9),)), Term("sun", ("Transformer",)))
    terms = (terms[0], replace(terms[1], spans=((17, 20),)))
    scripts = {source: "la casa de sol", "the house of the Transformer": "la casa de Transformer"}
    (said,) = Decoder(Copying("", scripts=scripts), 4, 99).translate([ask(source, terms=terms)])
    assert (said.text, said.notices) == ("la casa de Transformer", ())


def test_the_source_as_it_is_wins_where_the_other_is_no_likelier():
    model = Copying("", scripts={FREE: "la casa verde es grande", SWITCHED: "sol sol sol sol sol"})
    (said,) = Decoder(model, 4, 99).translate([ask(FREE, terms=GLOSSARY)])
    assert {"Transformer", "casa"} <= set(said.text.split())


@pytest.mark.parametrize("draft", [False, True])
def test_a_text_that_its_terms_spoil_is_reported_unless_it_is_a_draft(draft):
    model = Copying("", scripts={FREE: "la casa verde es grande", SWITCHED: "la casa verde es grande"})
    for terms in (GLOSSARY, (replace(GLOSSARY[0], spans=()),)):
        (said,) = Decoder(model, 4, 99).translate([ask(FREE, terms=terms, draft=draft)])
        assert "Transformer" in said.text
        assert [("nats a token less likely" in one.message) for one in said.notices] == [True] * (not draft)
