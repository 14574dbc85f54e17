"""Glossary files: tables, YAML, JSON and XML, read into entries; every mistake is reported with its file and line.

A table (CSV, TSV, Excel's Unicode Text, XLSX, XLS, ODS) has a header: ``source``; ``target`` or one column a target
language (``es``, ``zh``), alternatives separated by ``|``; and, if wanted, ``mode``, ``case_sensitive``, ``inflect``,
``source_language`` and ``note``. A header of languages alone takes the spoken one, else the first, as the source; other
columns are left out. YAML and JSON map a source to its target (``{"migration": "migración"}``), or to one a language
(``{"EBITDA": {"es": "EBITDA"}}``), where the settings may stand too; a target may be a list of alternatives.
TBX (ISO 30042, both dialects), TMX and XLIFF give each term of a concept in one language the concept's terms in the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from pipeline.errors import BadInput, nearest
from pipeline.glossary.entries import SETTINGS, Entry, Row, checked, refuse
from pipeline.glossary.tables import Languages, rows_of_table, rows_of_workbook
from pipeline.glossary.tbx import rows_of_xml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where PyYAML has it: 10,000 terms in half a second
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB]..\\u[dD][c-fC-F]..)")


def rows_of_tree(file: str, text: str) -> Iterator[Row]:
    """Return the rows of a YAML or JSON file, with their lines: a plain load would drop lines and repeated keys."""
    root = _parsed(file, text)
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise BadInput(f"{file}:{_line(root)}: not a map; write source: target, or source: {{es: target}}")
    for key, value in root.value:
        yield _row(file, key, value)


def _parsed(file: str, text: str) -> yaml.Node | None:
    if file.lower().endswith(".json"):
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            raise BadInput(f"{file}:{error.lineno}: {error.msg}, column {error.colno}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists
            raise BadInput(f"{file}: not JSON that can be read", hint='{"source": "target"}') from error
        text = _as_yaml(text)
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except RecursionError as error:
        raise BadInput(f"{file}: not YAML that can be read: too many lists in lists", hint="source: target") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise BadInput(f"{file}{line}: {getattr(error, 'problem', None) or error}") from error
    return node


def _as_yaml(text: str) -> str:
    """Rid valid JSON of what YAML does not take: tabs (between tokens) and pairs of surrogate escapes (an emoji)."""
    return _SURROGATES.sub(lambda pair: pair[1] + json.loads(f'"{pair[2]}"'), text.replace("\t", " "))


def _row(file: str, key: yaml.Node, value: yaml.Node) -> Row:
    line = _line(key)
    if not isinstance(value, yaml.MappingNode):
        return Row(line, _scalar(file, key), {"": _spellings(file, value)}, {})
    fields: dict[str, yaml.Node] = {}
    for name, node in value.value:
        if fields.setdefault(_scalar(file, name), node) is not node:
            raise BadInput(
                f"{file}:{_line(name)}: {_scalar(file, name)!r} stands twice for {_scalar(file, key)!r}; keep one"
            )
    settings = {name: _scalar(file, node) for name, node in fields.items() if name in SETTINGS}
    targets = {name: _spellings(file, node) for name, node in fields.items() if name not in {*SETTINGS, "note", "target"}}
    if "target" in fields:
        targets[""] = _spellings(file, fields["target"])
    return Row(line, _scalar(file, key), targets or {"": []}, settings)


def _spellings(file: str, node: yaml.Node) -> list[str]:
    return [_scalar(file, item) for item in node.value] if isinstance(node, yaml.SequenceNode) else [_scalar(file, node)]


def _scalar(file: str, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise BadInput(f"{file}:{_line(node)}: a text must stand here, or a list of texts")
    if node.tag == "tag:yaml.org,2002:null":
        return ""
    text: str = node.value
    return text


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1


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
