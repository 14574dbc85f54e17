"""The table of a profile: which runs it makes, and which profile the hour is of."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import table
from pipeline.errors import BadInput

SPEECH = Path(__file__).parents[2] / "benchmarks" / "data" / "speech"


def arguments(out: Path, *options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    table.add_arguments(parser)
    return parser.parse_args([str(SPEECH), "--out", str(out), "--talk", "20", *options])


def test_two_runs_and_an_hour_of_the_profile_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(table, "record", lambda _system, _utterances, path, _arguments, data: SimpleNamespace(path=path))
    monkeypatch.setattr(table.score, "run", lambda given: {"wer": 0.1 if given.run.name == "talk" else 0.2})
    monkeypatch.setattr(table.report, "run", lambda given: asked.extend(given.paths))
    monkeypatch.setattr(table, "_hour", lambda profile, _utterances: asked.append(profile.name) or {"peak_memory_mb": 9.0})
    figures = table.run(arguments(tmp_path / "out", "--hour", "--system", "profile:cpu"))
    assert figures == {"wer": 0.2, "talk_wer": 0.1, "hour_peak_memory_mb": 9.0}
    assert asked == [tmp_path / "out" / "recordings", tmp_path / "out" / "talk", "cpu"]
    assert "| word error rate | 0.200 | 0.100 | – |" in (tmp_path / "out" / "table.md").read_text()


def test_an_hour_is_of_a_profile_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="try: --system profile:cpu"):
        table.run(arguments(tmp_path, "--hour", "--system", "command:x"))
