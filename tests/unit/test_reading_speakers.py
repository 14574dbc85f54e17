"""Speakers: no reading unit holds the words of two, whichever policy cuts it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contracts import Translation
from pipeline.events import ReadingUnit, Transcript, Word
from pipeline.policies.agreement_units import AgreementUnits
from pipeline.policies.pause_units import PauseUnits, UnitPolicy

POLICIES = [PauseUnits, AgreementUnits]


def units_of(policy: UnitPolicy, pieces: list[Transcript]) -> list[ReadingUnit]:
    units: list[ReadingUnit] = []
    for number, piece in enumerate(pieces):
        policy.hear(piece, final=number == len(pieces) - 1)
        while requests := policy.ask():
            answers = [request.source.upper() for request in requests]
            texts = [
                text if text.startswith(request.prefix) else request.prefix + " " + text
                for request, text in zip(requests, answers, strict=True)
            ]
            units += policy.read([Translation(text) for text in texts]).units
    return units


def said_by(turns: list[tuple[str, int]], named_by_word: bool) -> tuple[list[Word], list[Transcript]]:
    """Words one after the other without a pause, and transcripts that bring a turn each."""
    words, pieces = [], []
    for speaker, count in turns:
        turn = []
        for _ in range(count):
            at = len(words) * 0.3
            turn.append(Word(f" w{len(words)}", at, at + 0.3, 0.9, speaker if named_by_word else ""))
            words.append(turn[-1])
        pieces.append(
            Transcript(tuple(turn), (), "en", words[-1].end, 0.0, False, speaker="" if named_by_word else speaker)
        )
    return words, pieces


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=40, deadline=None)
@given(
    turns=st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 12)), min_size=1, max_size=6),
    named_by_word=st.booleans(),
)
def test_a_unit_is_of_one_speaker_and_says_which(policy, turns, named_by_word) -> None:
    words, pieces = said_by(turns, named_by_word)
    speakers = [speaker for speaker, count in turns for _ in range(count)]
    units = units_of(policy("en", "es"), pieces)
    assert [word for unit in units for word in unit.source] == words
    assert [unit.speaker for unit in units for _ in unit.source] == speakers


@pytest.mark.parametrize("policy", POLICIES)
def test_a_speaker_who_is_recognized_late_cuts_nothing(policy) -> None:
    words, pieces = said_by([("", 2), ("A", 1), ("", 1)], named_by_word=False)
    (unit,) = units_of(policy("en", "es"), pieces)
    assert (unit.source, unit.speaker) == (tuple(words), "A")
