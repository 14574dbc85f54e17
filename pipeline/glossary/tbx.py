"""Glossaries in TBX (TermBase eXchange, ISO 30042), TMX and XLIFF, read as events so that lines are known.

The XML is parsed by defusedxml, because a termbase may come from anywhere: entities and external references are refused.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import permutations
from typing import Any
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from pipeline.errors import BadInput
from pipeline.glossary.entries import Row

_CONCEPTS = {"termEntry", "conceptEntry", "tu", "trans-unit", "segment"}  # of TBX, TMX and both XLIFF
_LANGUAGES = {"langSet", "langSec", "tuv"}
_TERMS = {"term", "seg", "source", "target"}
_TEXTS = {*_TERMS, "termNote", "administrativeStatus"}
_PAIRS = {"source": ("source-language", "srcLang"), "target": ("target-language", "trgLang")}  # attributes of XLIFF
_RETIRED = ("deprecated", "superseded", "obsolete")

_HEAD = re.compile(r"^\s*<\?xml[^>]*\?>|<!DOCTYPE [^>\[]*>")  # of an encoding that the text has no more; a DTD unread


class _Concepts(ContentHandler):
    """Collects, for each (language, term), the terms that other languages have for it; homonyms are alternatives."""

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
