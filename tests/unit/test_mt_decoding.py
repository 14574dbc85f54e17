"""The decoder on a model path that misbehaves: what fails its check is searched again, once, and the better is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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

    def step_model(self, prompts: Sequence[Prompt]):
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
