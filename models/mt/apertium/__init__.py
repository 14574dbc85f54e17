"""Apertium, rule-based translation from Debian packages."""

from models.mt.apertium.backend import Apertium

__all__ = ["Apertium"]
