"""Models in numpy are searched as those in torch are, result for result, and without torch."""

import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from models.mt.decoding import Decoder, Prompt
from models.mt.search.beam_row import BeamOptions, SearchRequest
from models.mt.search.constrained_beam import search
from models.mt.search.model_interface import never_written
from models.mt.search.transfer import host_topk
from models.mt.terms.vocabulary import Vocabulary
from pipeline.contracts import Term, TranslationRequest

ROOT = Path(__file__).parents[2]
WORDS = [" la", " casa", " verde", " es", " grande", " sol"]
PIECES = [b"", b"", b"", *(word.encode() for word in WORDS), *(bytes([byte]) for byte in range(32, 256))]
SCRIPT = [PIECES.index(f" {word}".encode()) for word in ["la", "casa", "verde", "es", "grande"]]
END = 2


@dataclass
class Shortlisting:
    """An architecture in numpy that scores only the words of its script, the end and the tokens it is told of."""

    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(PIECES))
    ends: tuple[int, ...] = (END,)

    def prompt(self, request: TranslationRequest) -> Prompt:
        prefix = tuple(PIECES.index(f" {word}".encode()) for word in request.prefix.split())
        return Prompt((len(request.source),), prefix, len(request.source.split()), group=len(prefix))

    def step_model(self, prompts, needed):
        floors = np.full((len(prompts), len(PIECES)), -np.inf, np.float32)
        for floor, tokens in zip(floors, needed, strict=True):
            floor[[*SCRIPT, *tokens]] = -6.0
        return Saying([len(prompt.target) for prompt in prompts], floors + never_written(self.vocabulary, self.ends))


class Saying:
    """The step model of `Shortlisting`: the script, then the end."""

    def __init__(self, begun, floors):
        self.begun, self.floors = begun, floors

    def start(self, beams, room):
        self.beams = beams
        self.histories = [()] * (len(self.begun) * beams)
        return self.scores()[::beams]

    def step(self, moves):
        assert moves.dtype == np.int64
        self.histories = [(*self.histories[origin], token) for origin, token in moves.T.tolist()]
        return self.scores()

    def scores(self):
        scores = np.repeat(self.floors, self.beams, axis=0)
        for row, history in enumerate(self.histories):
            said = self.begun[row // self.beams] + sum(token in SCRIPT for token in history)
            scores[row, SCRIPT[said] if said < len(SCRIPT) else END] = 0.0
        return scores


def translate() -> list[str]:
    """Texts without terms, with a term, a ban and a committed prefix, and a draft."""
    terms = (Term("x", ("Transformer",)), Term("y", ("verde",), mode="ban"))
    decoder = Decoder(Shortlisting(), 4, 99)
    requests = [
        TranslationRequest("the green house is big", "en", "es"),
        TranslationRequest("the green house is big", "en", "es", terms=terms),
        TranslationRequest("the green house is big", "en", "es", prefix="la casa", terms=terms[:1]),
    ]
    draft = TranslationRequest("the green house is big", "en", "es", draft=True)
    return [one.text for one in (*decoder.translate(requests), *decoder.translate([draft]))]


def test_a_model_that_scores_a_shortlist_obeys_its_terms():
    plain, obeyed, begun, draft = translate()
    assert plain == draft == "la casa verde es grande"
    assert "Transformer" in obeyed.split()
    assert "verde" not in obeyed.split()
    assert begun.startswith("la casa ")
    assert "Transformer" in begun.split()


def test_a_text_scores_the_tokens_of_its_own_terms_only():
    """So that its score is the same alone as beside a text with terms, and the same with and without constraints."""
    seen = []

    class Watched(Shortlisting):
        def step_model(self, prompts, needed):
            seen.append([frozenset(tokens) for tokens in needed])
            return super().step_model(prompts, needed)

    terms = (Term("x", ("Transformer",)),)
    plain, obeying = (TranslationRequest("the house is big", "en", "es", terms=one) for one in ((), terms))
    Decoder(Watched(), 4, 99).translate([plain, obeying])
    (first, second), (third,) = seen
    assert first == {END}
    assert {PIECES.index(b"T"), END} < second == third


def test_torch_is_not_needed():
    code = "import sys; sys.modules['torch'] = None; from tests.unit import test_mt_numpy_search as t; print(t.translate())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(translate())


def test_numpy_and_torch_are_searched_alike():
    from models.mt.terms.automaton import TermAutomaton
    from tests.mt_models import END, Scripted
    from tests.unit.test_mt_terms import VOCABULARY, random_constraints

    class InNumpy(Scripted):
        def start(self, beams, room):
            return super().start(beams, room).numpy()

        def step(self, moves):
            assert isinstance(moves, np.ndarray)
            return super().step(moves).numpy()

    compared = 0
    for seed in range(80):
        draw = random.Random(seed)
        automata = [TermAutomaton(random_constraints(draw), VOCABULARY) for _ in range(2)]
        requests = [
            *(SearchRequest(int(one.state(one.root).need) + 3, one, one.root) for one in automata),
            SearchRequest(9, refused=np.array([draw.randrange(3, 9) for _ in range(3)])),
        ]
        stopping = draw.choice([False, True, "never"])
        options = BeamOptions(draw.choice([1, 2, 4]), (END,), 1.0, stopping, no_repeat=draw.choice([0, 3]))
        seeds = [seed, seed + 1, seed + 2]
        assert search(InNumpy(seeds), requests, options) == search(Scripted(seeds), requests, options)
        compared += 1
    assert compared == 80


@pytest.mark.parametrize(("length", "count"), [(90, 8), (20_000, 8), (32_123, 12), (12_288, 4), (128, 1), (5_000, 200)])
@pytest.mark.parametrize("beams", [1, 4])
def test_host_topk_is_the_first_of_all_in_order(beams, length, count):
    random_numbers = np.random.default_rng(length)
    scores, running = (random_numbers.normal(size=(3, beams, *shape)).astype(np.float32) for shape in ((length,), ()))
    scores[:, :, ::3] = -np.inf  # outside a shortlist
    values, places = host_topk(scores, running, count)
    sums = (scores + running[:, :, None]).reshape(3, -1)
    assert np.array_equal(values, -np.sort(-sums, axis=1)[:, :count])
    assert np.array_equal(np.take_along_axis(sums, places, 1), values)
