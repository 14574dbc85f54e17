"""Glossary files: tables, YAML, JSON and XML, read into entries; every mistake is reported with its file and line.

A table (CSV, TSV, Excel's Unicode Text, XLSX, XLS, ODS) has a header: ``source``; ``target`` or one column a target
language (``es``, ``zh``), alternatives separated by ``|``; and, if wanted, ``mode``, ``case_sensitive``, ``inflect``,
``source_language`` and ``note``. A header of languages alone takes the spoken one, else the first, as the source; other
columns are left out. YAML and JSON map a source to its target (``{"migration": "migración"}``), or to one a language
(``{"EBITDA": {"es": "EBITDA"}}``), where the settings may stand too; a target may be a list of alternatives.
TBX (ISO 30042, both dialects), TMX and XLIFF give each term of a concept in one language the concept's terms in the others.
XML is read as events so that lines are known, by defusedxml, because a termbase may come from anywhere: entities and
external references are refused.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

import yaml

from pipeline.errors import BadInput, nearest
from pipeline.glossary.entries import SETTINGS, Entry, Row, checked, refuse
from pipeline.glossary.tables import Languages, rows_of_table, rows_of_workbook

_CONCEPTS = {"termEntry", "conceptEntry", "tu", "trans-unit", "segment"}  # of TBX, TMX and both XLIFF
_LANGUAGES = {"langSet", "langSec", "tuv"}
_TERMS = {"term", "seg", "source", "target"}
_TEXTS = {*_TERMS, "termNote", "administrativeStatus"}
_PAIRS = {"source": ("source-language", "srcLang"), "target": ("target-language", "trgLang")}  # attributes of XLIFF
_RETIRED = ("deprecated", "superseded", "obsolete")

_HEAD = re.compile(r"^\s*<\?xml[^>]*\?>|<!DOCTYPE [^>\[]*>")  # of an encoding that the text has no more; a DTD unread


class _Concepts(ContentHandler):
    """Collector, for each (language, term), of the terms that other languages have for it; homonyms are alternatives."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, str], dict[str, list[str]]] = {}
        self.lines: dict[tuple[str, str], int] = {}
        self._concept: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        self._retired: set[tuple[str, str]] = set()
        self._language = ""
        self._term = ""
        self._text: list[str] | None = None
        self._pair: dict[str, str] = {}

    def startElement(self, name: str, attributes: AttributesImpl) -> None:  # the names are SAX's
        local = name.rpartition(":")[2]
        if local in _CONCEPTS:
            self._concept.clear()
            self._retired.clear()
        elif local in _LANGUAGES:
            self._language = (attributes.get("xml:lang") or attributes.get("lang") or "").lower()
        elif local in {"xliff", "file"}:
            self._pair |= {
                part: attributes[name].lower() for part, names in _PAIRS.items() for name in names if name in attributes
            }
        elif local in _PAIRS:
            self._language = self._pair.get(local, "")
        if local in _TEXTS:
            self._text = []

    def characters(self, content: str) -> None:
        if self._text is not None:
            self._text.append(content)

    def endElement(self, name: str) -> None:
        local = name.rpartition(":")[2]
        text = " ".join("".join(self._text or ()).split())
        if local in _TERMS:
            self._term = text
            self._concept[self._language].append((text, self._locator_line()))
        elif local in {"termNote", "administrativeStatus"} and text.startswith(_RETIRED):
            self._retired.add((self._language, self._term))
        elif local in _CONCEPTS:
            self._close()
        if local in _TEXTS:
            self._text = None

    def _locator_line(self) -> int:
        locator: Any = self._locator  # type: ignore[attr-defined]
        return int(locator.getLineNumber())

    def _close(self) -> None:
        for source, target in permutations(self._concept, 2):
            spellings = [term for term, _ in self._concept[target] if (target, term) not in self._retired]
            for term, line in self._concept[source]:
                self.lines.setdefault((source, term), line)
                known = self.found.setdefault((source, term), {}).setdefault(target, [])
                known += [spelling for spelling in spellings if spelling not in known]


def rows_of_xml(file: str, text: str) -> Iterator[Row]:
    """Read the rows of a TBX, TMX or XLIFF file: every term of every language, with the other languages' terms."""
    from defusedxml import DefusedXmlException, sax  # noqa: PLC0415  only for a termbase

    concepts = _Concepts()
    try:
        sax.parseString(_HEAD.sub("", text).encode(), concepts)
    except DefusedXmlException as error:
        raise BadInput(f"{file}: it defines or refers to XML entities, which a glossary needs not: {error}") from error
    except SAXException as error:
        line = getattr(error, "getLineNumber", lambda: 1)()
        raise BadInput(f"{file}:{line}: not well-formed XML: {error.getMessage()}") from error
    if not concepts.found:
        raise BadInput(f"{file}: no concept with terms in two languages; is it TBX, TMX or XLIFF?")
    for (language, term), targets in concepts.found.items():
        yield Row(concepts.lines[language, term], term, targets, {"source_language": language})


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
