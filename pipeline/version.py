"""The version that runs."""

from __future__ import annotations


def version() -> str:
    """The installed version; ``0+source`` in a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415 - help does not need it
    from importlib.metadata import version as installed  # noqa: PLC0415

    try:
        return installed("translate-live")
    except PackageNotFoundError:
        return "0+source"
