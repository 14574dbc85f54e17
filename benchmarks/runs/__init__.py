"""A run: one row per utterance, written as it is measured; everything else is computed from the rows."""
