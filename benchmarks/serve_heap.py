"""Server that tells what of its heap is in use: `python -m benchmarks.serve_heap FILE serve …`, asked by SIGUSR1.

What the system sees of a process, its resident memory, also holds what was freed and is kept for what comes.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from pipeline.cli import main


class MallocInfo(ctypes.Structure):
    """What glibc's ``mallinfo2`` gives: ``uordblks`` bytes in use of its heap, and ``hblkhd`` of large blocks beside it."""

    _fields_ = [  # noqa: RUF012 - as ctypes wants it
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def in_use_bytes() -> int:
    """Bytes that the C library and Python's own allocator have given and not got back, garbage of Python among them.

    Raises `AttributeError` where the C library is not glibc 2.33 or newer.
    """
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = MallocInfo
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd) + _python_bytes()


def _python_bytes() -> int:
    """Bytes of the objects of at most 512 bytes, which Python tells on standard error only."""
    with tempfile.TemporaryFile() as told:
        kept = os.dup(2)
        os.dup2(told.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        told.seek(0)
        found = re.search(rb"bytes in allocated blocks\s*=\s*([\d,]+)", told.read())
    return int(found[1].replace(b",", b"")) if found else 0


def serve(file: Path, words: list[str]) -> int:
    """Run the command line, and write the bytes in use into ``file`` at each SIGUSR1."""

    def tell(number: int, frame: FrameType | None) -> None:
        new = file.with_suffix(".new")
        new.write_text(str(in_use_bytes()))
        new.replace(file)

    signal.signal(signal.SIGUSR1, tell)
    return main(words)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1]), sys.argv[2:]))
