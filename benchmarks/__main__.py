"""`python -m benchmarks COMMAND … --json FILE`: every benchmark of this project under one roof.

A command is a file of this folder with the two functions of `Command`. Commands are found by reading the files' syntax
trees, so ``--help`` imports none of them and a benchmark may import what it likes at its top.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import math
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from benchmarks.atomic import check_writable, write_text
from benchmarks.environment import Environment, capture
from pipeline.errors import BadInput, TranslateLiveError

FOLDER = Path(__file__).parent
INTERRUPTED = 130


class Command(Protocol):
    """The two functions that make a module a benchmark; the first line of its docstring is its help."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare its options."""
        ...

    def run(self, arguments: argparse.Namespace) -> Mapping[str, float]:
        """Measure, print tables for people, and give the figures by name (their unit in the name).

        What was measured so far may go to ``arguments.save``, so that a command that is stopped leaves it.
        """
        ...


def find_commands(folder: Path) -> dict[str, str]:
    """The commands of a folder, name to help, without importing any."""
    commands = {}
    for file in sorted(folder.glob("[!_]*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        if {"add_arguments", "run"} <= functions:
            commands[file.stem.replace("_", "-")] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return commands


def parse(argv: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """Find the command and its arguments; imports that command's module only.

    What all commands share is taken out first, so that it may stand anywhere, also after a command's own actions. ``argv``
    stays among the arguments, for commands that keep by which words they were run.
    """
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    common.add_argument("--json", type=Path, metavar="FILE", help="write figures and environment to this file")
    common.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    shared, rest = common.parse_known_args(argv)
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure translate-live and its stages.")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    command: Command | None = None
    for name, about in find_commands(FOLDER).items():
        text = about.replace("%", "%%")
        sub = choices.add_parser(name, help=text, description=text, parents=[common])
        if name in rest[:1]:
            command = cast(Command, importlib.import_module(f"benchmarks.{name.replace('-', '_')}"))
            command.add_arguments(sub)
    arguments = parser.parse_args(rest)
    if command is None:
        raise BadInput(f"the command comes first: python -m benchmarks {arguments.command} …")
    return command, argparse.Namespace(**vars(arguments) | vars(shared), argv=list(argv))


def write_result(file: Path, figures: Mapping[str, float], environment: Environment) -> None:
    """Write one result, whole or not at all. A figure that is no number becomes null, so the JSON stays strict."""
    numbers = {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}
    write_text(file, json.dumps({"figures": numbers, "environment": environment}, indent=2, allow_nan=False) + "\n")


def measure(argv: Sequence[str]) -> None:
    """Run one command and write its result; whether it can be written is checked before measuring."""
    command, arguments = parse(argv)
    if not arguments.json:
        arguments.save = lambda _figures: None
        command.run(arguments)
        return
    check_writable(arguments.json)
    environment = capture(vars(arguments))

    def save(figures: Mapping[str, float]) -> None:
        write_result(arguments.json, figures, environment)

    arguments.save = save
    save(command.run(arguments))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code: that of the typed error, 130 when interrupted, 1 for what nobody expected."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        measure(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  (what is left to print at exit goes there)
    except Exception as error:
        if {"-v", "--verbose"} & set(argv):
            traceback.print_exc()
        known = isinstance(error, TranslateLiveError)
        print(f"error: {error}" if known else f"error: {type(error).__name__}: {error} (-v shows where)", file=sys.stderr)
        return error.exit_code if isinstance(error, TranslateLiveError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
