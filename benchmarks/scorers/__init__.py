"""Scorers that need an environment of their own: ``score RUN --scorer NAME=/path/to/its/python``.

Each reads items as JSON lines on its input (utterance, source, hypothesis, reference, source_audio, audio, language),
writes one line ``{figure: number}``, needs nothing of this project, and says in its last line of stderr what is missing.
"""
