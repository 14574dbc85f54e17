"""Bergamot and Firefox translation models: Marian students in 8 bits, in numpy alone."""
