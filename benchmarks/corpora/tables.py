"""Tab-separated tables as speech corpora have them: no quoting, and lines end at a line feed and nowhere else.

A CSV reader with its defaults swallows rows at an unbalanced quote, and `str.splitlines` breaks them at U+2028 or U+0085.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.corpora.utterance import Issues
from pipeline.errors import BadInput

TableRow = dict[str, str]

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def read_table(file: Path, columns: Sequence[str] | None, issues: Issues, *, escapes: bool = False) -> list[TableRow]:
    """The rows of a table; ``columns`` names them, or the first line does when it is None.

    Lines with another number of columns are dropped with notice. With ``escapes`` a backslash takes the next character
    as it is (CoVoST). Raises `BadInput` for a file that is missing, not UTF-8 or without its header.
    """
    lines = [line.removesuffix("\r") for line in _text(file).split("\n")]
    first = 1
    if columns is None:
        columns, first = [name.strip() for name in lines[0].removeprefix("\ufeff").split("\t")], 2
        lines = lines[1:]
    rows = []
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(columns):
            issues.drop(f"{len(cells)} columns instead of {len(columns)}", f"{file.name}:{number}")
            continue
        cells = [_ESCAPE.sub(r"\1", cell) for cell in cells] if escapes else cells
        rows.append(dict(zip(columns, cells, strict=True)))
    return rows


def require(file: Path, rows: Sequence[TableRow], columns: Sequence[str]) -> None:
    """Raise `BadInput` if a table lacks a column."""
    lacking = [name for name in columns if rows and name not in rows[0]]
    if lacking:
        raise BadInput(f"{file} has no column {lacking[0]!r}; it has: {', '.join(rows[0])}")


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise BadInput(
            f"cannot read the table {file}: {error.strerror}. Is the folder in the layout of its set?"
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8 at byte {error.start}; convert it with iconv") from error
