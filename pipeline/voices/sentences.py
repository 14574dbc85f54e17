"""What a person says to agree to a copy of their voice, and what a voice says to be heard."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files


def consent_sentence(language: str, name: str) -> str | None:
    """The statement to be read aloud, which names translate-live and the voice; none in a language we do not write."""
    sentence = _sentences().get(language, {}).get("consent")
    return sentence.format(name=name) if sentence else None


def preview_sentence(language: str) -> str | None:
    """A sentence that shows how a voice sounds."""
    return _sentences().get(language, {}).get("preview")


@cache
def _sentences() -> Mapping[str, Mapping[str, str]]:
    import yaml  # noqa: PLC0415  a file, not code: read when a sentence is first asked for

    text = (files("pipeline.voices") / "sentences.yaml").read_text(encoding="utf-8")
    sentences: dict[str, dict[str, str]] = yaml.safe_load(text)
    return sentences
