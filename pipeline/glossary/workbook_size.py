"""The size of a workbook's sheets, before a reader makes room for every cell up to the last one."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from zlib import error as ZlibError

from pipeline.errors import BadInput

MOST_CELLS = 5_000_000
"""Cells from the first of a sheet to its last, empty ones included."""
MOST_UNPACKED_BYTES = 256 * 2**20
_READ_BYTES, _LONGEST = 2**20, 64
_PLACE = re.compile(rb"""[\s"']r\s*=\s*["']([A-Za-z]{0,3})(\d{1,10})["']""")  # of <row r="7"> and <c r="B7">


def check_size(file: Path) -> None:
    """Raise `BadInput` for an XLSX workbook whose last cell lies too far out, or that unpacks to too much.

    The places of all cells are looked at as bytes, in every part: what a part is called, and the size that a sheet says it
    has, cannot be trusted. Raises `OSError` for a file that cannot be read; what is no ZIP archive passes.
    """
    if not zipfile.is_zipfile(file):
        return
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(part.file_size for part in archive.infolist()) > MOST_UNPACKED_BYTES:
                raise BadInput(
                    f"{file} unpacks to more than {MOST_UNPACKED_BYTES // 2**20} MiB", hint="a smaller sheet as CSV"
                )
            for name in archive.namelist():
                check_extent(file, *_extent(archive, name))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ZlibError, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{file}: not a workbook that can be read ({error})", hint="its sheet saved as CSV UTF-8") from error


def check_extent(file: Path, rows: int, columns: int) -> None:
    """Raise `BadInput` for a sheet whose rows and columns make more than `MOST_CELLS`."""
    if rows * max(columns, 1) > MOST_CELLS:
        raise BadInput(
            f"{file}: a sheet has {rows:,} rows and {columns:,} columns; valid: {MOST_CELLS:,} cells together",
            hint="delete what is far out, or save its terms as CSV UTF-8",
        )


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
