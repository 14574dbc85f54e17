"""Peers with an environment of their own: ``python -m benchmarks asr (or tts) --peer NAME=/path/to/its/python``.

Each is a file that reads what to do as one JSON object on its input, writes what it measured as one JSON object in its last
line, needs nothing of this project, and says in its last line of stderr why it cannot.
"""
