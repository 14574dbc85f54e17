"""Glossaries in CSV and TSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from pipeline.errors import BadInput, nearest
from pipeline.glossary.entries import SETTINGS, Row
from pipeline.languages import is_language

_COLUMNS = ("source", "target", "note", *SETTINGS)


def rows_of_table(file: str, text: str) -> Iterator[Row]:
    """The rows of a CSV or TSV file; its delimiter is the commonest of comma, semicolon and tab in the header."""
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
