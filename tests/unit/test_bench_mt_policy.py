"""The policy benchmark: its streams are exact, its figures reach what the design asks, its table compares."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import mt_policy
from benchmarks.toy_language import Speech, ToyTranslator, talk
from pipeline.contracts import TranslationRequest


def test_the_scripted_recognizer_commits_each_word_once_a_lag_after_its_end() -> None:
    words = talk(seed=3, sentences=4)
    pieces = Speech(words, lag_s=0.9, period_s=0.3).transcripts()
    assert [word for piece in pieces for word in piece.committed] == list(words)
    for piece in pieces:
        assert all(word.end <= piece.heard_s for word in (*piece.committed, *piece.tentative))
        assert all(piece.ended or word.end + 0.9 <= piece.heard_s + 1e-6 for word in piece.committed)
    for before, after in pairwise(pieces):
        assert after.heard_s - before.heard_s == pytest.approx(0.3)


def test_the_toy_translator_orders_and_continues() -> None:
    toy = ToyTranslator(verb_final=True)
    assert toy.translate(TranslationRequest("n1 v2 n3 and n4 v5.", "en", "xx")).text == "N1 N3 V2 AND N4 V5."
    assert toy.translate(TranslationRequest("n1 v2 n3.", "en", "xx", prefix="N1 V2")).text == "N1 V2 N3."
    unsure = ToyTranslator(verb_final=False, unsure=True)
    assert unsure.translate(TranslationRequest("n1 v2 n5 n6", "en", "xx")).text == "N1 V2 N5x N6x."


def test_figures_of_the_balanced_class() -> None:
    figures = mt_policy.measure("balanced", list(mt_policy.DIRECTIONS), talks=2)
    assert figures["unit_delay_p50_s"] <= 0.35
    assert figures["unit_delay_p95_s"] <= 1.2
    assert figures["caption_erasure"] <= 0.25
    assert figures["words_lost"] == figures["words_doubled"] == 0
    assert figures["agreement"] > mt_policy.measure("local agreement", list(mt_policy.DIRECTIONS), talks=2)["agreement"]


def test_sentences_keep_everything_and_wait_longest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mt_policy, "SENTENCES", 6)
    parser = argparse.ArgumentParser()
    mt_policy.add_arguments(parser)
    picture = tmp_path / "mt_policy.png"
    mt_policy.run(parser.parse_args(["--talks", "1", "--plots", str(picture.parent)]))
    table = capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert all(name in table for name in mt_policy.policies())
    whole = mt_policy.measure("sentence-wise", ["verb last"], talks=1)
    hasty = mt_policy.measure("wait-2", ["verb last"], talks=1)
    assert whole["agreement"] == 1.0 > hasty["agreement"]
    assert whole["word_delay_s"] > hasty["word_delay_s"]


def test_who_waits_for_six_words_says_a_unit_later_than_its_last_word_was_committed() -> None:
    waiting = mt_policy.measure("wait-6", ["same order"], 1)
    assert waiting["unit_delay_p50_s"] > 1.0
    assert mt_policy.measure("sentence-wise", ["same order"], 1)["unit_delay_p95_s"] == 0.0


def test_words_that_are_lost_or_said_twice_are_counted() -> None:
    words, outcome = talk(0, 1), mt_policy.Outcome()
    translator = ToyTranslator(verb_final=False)
    said = [word.text.strip().strip(".,").upper() for word in words]
    mt_policy._compare(words, translator, [*said[1:], said[-1]], outcome)
    assert (outcome.lost, outcome.doubled) == (1, 1)
