"""Lists which languages can be heard, translated and spoken, and which model does it."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.advice import settings_given

if TYPE_CHECKING:
    from pipeline.profiles.languages_offered import LanguageRow
    from pipeline.profiles.profile import Profile

_HEADER = ("language", "heard by", "translated by", "spoken by")
_NOTHING = "nothing"
_WIDE = 1000  # for pipes and files, where a row is a line


def add_profile_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Declare the options that name a profile."""
    parser.add_argument("--profile", default="auto", metavar="NAME", help="which set of models (auto: the best that runs)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML whose settings replace those of the profile")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="A.B=VALUE", help="one setting")


def profile_given(arguments: argparse.Namespace) -> str:
    """Return the options that name the profile as they were given, each after a space, for a command to be typed next."""
    profile = "" if arguments.profile == "auto" else f" --profile {shlex.quote(arguments.profile)}"
    return profile + settings_given(arguments)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the profile, or all."""
    add_profile_arguments(parser)
    parser.add_argument("--all", action="store_true", help="over all profiles, also those that cannot run here")
    parser.add_argument("--spoken", action="store_true", help="who speaks each wanted language: voice, license")
    parser.add_argument("--json", action="store_true", help="with --spoken: as JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each language that can be heard or translated."""
    from pipeline.errors import BadInput  # noqa: PLC0415
    from pipeline.profiles.languages_offered import languages_offered  # noqa: PLC0415
    from pipeline.profiles.profile import load_profile, profile_names, selected_profile  # noqa: PLC0415

    if arguments.json and not arguments.spoken:
        raise BadInput("--json is of the table of spoken languages", hint="--spoken --json")
    if not arguments.all:
        profile, why = selected_profile(arguments.profile, arguments.config, arguments.assignments)
        profiles = [profile]
    elif arguments.profile != "auto" or arguments.config or arguments.assignments:
        table = f"{' --spoken' if arguments.spoken else ''}{' --json' if arguments.json else ''}"
        raise BadInput("--all is about the profiles as they are", hint=f"translate-live languages --all{table}")
    else:
        profiles = [load_profile(name) for name in profile_names()]
        why = f"profiles {', '.join(profile.name for profile in profiles)}"
    if arguments.spoken:
        return _spoken(profiles, why, as_json=arguments.json)
    rows = languages_offered(profile.backends for profile in profiles)
    print(why)
    print("\n".join(_lines(_HEADER, map(_cells, rows), _width())))
    sources, targets = sum(row.source for row in rows), sum(row.captions for row in rows)
    print(f"source languages {sources}, target languages {targets}, of these spoken {sum(row.speech for row in rows)}")
    return 0


def _spoken(profiles: Sequence[Profile], why: str, *, as_json: bool) -> int:
    """Print who speaks each language into which the profiles translate."""
    from pipeline.profiles.languages_offered import columns_of, counted, spoken_table  # noqa: PLC0415

    rows = spoken_table(profiles)
    columns = columns_of(rows)
    counts = {column: counted(rows, column) for column in columns}
    if as_json:
        described = {"languages": [row.described() for row in rows], "counts": counts}
        print(json.dumps(described, indent=1, ensure_ascii=False))
        return 0
    print(why)
    cells = [
        (f"{row.code} {row.name}", *(str(row.speech[name] or _NOTHING) if name in row.speech else "-" for name in columns))
        for row in rows
    ]
    print("\n".join(_lines(("language", *columns), cells, _width())))
    for column, count in counts.items():
        spoken = f"{count['spoken']} spoken, {count['cloned']} in a cloned voice"
        print(f"{column}: {count['targets']} wanted languages, {spoken}")
    return 0


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE


def _lines(header: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> list[str]:
    """Format the rows as a table that wraps within its columns."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(*header, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*row)
    console = Console(width=width, color_system=None)
    with console.capture() as printed:
        console.print(table, markup=False, highlight=False)
    return [line.rstrip() for line in printed.get().splitlines()]


def _cells(row: LanguageRow) -> tuple[str, ...]:
    heard, source, target, spoken = (
        ", ".join(names) or _NOTHING
        for names in (row.recognized_by, row.translated_from_by, row.translated_to_by, row.spoken_by)
    )
    return f"{row.code} {row.name}", heard, source if source == target else f"from: {source}; to: {target}", spoken
