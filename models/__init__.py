"""Backends of the three stages; each file imports its heavy library only where it is used."""
