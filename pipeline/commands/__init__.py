"""The commands of the command line, one a file; each has ``add_arguments`` and ``run``."""

DEFAULT = "translate"
COMMANDS = {
    DEFAULT: "hear speech and speak its translation (when no command is named)",
    "devices": "list microphones and speakers",
    "languages": "list what can be heard, translated and spoken",
    "doctor": "try every part here and print the fix for what fails",
    "pull": "download the models of a profile",
    "serve": "serve many listeners, and browsers a page",
    "summary": "compute latencies from an event log",
    "erase": "delete what was kept of a session or a speaker",
    "unseal": "decrypt a recording",
    "voices": "keep the voices that translations are spoken with",
    "completion": "print completion for bash, zsh or fish",
    "man": "print the manual page",
}
