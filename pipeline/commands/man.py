"""Prints the manual page, for man or a package."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pipeline.commands.parser import LISTED, actions_of, parser_of
from pipeline.version import version

EXAMPLES = """
examples:
  translate-live man | man -l -
      read it
  translate-live man > ~/.local/share/man/man1/translate-live.1
      let man find it
"""

_EXIT_CODES = {
    "0": "done", "1": "a bug", "2": "wrong use, or input that cannot be read", "3": "an audio device or output file",
    "4": "a model or accelerator", "5": "the network", "128 + N": "ended by signal N",
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no option of its own."""
    parser.epilog = EXAMPLES


def run(arguments: argparse.Namespace) -> int:
    """Print the page."""
    print("\n".join(_page()))
    return 0


def _page() -> Iterator[str]:
    main = parser_of()
    yield f'.TH TRANSLATE-LIVE 1 "" "translate-live {version()}"'
    yield f".SH NAME\ntranslate-live \\- {_escaped('hears speech and speaks its translation while it is spoken')}"
    yield ".SH SYNOPSIS"
    for name in (None, *LISTED):
        yield f".PP\n{_escaped(' '.join(parser_of(name).format_usage().removeprefix('usage: ').split()))}"
    yield f".SH DESCRIPTION\n{_escaped(main.description or '')}"
    yield ".SH OPTIONS"
    yield from _options(main)
    yield ".SH COMMANDS"
    for name in LISTED:
        parser = parser_of(name)
        yield f".SS translate\\-live {name}\n{_escaped(parser.description or '')}"
        yield from _options(parser)
        for action, own in actions_of(parser).items():
            yield f".SS translate\\-live {name} {action}\n{_escaped(own.description or '')}"
            yield from _options(own)
    yield ".SH EXIT STATUS"
    for code, about in _EXIT_CODES.items():
        yield f".TP\n.B {code}\n{about}"
    examples = (main.epilog or "").partition("examples:\n")[2].partition("\n\n")[0]
    yield f".SH EXAMPLES\n.nf\n{_escaped(examples)}\n.fi"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.help and not isinstance(action, argparse._SubParsersAction):
            value = (
                "" if action.nargs == 0 else str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest)
            )
            names = [f"{name} {value}".strip() for name in action.option_strings] or [value]
            yield f".TP\n.B {_escaped(', '.join(names))}\n{_escaped(action.help)}"


def _escaped(text: str) -> str:
    """Escape what troff would read as its own: backslashes, hyphens, and a dot or quote at the beginning of a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in escaped)
    return "\n".join(f"\\&{line}" if line[:1] in {".", "'"} else line for line in escaped.split("\n"))
