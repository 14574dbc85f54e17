"""A glossary's demands of a text, and the automaton's promise to know it token by token."""

import random

import pytest

from models.mt.terms.automaton import DEAD, REPEAT_NATS, SOFT_NATS, TermAutomaton
from models.mt.terms.constraints import Constraints, constraints_of
from models.mt.terms.vocabulary import Vocabulary
from pipeline.contracts import Term
from pipeline.errors import BadInput
from tests.mt_models import END, PIECES, text

VOCABULARY = Vocabulary(PIECES)


def random_terms(draw: random.Random) -> list[Term]:
    """One to three demands over few letters, so that they nest and overlap; some are banned, some soft, some CJK."""

    def spelling() -> str:
        letters = "abc模型" if draw.random() < 0.3 else "abc"
        return "".join(draw.choice(letters) for _ in range(draw.randint(1, 3)))

    terms = [
        Term(
            "x",
            tuple(spelling() for _ in range(draw.choice([1, 1, 2]))),
            count=draw.choice([1, 1, 1, 2]),
            inflect=draw.random() < 0.2,
        )
        for _ in range(draw.choice([1, 1, 2, 3]))
    ]
    if draw.random() < 0.4:
        words = "".join(draw.choice("abc ") for _ in range(draw.randint(1, 4))).strip()
        terms.append(Term("y", (words or "cc",), mode="ban"))
    if draw.random() < 0.3:
        terms.append(Term("z", (spelling(),), mode="soft"))
    return terms


def random_constraints(draw: random.Random) -> Constraints:
    """Demands that do not contradict each other."""
    while True:
        try:
            return constraints_of(random_terms(draw), draw.choice(["es", "tr", "zh"]))
        except BadInput:
            continue


@pytest.mark.parametrize(
    ("target", "language", "said", "times"),
    [
        ("Transformer", "en", "a Transformer, the Transformer.", 2),
        ("Transformer", "en", "Transformers and aTransformer and Transformer2", 0),
        ("Transformer", "tr", "Transformer'ı ve Transformerlar", 2),
        ("Transformer", "tr", "eTransformer", 0),
        ("GPT", "zh", "使用GPT模型", 1),
        ("大模型", "zh", "这个大模型的大模型", 2),
        ("हिन्दी", "hi", "हिन्दीं हिन्दी", 1),
        ("New York", "es", "en New York.", 1),
        ("l'eau", "fr", "de l'eau!", 1),
    ],
)
def test_a_term_is_said_as_a_word_of_its_own_by_its_script(target, language, said, times):
    (constraint,) = constraints_of([Term("x", (target,))], language).hard
    assert constraint.occurrences(said) == times


def test_an_inflected_term_may_take_a_short_ending():
    (constraint,) = constraints_of([Term("x", ("modelo",), inflect=True)], "es").hard
    assert constraint.occurrences("modelo modelos modelitos modelazos") == 2


def test_spellings_are_taken_as_written_but_for_spaces_and_composition_and_those_that_say_a_shorter_one():
    (constraint,) = constraints_of([Term("x", ("  New\n York ", "New York City", "York New", "Cafe\u0301"))], "en").hard
    assert [form.text for form in constraint.forms] == ["Café", "New York", "York New"]


def test_what_was_committed_is_not_banned_any_more_but_what_ends_after_it_is():
    banned = constraints_of([Term("x", ("gran casa",), mode="ban")], "es")
    said = "la gran casa"
    assert [banned.says_banned(said, start) for start in (0, len(said) - 1, len(said))] == [True, True, False]
    assert not banned.says_banned("gran cas", 0)


def test_keep_says_the_source_and_bans_what_is_banned():
    wanted = constraints_of([Term("EBITDA", (), mode="keep"), Term("x", ("beneficio",), mode="ban")], "es")
    assert wanted.met("el EBITDA crece")
    assert not wanted.met("el ebitda crece")
    assert not wanted.met("el EBITDA es un beneficio")
    assert wanted.met("el EBITDA es beneficioso")


def test_contradictions_and_unwritable_terms_are_refused_with_the_reason():
    with pytest.raises(BadInput, match="demands 'gran casa' and bans 'casa'"):
        constraints_of([Term("x", ("gran casa",)), Term("y", ("casa",), mode="ban")], "es")
    with pytest.raises(BadInput, match="no target"):
        constraints_of([Term("x", ())], "es")
    with pytest.raises(BadInput, match="'xyz' cannot be written"):
        TermAutomaton(constraints_of([Term("x", ("xyz",))], "es"), VOCABULARY)


def test_the_automaton_knows_after_every_token_what_the_text_says():
    checks = 0
    for seed in range(400):
        draw = random.Random(seed)
        wanted = random_constraints(draw)
        automaton = TermAutomaton(wanted, VOCABULARY)
        state, tokens = automaton.root, []
        for _ in range(14):
            token = draw.randrange(3, len(PIECES))
            following = automaton.step(state, token)
            if following == DEAD:
                assert token in automaton.refused(state) or broken([*tokens, token])
                continue
            assert token not in automaton.refused(state)
            state, tokens = following, [*tokens, token]
            said = text(tokens)
            assert automaton.state(state).met == (wanted.met(said) and not broken(tokens)), (wanted, said)
            assert (automaton.state(state).need == 0) == automaton.state(state).met
            checks += 1
    assert checks > 4000


def broken(tokens: list[int]) -> bool:
    """Tell whether a character is only half written."""
    return "\N{REPLACEMENT CHARACTER}" in text(tokens)


def test_from_every_reachable_state_one_token_brings_all_terms_nearer():
    states = 0
    for seed in range(160):
        automaton = TermAutomaton(random_constraints(random.Random(1000 + seed)), VOCABULARY)
        frontier, seen = [automaton.root], {automaton.root}
        while frontier:
            number = frontier.pop()
            state = automaton.state(number)
            if state.need > 0:
                assert state.shortest is not None, state
                following = automaton.step(number, state.shortest)
                assert following != DEAD, state
                assert automaton.state(following).need <= state.need - 1, state
                assert state.least <= state.need
            if len(seen) < 150:
                moves = {automaton.step(number, token) for token in range(3, len(PIECES))} - {DEAD} - seen
                seen |= moves
                frontier += moves
        states += len(seen)
    assert states > 15_000


def test_no_text_is_done_with_fewer_tokens_than_its_state_says():
    walks = 0
    for seed in range(300):
        draw = random.Random(2000 + seed)
        automaton = TermAutomaton(random_constraints(draw), VOCABULARY)
        states = [automaton.root]
        while len(states) < 40 and not automaton.state(states[-1]).met:
            following = automaton.step(states[-1], draw.randrange(3, len(PIECES)))
            states += [following] * (following != DEAD)
            walks += automaton.state(states[-1]).met
        if automaton.state(states[-1]).met:
            for left, number in enumerate(reversed(states)):
                assert automaton.state(number).least <= left, automaton.state(number)
    assert walks > 100


def test_half_a_character_of_a_term_is_half_the_way():
    automaton = TermAutomaton(constraints_of([Term("x", ("模型",))], "zh"), VOCABULARY)
    states = [automaton.root]
    for piece in ("模".encode()[:2], "模".encode()[2:], "型".encode()):
        states.append(automaton.step(states[-1], PIECES.index(piece)))
    assert [automaton.state(number).need for number in states] == [2, 2, 1, 0]


def test_a_soft_term_is_worth_more_with_each_letter_and_a_hard_one_too_many_less():
    wanted = constraints_of([Term("x", ("cc",)), Term("y", ("abc", "bb"), mode="soft")], "es")
    automaton = TermAutomaton(wanted, VOCABULARY)

    def worth(prefix: str) -> float:
        return automaton.state(automaton.after(prefix)).bonus

    assert [worth(said) / SOFT_NATS for said in ("", "c", "c a", "c ab", "c abc", "c abc.", "c bb")] == pytest.approx(
        [0, 0, 1 / 3, 2 / 3, 1, 1, 1]
    )
    assert worth("abc abc") == worth("abc ab") == SOFT_NATS, "once is enough"
    assert worth("cab") == worth("abcc") == worth("cc") == 0, "not within a word"
    assert worth("cc cc") == worth("cc cc cc") == -REPEAT_NATS


def test_a_term_is_awkward_right_after_a_sentence():
    automaton = TermAutomaton(constraints_of([Term("x", ("abc",))], "es"), VOCABULARY)
    texts = ("a.", "a?", 'a." ', "a.)", "a", "a. b", "a, ", '" a', "")
    assert [automaton.state(automaton.after(said)).awkward for said in texts] == [True] * 4 + [False] * 5


def test_a_committed_prefix_counts():
    automaton = TermAutomaton(constraints_of([Term("x", ("abc",)), Term("y", ("ca",), mode="ban")], "es"), VOCABULARY)
    assert automaton.state(automaton.after("a abc")).met
    assert not automaton.state(automaton.after("a ab")).met
    assert automaton.state(automaton.after("a ab")).need == 1
    assert automaton.state(automaton.after("ca abc")).met, "what was committed cannot be taken back"
    assert END not in automaton.state(automaton.root).continuing
