"""Prints what makes a shell complete commands, options and their values; load it from the shell's start file."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.commands.parser import LISTED, actions_of, options_of, parser_of

EXAMPLES = """
examples:
  translate-live completion bash >> ~/.bashrc
  translate-live completion zsh > ~/.zfunc/_translate-live
  translate-live completion fish | source
"""


@dataclass(frozen=True, slots=True)
class Words:
    """Completions of the words ``command``: actions or commands with what they do, and options."""

    command: tuple[str, ...]
    actions: dict[str, str]
    options: tuple[argparse.Action, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the shell."""
    parser.epilog = EXAMPLES
    parser.add_argument("shell", choices=list(_SHELLS), help="which shell")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(_SHELLS[arguments.shell](list(_words())))
    return 0


def _words() -> Iterator[Words]:
    yield Words((), LISTED, tuple(options_of(parser_of())))
    for name in LISTED:
        parser = parser_of(name)
        actions = actions_of(parser)
        yield Words((name,), {action: own.description or "" for action, own in actions.items()}, tuple(options_of(parser)))
        for action, own in actions.items():
            yield Words((name, action), {}, tuple(options_of(own)))


def _long(options: tuple[argparse.Action, ...]) -> list[str]:
    return [string for option in options for string in option.option_strings if string.startswith("--")]


def _bash(words: list[Words]) -> str:
    cases = [
        f"    {shlex.quote(' '.join(one.command))}) words={shlex.quote(' '.join([*one.actions, *_long(one.options)]))} ;;"
        for one in words
    ]
    values = {
        string: " ".join(map(str, option.choices))
        for one in words
        for option in one.options
        if option.choices
        for string in option.option_strings
    }
    choices = [
        f'    {string}) COMPREPLY=($(compgen -W {shlex.quote(text)} -- "$cur")); return ;;'
        for string, text in values.items()
    ]
    return "\n".join([
        "_translate_live() {",
        '  local cur="${COMP_WORDS[COMP_CWORD]}" words="" named="" word',
        '  case "${COMP_WORDS[COMP_CWORD-1]}" in', *choices, "  esac",
        '  for word in "${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do',
        '    case "$word" in -*) break ;; *) named="${named:+$named }$word" ;; esac',
        "  done",
        '  case "$named" in', *cases, f"    *) words={shlex.quote(' '.join(_long(words[0].options)))} ;;", "  esac",
        '  COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur"))',
        "}",
        "complete -o filenames -F _translate_live translate-live",
    ])  # fmt: skip


def _zsh(words: list[Words]) -> str:
    """Give the script of bash for bashcompinit; a file in ``fpath`` is run by the first completion, which it answers."""
    first = "[[ ${funcstack[1]-} != _translate-live ]] || _bash_complete -o filenames -F _translate_live"
    return "\n".join(["#compdef translate-live", "autoload -U +X bashcompinit && bashcompinit", _bash(words), first])


def _fish(words: list[Words]) -> str:
    lines = []
    for one in words:
        if not one.command:
            condition = f"not __fish_seen_subcommand_from {' '.join(LISTED)}"
        else:
            condition = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in one.command)
        start = f"complete -c translate-live -n {shlex.quote(condition)}"
        lines += [f"{start} -a {name} -d {_told(about)}" for name, about in one.actions.items()]
        for option in one.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.option_strings
            )
            value = f" -x -a {shlex.quote(' '.join(map(str, option.choices)))}" if option.choices else ""
            value = value or (" -r" if option.nargs != 0 else "")
            lines.append(f"{start} {names}{value} -d {_told(option.help or '')}")
    return "\n".join(lines)


def _told(text: str) -> str:
    """Quote a description as fish reads it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SHELLS: dict[str, Callable[[list[Words]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
