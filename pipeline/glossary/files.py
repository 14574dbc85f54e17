"""Glossary files: CSV, YAML, JSON and TBX, read into entries; every mistake is reported with its file and line.

CSV and TSV have a header: ``source``; ``target`` or one column a target language (``es``, ``zh``), alternatives separated
by ``|``; and, if wanted, ``mode``, ``case_sensitive``, ``inflect``, ``source_language`` and ``note``. YAML and JSON map a
source to its target (``{"migration": "migración"}``), or to one a language (``{"EBITDA": {"es": "EBITDA"}}``), where the
settings may stand too; a target may be a list of alternatives. TBX (ISO 30042, both dialects) gives each term of a
concept in one language the concept's terms in the others.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import BadInput, nearest
from pipeline.glossary.entries import SETTINGS, Entry, Row, checked, refuse
from pipeline.glossary.tbx import rows_of_tbx
from pipeline.glossary.yaml_json import rows_of_tree
from pipeline.languages import is_language

_COLUMNS = ("source", "target", "note", *SETTINGS)


def rows_of_table(file: str, text: str) -> Iterator[Row]:
    """Read the rows of a CSV or TSV file; its delimiter is the commonest of comma, semicolon and tab in the header."""
    header_line = text.partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(file, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if any(cell.strip() for cell in cells[len(header) :]):
                hint = f"quote cells that hold {delimiter!r}"
                raise BadInput(f"{file}:{reader.line_num}: more cells than the header has columns ({len(header)}); {hint}")
            values = dict(zip(header, (cell.strip() for cell in cells), strict=False))
            targets = {"" if name == "target" else name: values.get(name, "").split("|") for name in _targets(header)}
            if len(targets) > 1:  # a language without a target in this row has none
                targets = {name: spellings for name, spellings in targets.items() if any(spellings)} or targets
            settings = {name: values[name] for name in SETTINGS if values.get(name)}
            yield Row(reader.line_num, values.get("source", ""), targets, settings)
    except csv.Error as error:
        raise BadInput(f"{file}:{reader.line_num}: {error}; quote cells that hold quotes or line ends") from error


def _check_header(file: str, header: Sequence[str]) -> None:
    unknown = [name for name in header if name not in _COLUMNS and not is_language(name)]
    if unknown:
        hint = nearest(unknown[0], [*_COLUMNS, "a language code such as es"])
        raise BadInput(f"{file}:1: there is no column {unknown[0]!r}; {hint}")
    if "source" not in header or not (_targets(header) or "mode" in header):
        raise BadInput(f"{file}:1: the header needs the columns source and target (or one a target language)")


def _targets(header: Sequence[str]) -> list[str]:
    return [name for name in header if name == "target" or name not in _COLUMNS]


READERS: dict[str, Callable[[str, str], Iterator[Row]]] = {
    ".csv": rows_of_table,
    ".tsv": rows_of_table,
    ".json": rows_of_tree,
    ".yaml": rows_of_tree,
    ".yml": rows_of_tree,
    ".tbx": rows_of_tbx,
}


def read_entries(file: Path) -> tuple[Entry, ...]:
    """Read the entries of one file; raises `BadInput` with the lines that are wrong."""
    reader = READERS.get(file.suffix.lower())
    if reader is None:
        raise BadInput(f"{file}: no glossary ends in {file.suffix or 'nothing'!r}; {nearest(file.suffix, READERS)}")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{file}: the glossary cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    entries: list[Entry] = []
    problems: list[str] = []
    for row in reader(str(file), text):
        for result in checked(str(file), row):
            if isinstance(result, Entry):
                entries.append(result)
            else:
                problems.append(f"{file}:{row.line}: {result}")
    refuse(problems)
    if not entries:
        raise BadInput(f"{file}: there is no term in it", hint="without it, or another file")
    return tuple(entries)
