"""Sinks, which take events: speaker, sound files, captions, console and event log; and their delivery."""
