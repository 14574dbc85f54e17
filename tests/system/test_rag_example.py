"""The example that finds words to expect in documents: what belongs to the talk, and while it goes on."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.glossary.glossary import load_glossary
from tests.system.test_examples import scripted

pytest.importorskip("bm25s")
EXAMPLE = Path(__file__).parents[2] / "examples" / "glossary_from_rag.py"


@pytest.fixture
def documents(tmp_path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.md").write_text("On word3 and word4 we work with Zeta Kinase and the BRCA1 gene.\n")
    (folder / "b.txt").write_text("About cooking: for the pasta we take Parmigiano Reggiano.\n")
    (folder / "c.txt").write_text("On growth of revenue, where EBITDA of Acme Holding matters.\n")
    return folder


def test_a_glossary_of_what_the_documents_say_about_something(documents, tmp_path):
    text = runpy.run_path(str(EXAMPLE))["glossary"](documents, "revenue growth")
    file = tmp_path / "terms.csv"
    file.write_text(text)
    entries = load_glossary([file], ("en",), ("es",)).entries
    assert {entry.source for entry in entries} == {"EBITDA", "Acme Holding"}
    assert {entry.mode for entry in entries} == {"keep"}


async def test_hints_follow_the_talk(documents, tmp_path, capsys):
    talk = tmp_path / "talk.wav"
    soundfile.write(talk, np.zeros(16_000 * 6, np.float32), 16_000)
    hints = await runpy.run_path(str(EXAMPLE))["translate"](documents, talk, "es", scripted())
    assert {"Zeta Kinase", "BRCA1"} <= set(hints.words)
    assert "Parmigiano Reggiano" not in hints.words
    assert "WORD3" in capsys.readouterr().out
