"""Glossaries as tables: CSV, TSV, Excel's Unicode Text and workbooks, with the headers that people and tools write."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pipeline.errors import BadInput, nearest
from pipeline.glossary.entries import SETTINGS, Row
from pipeline.glossary.workbook_size import check_extent, check_size
from pipeline.languages import language_of, primary

_COLUMNS = ("source", "target", "note", *SETTINGS)
_ALIASES = {
    "term": "source", "source term": "source", "original": "source", "translation": "target", "target term": "target",
    "notes": "note", "comment": "note", "comments": "note", "definition": "note", "description": "note", "context": "note",
}  # fmt: skip
_MISSPELT = 0.7  # likeness from which an unknown column is a mistake, not one of another tool's
Cells = list[str]


@dataclass(frozen=True, slots=True)
class Languages:
    """The languages that a session asks for: what may be spoken, and what is wanted; empty where it names none."""

    sources: Sequence[str] = ()
    targets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Layout:
    """Places of the columns; ``told`` is how a table without a header was read."""

    source: int
    targets: dict[str, int]  # by language; empty: any
    settings: dict[str, int]
    width: int
    source_language: str = ""
    told: str = ""


def rows_of_table(file: str, text: str, languages: Languages, notices: list[str]) -> Iterator[Row]:
    """Read the rows of a table, adding how it was read to ``notices`` where that had to be guessed.

    Its delimiter is a tab if the first line has one, else the commoner of comma and semicolon.
    """
    if text[:4].lower() == "sep=":  # Excel's own line, before the header
        text = text.partition("\n")[2]
    header_line = text.partition("\n")[0]
    delimiter = "\t" if "\t" in header_line else max(",;", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise BadInput(f"{file}:{reader.line_num}: {error}; quote cells that hold quotes or line ends") from error
    return _rows(file, lines, languages, notices, hint=f"quote cells that hold {delimiter!r}")


def rows_of_workbook(file: Path, languages: Languages, notices: list[str]) -> Iterator[Row]:
    """Read the rows of the first sheet of a workbook (XLSX, XLS, ODS) that holds cells; raises `BadInput`."""
    from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415  - few glossaries are workbooks

    try:
        check_size(file)
        with CalamineWorkbook.from_path(file) as workbook:
            cells = {}
            for name in workbook.sheet_names:
                sheet = workbook.get_sheet_by_name(name)
                row, column = sheet.end or (0, 0)  # from 0
                check_extent(file, row + 1, column + 1)
                cells[name] = sheet.to_python(skip_empty_area=False)
    except OSError as error:
        raise BadInput(f"{file}: the glossary cannot be read: {error.strerror or error}; check the path") from error
    except CalamineError as error:
        raise BadInput(f"{file}: not a workbook that can be read ({error})", hint="its sheet saved as CSV UTF-8") from error
    filled = [name for name, rows in cells.items() if any(any(row) for row in rows)]
    if len(filled) > 1:
        notices.append(f"{file} has {len(filled)} sheets: {filled[0]!r} is read")
    lines = [
        (line, [_written(cell) for cell in row]) for name in filled[:1] for line, row in enumerate(cells[name], start=1)
    ]
    return _rows(f"{file}", lines, languages, notices, hint="a name for each column")


def _written(cell: object) -> str:
    """Write a cell as a workbook shows it: whole numbers without a fraction."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _rows(
    file: str, numbered: Sequence[tuple[int, Cells]], languages: Languages, notices: list[str], *, hint: str
) -> Iterator[Row]:
    lines = [(line, cells) for line, cells in numbered if any(cell.strip() for cell in cells)]
    if not lines:
        return
    layout = _layout(file, lines, languages)
    if layout.told:
        notices.append(f"{file} {layout.told}")
    for line, cells in lines if layout.told else lines[1:]:
        if any(cell.strip() for cell in cells[layout.width :]):
            raise BadInput(f"{file}:{line}: more cells than the header has columns ({layout.width}); {hint}")
        yield _row(line, [cell.strip() for cell in cells] + [""] * (layout.width - len(cells)), layout)


def _row(line: int, cells: Cells, layout: _Layout) -> Row:
    targets = {language: cells[column].split("|") for language, column in layout.targets.items()} or {"": [""]}
    if len(targets) > 1:  # a language without a target in this row has none
        targets = {language: spellings for language, spellings in targets.items() if any(spellings)} or targets
    settings = {name: cells[column] for name, column in layout.settings.items() if cells[column]}
    if layout.source_language:
        settings.setdefault("source_language", layout.source_language)
    return Row(line, cells[layout.source], targets, settings)


def _layout(file: str, lines: Sequence[tuple[int, Cells]], languages: Languages) -> _Layout:
    """Find the columns by the header, or by the request where there is none."""
    header = [" ".join(name.lower().split()) for name in lines[0][1]]
    names = [_ALIASES.get(name, name) for name in header]
    own = {name: column for column, name in reversed(list(enumerate(names))) if name in _COLUMNS}
    spoken = {
        column: language
        for column, name in enumerate(names)
        if name and name not in own and not _is_number(lines, column) and (language := language_of(name).lower())
    }
    settings = {name: column for name, column in own.items() if name in SETTINGS}
    targets = {language: column for column, language in spoken.items()} | ({"": own["target"]} if "target" in own else {})
    if "source" in own and (targets or "mode" in own):
        _check_extra(file, [name for column, name in enumerate(names) if name not in own and column not in spoken])
        return _Layout(own["source"], targets, settings, len(names))
    if "source" not in own and "target" not in own and len(spoken) > 1:
        heard = set(map(primary, languages.sources))
        wanted = [column for column, language in spoken.items() if primary(language) in heard]
        source = wanted[0] if len(wanted) == 1 else next(iter(spoken))
        others = {language: column for language, column in targets.items() if column != source}
        return _Layout(source, others, settings, len(names), spoken[source])
    return _without_header(file, lines[0][1], names, own, languages)


def _without_header(file: str, first: Cells, names: Sequence[str], own: dict[str, int], languages: Languages) -> _Layout:
    """Take two columns as source and target of the request, if it names one of each."""
    columns = [column for column, cell in enumerate(first) if cell.strip()]
    if own or len(columns) != 2:
        for name in own and names:
            if name and name not in own and not language_of(name):
                hint = nearest(name, [*_COLUMNS, "a language code such as es"])
                raise BadInput(f"{file}:1: there is no column {name!r}; {hint}")
        raise BadInput(f"{file}:1: the header needs the columns source and target (or one a target language)")
    if len(languages.sources) != 1 or len(languages.targets) != 1:
        raise BadInput(
            f"{file}:1: there is no header of the columns source and target, or of two languages",
            hint="a header such as en,es, or one spoken and one wanted language, in which it is read without",
        )
    source, target = languages.sources[0], languages.targets[0]
    told = f"has no header: its columns are taken as {source} and {target}"
    return _Layout(columns[0], {target.lower(): columns[1]}, {}, len(first), source, told)


def _check_extra(file: str, names: Sequence[str]) -> None:
    """Raise `BadInput` for a column that looks misspelt; others are of other tools and left out."""
    for name in names:
        if get_close_matches(name, _COLUMNS, n=1, cutoff=_MISSPELT):
            raise BadInput(f"{file}:1: there is no column {name!r}; {nearest(name, _COLUMNS)}")


def _is_number(lines: Sequence[tuple[int, Cells]], column: int) -> bool:
    """Return whether a column numbers the rows, as id and no do, which are languages too."""
    cells = [cells[column].strip() for _, cells in lines[1:] if len(cells) > column]
    return bool(cells) and all(cell.isdecimal() for cell in cells)
