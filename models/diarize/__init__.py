"""Diarizers: who speaks when, on a stream."""
