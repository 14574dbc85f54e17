"""Addresses on a network, where a file could stand: they are fetched only if that is allowed."""

from __future__ import annotations

import argparse
from pathlib import Path


def is_address(name: str) -> bool:
    """Tell if a name is an address on a network: one with a scheme, and no file."""
    return "://" in name and not Path(name).exists()


def file_or_address(name: str) -> Path | str:
    """Give the place of a glossary: an address stays as it is."""
    return name if is_address(name) else Path(name)


def glossary_addresses(arguments: argparse.Namespace) -> list[str]:
    """List the glossaries and hints that are to be fetched."""
    return [place for place in (*arguments.glossary, *arguments.hints) if isinstance(place, str)]
