"""The languages Whisper knows, as ISO 639 codes."""

from __future__ import annotations

_CODES = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it "
    "ja jv ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn "
    "so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh"
)
LANGUAGES = frozenset(_CODES.split())
SINCE_LARGE_V3 = frozenset({"yue"})

_OWN_CODES = {"jv": "jw"}


def whisper_code(language: str) -> str:
    """Whisper's own code for an ISO code."""
    return _OWN_CODES.get(language, language)


def iso_code(code: str) -> str:
    """The ISO code for one of Whisper's."""
    return next((iso for iso, own in _OWN_CODES.items() if own == code), code)
