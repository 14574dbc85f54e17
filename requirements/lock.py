"""Prints the versions that this environment has of all that pyproject.toml asks for, directly or not.

.venv/bin/python requirements/lock.py > requirements/tested.txt
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
HEADER = """\
# Versions that the tests were run with: pip install --editable ".[dev,torch]" --constraint requirements/tested.txt
# Made by `python requirements/lock.py > requirements/tested.txt` in the environment of `make test`; not edited by hand."""


def asked_for() -> list[Requirement]:
    """List the requirements of the project and of all its extras."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(text) for texts in (project["dependencies"], *extras) for text in texts]


def installed(wanted: Iterable[Requirement]) -> dict[str, Version]:
    """Find the versions of requirements and of all that they require; what is not installed is left out."""
    found: dict[str, Version] = {}
    done: set[tuple[str, frozenset[str]]] = set()
    waiting = list(wanted)
    while waiting:
        one = waiting.pop()
        name, extras = canonicalize_name(one.name), frozenset(one.extras)
        if name == "translate-live" or (name, extras) in done or not _applies(one, {""}):
            continue
        done.add((name, extras))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = Version(package.version)
        needs = map(Requirement, package.requires or ())
        waiting += [Requirement(f"{need.name}{_listed(need.extras)}") for need in needs if _applies(need, {"", *extras})]
    return found


def _applies(one: Requirement, extras: Iterable[str]) -> bool:
    return one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)


def _listed(extras: Iterable[str]) -> str:
    return f"[{','.join(extras)}]" if extras else ""


if __name__ == "__main__":
    print(HEADER)
    for name, version in sorted(installed(asked_for()).items()):
        print(f"{name}=={version.public}")  # without the local part of a build, such as +cpu
