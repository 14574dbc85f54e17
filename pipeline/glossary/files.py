"""Glossary files: CSV, YAML, JSON and TBX, read into entries; every mistake is reported with its file and line.

CSV and TSV have a header: ``source``; ``target`` or one column a target language (``es``, ``zh``), alternatives separated
by ``|``; and, if wanted, ``mode``, ``case_sensitive``, ``inflect``, ``source_language`` and ``note``. YAML and JSON map a
source to its target (``{"migration": "migración"}``), or to one a language (``{"EBITDA": {"es": "EBITDA"}}``), where the
settings may stand too; a target may be a list of alternatives. TBX (ISO 30042, both dialects) gives each term of a
concept in one language the concept's terms in the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import BadInput, nearest
from pipeline.glossary.entries import Entry, Row, checked, refuse
from pipeline.glossary.table import rows_of_table
from pipeline.glossary.tbx import rows_of_tbx
from pipeline.glossary.yaml_json import rows_of_tree

READERS: dict[str, Callable[[str, str], Iterator[Row]]] = {
    ".csv": rows_of_table,
    ".tsv": rows_of_table,
    ".json": rows_of_tree,
    ".yaml": rows_of_tree,
    ".yml": rows_of_tree,
    ".tbx": rows_of_tbx,
}


def read_entries(file: Path) -> tuple[Entry, ...]:
    """The entries of one file; raises `BadInput` with the lines that are wrong."""
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
        raise BadInput(f"{file}: there is no term in it; try: without it, or another file")
    return tuple(entries)
