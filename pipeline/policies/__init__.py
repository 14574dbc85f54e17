"""Policies of a session: when a reading unit is said, and at which pace. Pure: no clock, no model, no file."""
