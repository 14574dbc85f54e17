"""Choosing a profile for a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.contracts import SynthesizerBackend
from pipeline.languages import known_code, language_name
from pipeline.profiles.profile import Profile, choose_profile, load_profile


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

    def speaks(synthesizer: SynthesizerBackend) -> bool:
        known = synthesizer.languages()
        return known_code(language, known) in known

    if fallback is None or speaks(own) or not speaks(fallback):
        return profile, None
    assert profile.fallback_synthesizer is not None
    chosen = replace(profile, synthesizer=profile.fallback_synthesizer, fallback_synthesizer=None)
    who, other = type(own).__name__, type(fallback).__name__
    return chosen, f"{who} does not speak {language_name(language)} ({language}): {other} will, in its own voice"
