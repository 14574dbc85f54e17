"""Data sets in their official layouts, from a local folder: validated, counted, hashed, and nothing skipped in silence."""
