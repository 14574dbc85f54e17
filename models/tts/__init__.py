"""Backends that are synthesizers."""
