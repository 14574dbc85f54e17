"""Scorers that need an environment of their own: ``score RUN --scorer NAME=/path/to/its/python``.

Each reads items as JSON lines on its input: utterance, source, hypothesis, spoken (of the hypothesis what was spoken),
reference, source_audio, audio, breaths (where in it speech is, in seconds), language. It writes ``{figure: number}`` as its
last line, needs nothing of this project, and says in its last line of stderr what is missing.
"""
