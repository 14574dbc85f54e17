"""The size of a workbook's sheets, before a reader makes room for every cell up to the last one."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl
from zlib import error as ZlibError

from pipeline.errors import BadInput

MOST_CELLS = 5_000_000
"""Cells from the first of each sheet to its last, empty and repeated ones included."""
MOST_UNPACKED_BYTES = 256 * 2**20
_READ_BYTES, _LONGEST = 2**20, 64
_OPEN_DOCUMENT = "content.xml"
_UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, ZlibError, EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
_PLACE = re.compile(rb"""[\s"']r\s*=\s*["']([A-Za-z]{0,3})(\d{1,10})["']""")  # of <row r="7"> and <c r="B7">


def check_size(file: Path) -> None:
    """Raise `BadInput` for an XLSX or ODS workbook whose sheets have too many cells, or that unpacks to too much.

    The places of an XLSX workbook's cells are looked at as bytes, in every part: what a part is called, and the size that
    a sheet says it has, cannot be trusted. Raises `OSError` for a file that cannot be read; what is no ZIP archive passes.
    """
    from defusedxml import DefusedXmlException  # noqa: PLC0415  only for a workbook

    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(part.file_size for part in archive.infolist()) > MOST_UNPACKED_BYTES:
                raise BadInput(
                    f"{file} unpacks to more than {MOST_UNPACKED_BYTES // 2**20} MiB", hint="a smaller sheet as CSV"
                )
            cells = 0
            for name in archive.namelist():
                cells = check_extent(file, *_extent(archive, name), cells)
                if name == _OPEN_DOCUMENT:
                    _check_repeated(file, archive)
    except (DefusedXmlException, SAXException, *_UNREADABLE) as error:
        raise BadInput(f"{file}: not a workbook that can be read ({error})", hint="its sheet saved as CSV UTF-8") from error


def check_extent(file: Path, rows: int, columns: int, before: int = 0) -> int:
    """Return the cells of a sheet and those ``before`` it; raises `BadInput` for more than `MOST_CELLS`."""
    cells = before + rows * max(columns, 1)
    if cells > MOST_CELLS:
        raise BadInput(
            f"{file}: a sheet has {rows:,} rows and {columns:,} columns; valid: {MOST_CELLS:,} cells together",
            hint="delete what is far out or repeated, or save its terms as CSV UTF-8",
        )
    return cells


def _extent(archive: zipfile.ZipFile, name: str) -> tuple[int, int]:
    """Return the last row and column that a part of the archive names, from 1."""
    rows = columns = 0
    with archive.open(name) as part:
        before = b""
        while data := part.read(_READ_BYTES):
            for letters, digits in _PLACE.findall(before + data):
                rows = max(rows, int(digits))
                columns = max(columns, _column(letters))
            before = data[-_LONGEST:]
    return rows, columns


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - ord("A") + 1
    return number


def _check_repeated(file: Path, archive: zipfile.ZipFile) -> None:
    """Raise `BadInput` for the sheets of an ODS workbook, whose rows and cells stand once and say how often they repeat."""
    from defusedxml import sax  # noqa: PLC0415  only for a workbook

    sheets = _Sheets(file)
    with archive.open(_OPEN_DOCUMENT) as part:
        sax.parse(part, sheets)


class _Sheets(ContentHandler):
    """Counter of each sheet's cells up to the last that holds something."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._depth = 0  # of tables in tables
        self._before = self._cells = 0  # of earlier sheets; with those of this one
        self._row = self._columns = 0  # of this sheet
        self._repeated = self._column = self._width = 0  # of this row

    def startElement(self, name: str, attributes: AttributesImpl) -> None:  # the names are SAX's
        if name == "table:table":
            self._depth += 1
            if self._depth == 1:
                self._before, self._row, self._columns = self._cells, 0, 0
        elif name == "table:table-row":
            self._repeated = int(attributes.get("table:number-rows-repeated", "1"))
            self._column = self._width = 0
        elif name in {"table:table-cell", "table:covered-table-cell"}:
            self._column += int(attributes.get("table:number-columns-repeated", "1"))
            if any(key.startswith("office:") or key == "table:formula" for key in attributes.getNames()):
                self._width = self._column

    def endElement(self, name: str) -> None:
        if name == "table:table":
            self._depth -= 1
        elif name == "table:table-row":
            self._row += self._repeated
            if self._width:
                self._columns = max(self._width, self._columns)
                self._cells = check_extent(self._file, self._row, self._columns, self._before)
