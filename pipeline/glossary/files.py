"""Glossary files: tables, YAML, JSON and XML, read into entries; every mistake is reported with its file and line.

A table (CSV, TSV, Excel's Unicode Text, XLSX, XLS, ODS) has a header: ``source``; ``target`` or one column a target
language (``es``, ``zh``), alternatives separated by ``|``; and, if wanted, ``mode``, ``case_sensitive``, ``inflect``,
``source_language`` and ``note``. A header of languages alone takes the spoken one, else the first, as the source; other
columns are left out. YAML and JSON map a source to its target (``{"migration": "migración"}``), or to one a language
(``{"EBITDA": {"es": "EBITDA"}}``), where the settings may stand too; a target may be a list of alternatives.
TBX (ISO 30042, both dialects), TMX
and XLIFF give each term of a concept in one language the concept's terms in the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import BadInput, nearest
from pipeline.glossary.entries import Entry, Row, checked, refuse
from pipeline.glossary.tables import Languages, rows_of_table, rows_of_workbook
from pipeline.glossary.tbx import rows_of_xml
from pipeline.glossary.yaml_json import rows_of_tree

READERS: dict[str, Callable[[str, str], Iterator[Row]]] = {
    ".json": rows_of_tree,
    ".yaml": rows_of_tree,
    ".yml": rows_of_tree,
    **dict.fromkeys((".tbx", ".tmx", ".xlf", ".xliff"), rows_of_xml),
}
TABLES = (".csv", ".tsv", ".txt")
WORKBOOKS = (".xlsx", ".xls", ".ods")


def read_entries(file: Path, languages: Languages, notices: list[str]) -> tuple[Entry, ...]:
    """Read the entries of one file; raises `BadInput` with the lines that are wrong."""
    suffix = file.suffix.lower()
    if suffix in WORKBOOKS:
        rows = rows_of_workbook(file, languages, notices)
    elif suffix in TABLES:
        rows = rows_of_table(f"{file}", _text(file), languages, notices)
    elif suffix in READERS:
        rows = READERS[suffix](f"{file}", _text(file))
    else:
        known = [*TABLES, *WORKBOOKS, *READERS]
        raise BadInput(f"{file}: no glossary ends in {file.suffix or 'nothing'!r}; {nearest(suffix, known)}")
    entries: list[Entry] = []
    problems: list[str] = []
    for row in rows:
        for result in checked(str(file), row):
            if isinstance(result, Entry):
                entries.append(result)
            else:
                problems.append(f"{file}:{row.line}: {result}")
    refuse(problems)
    if not entries:
        raise BadInput(f"{file}: there is no term in it", hint="without it, or another file")
    return tuple(entries)


def _text(file: Path) -> str:
    """Decode UTF-8, or UTF-16 that begins with its mark, as Excel and Windows write it."""
    try:
        data = file.read_bytes()
        encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        return data.decode(encoding)
    except OSError as error:
        raise BadInput(f"{file}: the glossary cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
