"""Plain text to Apertium's stream format and back (https://wiki.apertium.org/wiki/Apertium_stream_format)."""

from __future__ import annotations

import re
import unicodedata

_WORDS = re.compile(r"""[\w\u0300-\u036f .,;:!?'"()%&¿¡’-]+""")
_ESCAPED = re.compile(r"[\\^$<>\[\]{}/@]")


def to_stream(text: str) -> str:
    """Text as a request, without the NUL that ends it; empty when there is nothing to translate.

    Words and common punctuation stand open. All other characters become *superblanks* (``[...]``), which the programs
    carry along unread: several of them choke on escaped or unusual characters outside. Control characters are dropped.
    """
    text = unicodedata.normalize("NFC", text.encode(errors="replace").decode())
    text = "".join(" " if char.isspace() and char != "\n" else char for char in text)
    text = "".join(char for char in text if char == "\n" or unicodedata.category(char) not in ("Cc", "Cs"))
    if not text.strip():
        return ""
    blanks = _WORDS.sub(lambda words: f"\0{words[0]}\0", text).split("\0")  # blank, words, blank, words, ..., blank
    parts = [part if index % 2 else _superblank(part) for index, part in enumerate(blanks)]
    return "".join(parts)


def _superblank(text: str) -> str:
    return f"[{_ESCAPED.sub(lambda special: chr(92) + special[0], text)}]" if text else ""


def from_stream(reply: str) -> str:
    """The reply as plain text: superblanks opened, escapes removed, blanks tidied."""
    text = re.sub(r"\\(.)|[\[\]]", lambda mark: mark[1] or "", reply, flags=re.DOTALL)
    return re.sub(r" +", " ", text).strip()
