"""The command line: finds the command, keeps its promises about errors and exit codes, and starts fast.

Nothing is imported here that is not needed to print help; a command's module is imported when it is used.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from pipeline.commands import COMMANDS, DEFAULT
from pipeline.commands.advice import next_step, settings_given
from pipeline.commands.config_file import apply_defaults, config_path, read_config
from pipeline.commands.parser import LISTED, Command, command_of, parser_of
from pipeline.errors import BadInput, DeviceError, SeveralMistakes, TranslateLiveError, nearest, of_system
from pipeline.version import check_packages

INTERRUPTED = 130

_LOG_LINE = "%(asctime)s %(name)s %(message)s"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives 0 ok, 2 usage, 3 device, 4 model, 5 network, 130 interrupted, 1 a bug.

    Standard error that takes no more, as on a full disk, changes no exit code.
    """
    exit_code = _run(argv)
    try:
        sys.stderr.flush()
    except OSError:
        _forget(sys.stderr)
    return exit_code


def _run(argv: Sequence[str] | None) -> int:
    """Find the command and run it; gives the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without accents shows ? for them
    verbose = any(word in {"-v", "--verbose"} for word in words)
    if verbose:
        import logging  # noqa: PLC0415 - help does not need it

        logging.basicConfig(level=logging.DEBUG, format=_LOG_LINE)
    arguments: argparse.Namespace | None = None
    try:
        check_packages()
        command, arguments = parse(words)
        failures = _log_to(arguments.log_file) if arguments.log_file else []
        if verbose or arguments.log_file:
            _keep_texts_out_of_logs()
        exit_code = command.run(arguments)
        sys.stdout.flush()
        return exit_code or next((error.exit_code for error in failures), 0)
    except BrokenPipeError:  # as of `| head`: its reader has seen enough
        _forget(sys.stdout)
        return 0
    except SeveralMistakes as error:
        return _failed(f"{error.what}:", None, error.exit_code, verbose, error.mistakes)
    except TranslateLiveError as error:
        profile = getattr(arguments, "profile", "auto") if arguments else "auto"
        return _failed(error.message, next_step(error, profile, settings_given(arguments)), error.exit_code, verbose)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the border to the user: no traceback without -v
        if out := of_system(error):
            if isinstance(out, DeviceError):
                _forget(sys.stdout)
            return _failed(out.message, out.hint, out.exit_code, verbose)
        kind = type(error).__name__
        return _failed(f"{kind}: {error}, a bug of translate-live", "again with -v, and report what it prints", 1, verbose)


def parse(words: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """Return the command, and its checked arguments; raises `BadInput`."""
    if not words or words[0] == "help":
        words = [*words[1:], "--help"]
    named = words[0] if words[0] in COMMANDS else None
    if not named:
        _check_file(words[0])
    parser = parser_of(named)
    config = None if {"-h", "--help"} & set(words) else config_path()
    settings = read_config(config) if config else {}
    apply_defaults(parser, settings)
    arguments = parser.parse_args(words[1:] if named else words)
    if settings and not arguments.quiet:
        print(f"settings of {config}", file=sys.stderr)
    return command_of(named or DEFAULT), arguments


def _check_file(word: str) -> None:
    """Raise `BadInput` for a first word that is no file and has no look of one: a command is misspelt."""
    if word[:1] != "-" and not {".", "/", os.sep} & set(word) and not Path(word).exists():
        raise BadInput(f"{word!r} is no file and no command; {nearest(word, LISTED)}", hint="translate-live --help")


def _log_to(path: Path) -> list[DeviceError]:
    """Log everything to a file, whatever is printed; raises `DeviceError` where it cannot be written.

    A file that takes no more, as on a full disk, is told at once, and the session goes on. Gives a list for its error.
    """
    import logging  # noqa: PLC0415 - help does not need it

    from pipeline.sinks.writing import cannot_go_on, cannot_write, reason_of  # noqa: PLC0415

    failures: list[DeviceError] = []

    def give_up(record: logging.LogRecord) -> None:
        if not isinstance(error := sys.exception(), OSError):
            return logging.FileHandler.handleError(handler, record)
        logging.getLogger().removeHandler(handler)
        failures.append(cannot_go_on(path, reason_of(error)))
        _failed(failures[0].message, failures[0].hint, failures[0].exit_code, verbose=False)

    try:
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise cannot_write(path, error) from error
    handler.handleError = give_up  # type: ignore[method-assign]
    handler.setFormatter(logging.Formatter(_LOG_LINE))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    return failures


def _keep_texts_out_of_logs() -> None:
    """Silence libraries that log what they send and receive, which holds what was said."""
    import logging  # noqa: PLC0415 - help does not need it

    for library in ("websockets", "httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _open_missing_streams() -> None:
    """Lead what the caller closed (as ``2>&-`` does) nowhere: else the next file that is opened would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for as long as the process


def _forget(stream: TextIO) -> None:
    """Let what is still to be written vanish; Python would complain, and change the exit code, when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _failed(message: str, step: str | None, exit_code: int, verbose: bool, listed: Sequence[str] = ()) -> int:
    """Tell what was wrong, each of several mistakes, and what to do next if there is a step of its own or this one."""
    what = " ".join(message.split())
    if verbose:
        import traceback  # noqa: PLC0415

        traceback.print_exc()
    if (logging := sys.modules.get("logging")) and logging.getLogger().handlers:
        logging.getLogger(__name__).debug("failed: %s", what, exc_info=not verbose)
    with suppress(OSError):  # on a full disk the exit code alone tells
        print("\n  ".join([f"error: {what}", *listed]), file=sys.stderr)
        if step:
            print(f"try: {step}", file=sys.stderr)
    return exit_code
