"""Voices enrolled from speech: clips and their quality, consent, the store, and the live speaker's own voice."""
