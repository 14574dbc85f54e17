"""Backends that are recognizers."""
