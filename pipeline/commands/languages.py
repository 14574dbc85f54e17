"""Lists the languages of a profile: what it hears, what it translates that to, and what it speaks."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.languages import language_name
from pipeline.offering import targets_of


def add_profile_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that name a profile."""
    parser.add_argument("--profile", default="auto", metavar="NAME", help="which set of models (auto: the best that runs)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML whose settings replace those of the profile")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="A.B=VALUE", help="one setting")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which profile."""
    add_profile_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each language that can be heard."""
    from pipeline.profiles import selected_profile  # noqa: PLC0415

    profile, why = selected_profile(arguments.profile, arguments.config, arguments.assignments)
    backends = profile.backends()
    spoken = backends.synthesizer.languages()
    print(why)  # noqa: T201
    for source in sorted(backends.recognizer.languages()):
        targets = [target for target in targets_of(backends, [source]) if target != source]
        marked = ", ".join(named(target) + ("" if target in spoken else " (text only)") for target in targets)
        print(f"{named(source)} -> {marked or 'nothing: no translation is installed'}")  # noqa: T201
    return 0


def named(language: str) -> str:
    """A code with its English name."""
    return f"{language} {language_name(language)}"
