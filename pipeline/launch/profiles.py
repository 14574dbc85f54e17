"""Choosing a profile for a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.config import Profile, choose_profile, load_profile
from pipeline.languages import language_name


def selected_profile(name: str, config: Path | None, assignments: Sequence[str]) -> tuple[Profile, str]:
    """The named profile, or the best that can run; and a line about it."""
    if name == "auto":
        return choose_profile(config, assignments)
    profile = load_profile(name, config, assignments)
    return profile, f"profile {name}: {profile.summary}"


def speaking(profile: Profile, language: str) -> tuple[Profile, str | None]:
    """The profile with the synthesizer that speaks a language, and a notice if that is the fallback.

    A profile that cannot speak it at all comes back as it is.
    """
    backends = profile.backends()
    own, fallback = backends.synthesizer, backends.fallback_synthesizer
    if fallback is None or language in own.languages() or language not in fallback.languages():
        return profile, None
    assert profile.fallback_synthesizer is not None
    chosen = replace(profile, synthesizer=profile.fallback_synthesizer, fallback_synthesizer=None)
    who, other = type(own).__name__, type(fallback).__name__
    return chosen, f"{who} does not speak {language_name(language)} ({language}): {other} will, in its own voice"
