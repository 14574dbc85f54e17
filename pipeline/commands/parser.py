"""The parser of each command, which help, completion and the manual page are made from."""

from __future__ import annotations

import argparse
import importlib
import textwrap
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

from pipeline.commands import COMMANDS, DEFAULT
from pipeline.errors import BadInput, did_you_mean
from pipeline.version import version

LISTED = {name: about for name, about in COMMANDS.items() if name != DEFAULT}
"""The commands that people name; the main one needs no name."""

_HELP_COLUMNS = 78  # as argparse wraps the rest on a terminal of 80


class Command(Protocol):
    """A module of `pipeline.commands`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options; imports nothing heavy."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it and give the exit code; raises `TranslateLiveError` for what a user can be told."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Descriptions and examples as they are written; the texts of options break between words only, not within a name."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """argparse prints its usage and exits on an error; ours is one line like every other (its documented hook)."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:  # noqa: ANN401
        """Find a misspelt option before anything is said to be required; actions look for theirs themselves."""
        for word in takewhile(lambda word: word != "--", args or () if self._subparsers is None else ()):
            if word.startswith("--") and word.partition("=")[0] not in self._option_string_actions:
                self.error(f"unrecognized arguments: {word}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise `BadInput`, with the nearest option for an unknown one."""
        _, unknown, rest = message.partition("unrecognized arguments: ")
        if unknown and rest.startswith("-"):
            wrong = rest.split()[0].partition("=")[0]
            message = f"unknown option {wrong}; {did_you_mean(wrong, self._option_string_actions)}".rstrip("; ")
        raise BadInput(message, hint=f"./{rest}" if rest.startswith("-") and Path(rest).exists() else f"{self.prog} --help")


class _Version(argparse.Action):
    """An action that prints the version; argparse's own would look it up for the help, too."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it and leave."""
        print(f"translate-live {version()}")
        parser.exit()


def command_of(name: str) -> Command:
    """Import the module of a command."""
    return cast(Command, importlib.import_module(f"pipeline.commands.{name}"))


def parser_of(name: str | None = None) -> Parser:
    """Make the parser of a command; none: of the main one, as it is called without its name."""
    command = command_of(name or DEFAULT)
    parser = Parser(
        f"translate-live {name}" if name else "translate-live",
        description=textwrap.fill((command.__doc__ or "").partition("\n\n")[0], _HELP_COLUMNS),
        formatter_class=Help,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    talk = parser.add_argument_group("what is printed")
    talk.add_argument("-q", "--quiet", action="store_true", help="only results and errors")
    talk.add_argument("-v", "--verbose", action="store_true", help="log what happens, with tracebacks")
    talk.add_argument("--log-file", type=Path, metavar="FILE", help="log what happens to a file, whatever is printed")
    if not name:
        talk.add_argument("-V", "--version", action=_Version, nargs=0, help="print the version and exit")
        parser.epilog = (parser.epilog or "") + _command_list()
    return parser


def options_of(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    """List the options of a parser, help included."""
    return [action for action in parser._actions if action.option_strings]  # argparse has no public list


def actions_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Give the parsers of a command's own actions, such as those of voices, by name."""
    kinds = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: parser for kind in kinds for name, parser in kind.choices.items()}


def _command_list() -> str:
    lines = [f"  translate-live {name:<10} {about}" for name, about in LISTED.items()]
    return "\n".join(["\n\nother commands (each has --help):", *lines])
