"""Downloads the models of a profile, so that it starts at once and works without a network."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which profile."""
    parser.add_argument("profile", metavar="PROFILE", help="see configs/, as offline, cpu or gpu")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="A.B=VALUE", help="one setting")


def run(arguments: argparse.Namespace) -> int:
    """Download stage by stage; what is there already is kept."""
    from pipeline.profiles.profile import fix_for, load_profile  # noqa: PLC0415

    backends = load_profile(arguments.profile, None, arguments.assignments).backends()
    used = (backends.recognizer, backends.translator, *backends.synthesizers)
    for backend in used:
        backend.pull(_Progress(type(backend).__name__))
    missing = [item for backend in used for item in backend.missing()]
    for item in missing:
        print(f"still missing: {item.what}; try: {fix_for(arguments.profile, [item])}")  # noqa: T201
    if not missing:
        print(f"profile {arguments.profile} is ready")  # noqa: T201
    return 4 if missing else 0


class _Progress:
    """Prints how far a download is: in place on a terminal, each tenth as a line elsewhere."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._shown = ("", -1)

    def __call__(self, what: str, share: float) -> None:
        terminal = sys.stderr.isatty()
        step = int(share * (100 if terminal else 10))
        if (what, step) == self._shown:
            return
        self._shown = (what, step)
        end = "\r" if terminal and share < 1 else "\n"
        print(f"{self._backend}: {what} {share:4.0%}", end=end, file=sys.stderr, flush=True)  # noqa: T201
