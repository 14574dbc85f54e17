"""The server on a real Ray Serve on this machine: a replica is killed and one is taken away, and no word is lost."""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace

import pytest

pytest.importorskip("uvicorn")
from benchmarks.serve_replicas import replicas  # noqa: E402


@pytest.mark.timeout(400)
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: make test-ray")
async def test_replicas_that_are_killed_or_taken_away_lose_and_double_no_word_and_a_full_house_says_so():
    found = await replicas(SimpleNamespace(replicas=2, kills=1, on=["ray"]))
    assert found["ray_resumes"] >= 1
    assert found["ray_drain_moved"] >= 1
    for figure in ("words_lost", "words_doubled", "drain_words_lost", "drain_words_doubled", "drain_moved_untold"):
        assert found[f"ray_{figure}"] == 0
    assert found["ray_full_refused"] > 0
    assert found["ray_full_without_answer"] == 0
