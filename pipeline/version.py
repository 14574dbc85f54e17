"""The code that runs: its version, and its two packages, whose names others may have, too."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ModelError


def version() -> str:
    """Return the installed version; ``0+source`` in a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415 - help does not need it
    from importlib.metadata import version as installed  # noqa: PLC0415

    try:
        return installed("translate-live")
    except PackageNotFoundError:
        return "0+source"


def check_packages() -> None:
    """Raise `ModelError` that names it, if another package called ``models`` would be imported in place of ours."""
    from importlib.util import find_spec  # noqa: PLC0415

    ours = Path(__file__).parents[1] / "models"
    found = find_spec("models")
    if found is None:
        raise ModelError(f"the package models is not in {ours.parent}", hint="to install it again", code="shadowed")
    place = Path(found.origin).parent if found.origin else Path(next(iter(found.submodule_search_locations or ["nowhere"])))
    if place.resolve() != ours.resolve():
        raise ModelError(
            f"another package named models, {place}, hides that of translate-live, {ours}",
            hint="another folder to start in, PYTHONPATH without it, or an environment of translate-live's own",
            code="shadowed",
        )
