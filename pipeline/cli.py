"""The command line: finds the command, keeps its promises about errors and exit codes, and starts fast.

Nothing is imported here that is not needed to print help; a command's module is imported when it is used.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Protocol, cast

from pipeline.commands import COMMANDS, DEFAULT
from pipeline.commands.advice import next_step
from pipeline.errors import (
    BadInput,
    DeviceError,
    ModelError,
    SeveralMistakes,
    TranslateLiveError,
    did_you_mean,
    nearest,
)
from pipeline.version import check_packages, version

INTERRUPTED = 130

_HELP_COLUMNS = 78  # as argparse wraps the rest on a terminal of 80

_SYSTEM_ERRORS: dict[int, tuple[type[TranslateLiveError], str]] = {
    errno.ENAMETOOLONG: (BadInput, "a shorter name"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO), (DeviceError, "another disk, or another place")),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), (DeviceError, "ulimit -n 4096, or fewer files at once")),
    errno.ENOMEM: (ModelError, "close other programs, or a smaller model"),
}
"""Errors of the system that are none of ours, as what they are told, and the step they advise."""


class Command(Protocol):
    """What a module of `pipeline.commands` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options; imports nothing heavy."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it and give the exit code; raises `TranslateLiveError` for what a user can be told."""
        ...


class Help(argparse.RawDescriptionHelpFormatter):
    """Descriptions and examples as they are written; the texts of options break between words only, not within a name."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """argparse prints its usage and exits on an error; ours is one line like every other (its documented hook)."""

    def error(self, message: str) -> NoReturn:
        """Raise `BadInput`, with the nearest option for an unknown one."""
        _, unknown, rest = message.partition("unrecognized arguments: ")
        if unknown and rest.startswith("-"):
            wrong, *_ = rest.split()
            message = f"unknown option {wrong}; {did_you_mean(wrong, self._option_string_actions)}".rstrip("; ")
        raise BadInput(f"{message}; try: {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives 0 ok, 2 usage, 3 device, 4 model, 5 network, 130 interrupted, 1 a bug."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without accents shows ? for them
    verbose = any(word in {"-v", "--verbose"} for word in words)
    if verbose:
        import logging  # noqa: PLC0415 - help does not need it

        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s %(message)s")
    if words == ["--version"]:
        print(f"translate-live {version()}")  # noqa: T201
        return 0
    arguments: argparse.Namespace | None = None
    try:
        check_packages()
        command, arguments = parse(words)
        exit_code = command.run(arguments)
        sys.stdout.flush()
        return exit_code
    except BrokenPipeError:  # as of `| head`: its reader has seen enough
        _forget_output()
        return 0
    except SeveralMistakes as error:
        return _failed(f"{error.what}:", None, error.exit_code, verbose, error.mistakes)
    except TranslateLiveError as error:
        profile = getattr(arguments, "profile", "auto") if arguments else "auto"
        return _failed(error.message, next_step(error, profile), error.exit_code, verbose)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the border to the user: no traceback without -v
        if isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS:
            kind_told, step = _SYSTEM_ERRORS[error.errno]
            if kind_told is DeviceError:
                _forget_output()
            where = f" ({error.filename})" if error.filename else ""
            return _failed(f"{error.strerror}{where}", step, kind_told.exit_code, verbose)
        if isinstance(error, MemoryError):
            return _failed("out of memory", _SYSTEM_ERRORS[errno.ENOMEM][1], ModelError.exit_code, verbose)
        kind = type(error).__name__
        return _failed(f"{kind}: {error}, a bug of translate-live", "again with -v, and report what it prints", 1, verbose)


def parse(words: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """The command, and its checked arguments; raises `BadInput`."""
    named = words[0] if words and words[0] in COMMANDS else None
    if words and not named:
        _check_file(words[0])
    command = cast(Command, importlib.import_module(f"pipeline.commands.{named or DEFAULT}"))
    parser = Parser(
        f"translate-live {named}" if named else "translate-live",
        description=textwrap.fill((command.__doc__ or "").partition("\n\n")[0], _HELP_COLUMNS),
        formatter_class=Help,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    talk = parser.add_argument_group("what is printed")
    talk.add_argument("-q", "--quiet", action="store_true", help="only results and errors")
    talk.add_argument("-v", "--verbose", action="store_true", help="log what happens, with tracebacks")
    if not named:
        parser.epilog = (parser.epilog or "") + _command_list()
    return command, parser.parse_args(words[1:] if named else words)


def _check_file(word: str) -> None:
    """Raise `BadInput` for a first word that is no file and has no look of one: a command is misspelt."""
    if word[:1] != "-" and not {".", "/", os.sep} & set(word) and not Path(word).exists():
        raise BadInput(f"{word!r} is no file and no command; {nearest(word, COMMANDS)}; try: translate-live --help")


def _command_list() -> str:
    lines = [f"  translate-live {name:<10} {about}" for name, about in COMMANDS.items() if name != DEFAULT]
    return "\n".join(["\n\nother commands (each has --help):", *lines])


def _open_missing_streams() -> None:
    """What the caller closed (as ``2>&-`` does) leads nowhere: else the next file that is opened would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for as long as the process


def _forget_output() -> None:
    """Let what is still to be written vanish; Python would complain when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _failed(message: str, step: str | None, exit_code: int, verbose: bool, listed: Sequence[str] = ()) -> int:
    """Tell what was wrong, each of several mistakes, and what to do next if there is a step of its own or this one."""
    if verbose:
        import traceback  # noqa: PLC0415

        traceback.print_exc()
    what = " ".join(message.split())
    with suppress(OSError):  # on a full disk the exit code alone tells
        print("\n  ".join([f"error: {what}", *listed]), file=sys.stderr)  # noqa: T201
        if step:
            print(f"try: {step}", file=sys.stderr)  # noqa: T201
    return exit_code
