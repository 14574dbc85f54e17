"""Every satisfiable set of terms is said in every output of the search, and nothing else changes."""

import itertools
import random
from collections.abc import Iterator, Sequence

import pytest
import torch

from models.mt.search.beam_row import BeamOptions, SearchRequest
from models.mt.search.constrained_beam import Hypothesis, search
from models.mt.steps.step_models import CausalStepModel, Seq2SeqStepModel
from models.mt.terms.automaton import REPEAT_NATS, TermAutomaton
from models.mt.terms.constraints import Constraint, Constraints, Form, constraints_of
from models.mt.terms.vocabulary import Vocabulary
from pipeline.contracts import Term
from tests.mt_models import END, PIECES, Scripted, log_probabilities, random_model, text
from tests.unit.test_mt_terms import VOCABULARY, random_constraints

SIZE = len(PIECES)


def ask(automaton: TermAutomaton, spare: int) -> SearchRequest:
    return SearchRequest(max(1, int(automaton.state(automaton.root).need) + spare), automaton, automaton.root)


def count_checked(wanted: Constraints, hypotheses: Sequence[Hypothesis]) -> int:
    """Count the demands that were checked on the finished texts; fails on the first that is not met."""
    checked = 0
    for hypothesis in hypotheses:
        said = text(hypothesis.tokens)
        assert hypothesis.met, (wanted, said)
        for constraint in wanted.hard:
            assert constraint.occurrences(said) >= constraint.count, (constraint, said)
            checked += 1
        if wanted.banned:
            assert not wanted.says_banned(said), (wanted.banned, said)
            checked += 1
    return checked


def test_ten_thousand_demands_are_met_also_with_the_last_token_that_suffices():
    checked = 0
    for seed in range(200):
        draw = random.Random(seed)
        wanted = [random_constraints(draw) for _ in range(3)]
        automata = [TermAutomaton(one, VOCABULARY) for one in wanted]
        for run in range(5):
            seeds = [31 * seed + 7 * run + row for row in range(4)]
            asked = [ask(automaton, draw.choice([0, 0, 1, 3, 6])) for automaton in automata]
            options = BeamOptions(draw.choice([1, 2, 4, 5]), (END,), early_stopping=draw.choice([False, True]))
            found, _ = search(Scripted(seeds), [*asked, SearchRequest(12)], options)
            checked += sum(count_checked(one, hypotheses) for one, hypotheses in zip(wanted, found, strict=False))
            if run == 0:
                alone, _ = search(Scripted(seeds[3:]), [SearchRequest(12)], options)
                assert found[3] == alone[0], "a row without terms is unchanged"
    assert checked >= 10_000


@pytest.mark.parametrize("kind", ["qwen3", "m2m"])
def test_demands_are_met_through_real_models_in_batches(kind):
    model = random_model(kind, SIZE, seed=4)
    bias = torch.zeros(SIZE)
    bias[:2] = -torch.inf
    checked = 0
    for seed in range(24):
        draw = random.Random(7000 + seed)
        wanted = [random_constraints(draw) for _ in range(4)]
        rows = [[draw.randrange(3, SIZE) for _ in range(draw.randint(2, 6))] for _ in wanted]
        step_model = (
            CausalStepModel(model, rows, bias) if kind == "qwen3" else Seq2SeqStepModel(model, rows, [[2]] * 4, bias)
        )
        found, _ = search(
            step_model, [ask(TermAutomaton(one, VOCABULARY), draw.randint(0, 6)) for one in wanted], BeamOptions(4, (END,))
        )
        checked += sum(count_checked(one, hypotheses) for one, hypotheses in zip(wanted, found, strict=True))
    assert checked > 400


def repeated(wanted: Constraints, said: str) -> int:
    """Count the hard terms that are said more often than demanded."""
    return sum(constraint.occurrences(said) > constraint.count for constraint in wanted.hard)


def test_a_wide_beam_finds_the_best_of_all_texts_and_no_beam_a_better():
    pieces = [b"", b"", b"", b" ", b"a", b"b", b"ab"]
    vocabulary, longest = Vocabulary(pieces), 5
    exact = 0
    for seed in range(40):
        draw = random.Random(seed)
        forms = [draw.choice(["ab", "b", "aa", "ba", "aab", "b a"]) for _ in range(draw.choice([1, 2]))]
        edges = [(draw.random() < 0.5, draw.random() < 0.5) for _ in forms]
        wanted = Constraints(tuple(Constraint((Form(form, *edge),), 1) for form, edge in zip(forms, edges, strict=True)))
        texts = ((tokens, score, text(tokens, pieces)) for tokens, score in every_text(seed, len(pieces), longest))
        worth = [
            score - REPEAT_NATS * repeated(wanted, said) / len(tokens) for tokens, score, said in texts if wanted.met(said)
        ]
        best = max(worth, default=None)
        if best is None:
            continue
        automaton = TermAutomaton(wanted, vocabulary)
        asked = [SearchRequest(longest, automaton, automaton.root)]
        for beams in (2, 4, 400):
            found, _ = search(Scripted([seed], len(pieces)), asked, BeamOptions(beams, (END,), early_stopping="never"))
            assert not found[0][0].met or found[0][0].score <= best + 1e-5
        exact += 1
        assert found[0][0].score == pytest.approx(best, abs=1e-5), (forms, edges, found[0][0])
    assert exact >= 30


def every_text(seed: int, size: int, longest: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """All texts of at most ``longest`` tokens, with their score per token; only the longest need no end."""
    running: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    for length in range(1, longest + 1):
        following = []
        for tokens, score in running:
            scores = log_probabilities((seed, *tokens), size).tolist()
            yield (*tokens, END), (score + scores[END]) / length
            following += [((*tokens, token), score + scores[token]) for token in range(3, size)]
        running = following
    yield from ((tokens, score / longest) for tokens, score in running)


def test_a_soft_term_is_said_more_often_but_never_forced():
    wanted = constraints_of([Term("x", ("abc",), mode="soft")], "es")
    automaton = TermAutomaton(wanted, VOCABULARY)
    with_term = without = 0
    for seed in range(60):
        plain, _ = search(Scripted([seed]), [SearchRequest(10)], BeamOptions(4, (END,)))
        soft, _ = search(Scripted([seed]), [ask(automaton, 10)], BeamOptions(4, (END,)))
        without += wanted.soft[0].occurrences(text(plain[0][0].tokens)) > 0
        with_term += wanted.soft[0].occurrences(text(soft[0][0].tokens)) > 0
    assert without < with_term < 60


def test_no_term_is_begun_after_the_end_of_a_sentence_while_there_is_room():
    """A model that ends its sentence and then waits: the term must come before the full stop."""

    class EndsEarly(Scripted):
        def _scores(self, histories):
            scores = torch.full((len(histories), self.size), -6.0)
            for row, history in enumerate(histories):
                script = [4, 5, 6, 13, END]
                said = sum(token in script for token in history[1:])
                scores[row, script[min(said, 4)]] = 3.0
                scores[row, [0, 1]] = -50.0
                scores[row] -= 2.0 * (torch.arange(self.size) != END) * (13 in history[1:])
            return scores.log_softmax(-1)

    found, _ = search(
        EndsEarly([0]),
        [ask(TermAutomaton(constraints_of([Term("x", ("bca",))], "es"), VOCABULARY), 10)],
        BeamOptions(4, (END,)),
    )
    said = text(found[0][0].tokens)
    assert "bca" in said
    assert "." not in said.split("bca")[0]


def test_steps_with_terms_are_about_as_many_as_without():
    steps = {True: 0, False: 0}
    automaton = TermAutomaton(constraints_of([Term("x", ("abc", "bca"))], "es"), VOCABULARY)
    for seed in range(120):
        for constrained in steps:
            _, taken = search(
                Scripted([seed]), [ask(automaton, 12) if constrained else SearchRequest(14)], BeamOptions(4, (END,))
            )
            steps[constrained] += taken
    assert steps[True] <= 1.1 * steps[False]


def test_every_spelling_of_a_term_counts():
    """Any cut into tokens that writes the term satisfies it: the text is judged, not the tokens."""
    wanted = constraints_of([Term("x", ("abc",))], "es")
    automaton = TermAutomaton(wanted, VOCABULARY)
    cuts = [cut for size in (1, 2, 3) for cut in itertools.product(range(3, SIZE), repeat=size) if text(cut) == "abc"]
    assert len(cuts) == 4
    for cut in cuts:
        state = automaton.root
        for token in cut:
            state = automaton.step(state, token)
        assert automaton.state(state).met
