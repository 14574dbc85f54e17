"""Backends that are translators."""
