"""Latency and quality from their definitions: pure functions of what a run has recorded."""
