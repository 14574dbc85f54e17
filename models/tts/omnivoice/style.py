"""Style of a voice in words: attributes of a speaker, at most one of a kind, as the model was trained to read them."""

from __future__ import annotations

import re

from pipeline.errors import Refused, nearest

IDEOGRAPH = "[\u4e00-\u9fff]"
_CHINESE = {
    "male": "男", "female": "女", "child": "儿童", "teenager": "少年", "young adult": "青年", "middle-aged": "中年",
    "elderly": "老年", "very low pitch": "极低音调", "low pitch": "低音调", "moderate pitch": "中音调",
    "high pitch": "高音调", "very high pitch": "极高音调", "whisper": "耳语",
}  # fmt: skip
"""Attributes with their words in Chinese, which are used for Chinese text."""

_ACCENTS = (
    "american accent", "british accent", "australian accent", "chinese accent", "canadian accent", "indian accent",
    "korean accent", "portuguese accent", "russian accent", "japanese accent",
)  # fmt: skip
_KINDS = (
    ("male", "female"),
    ("child", "teenager", "young adult", "middle-aged", "elderly"),
    ("very low pitch", "low pitch", "moderate pitch", "high pitch", "very high pitch"),
    ("whisper",),
    _ACCENTS,
)
_ALL = tuple(attribute for kind in _KINDS for attribute in kind)


def attributes(style: str) -> list[str]:
    """Split a style; raises `Refused` for an attribute that the model does not know and for two of one kind."""
    found = [part.strip().lower() for part in style.split(",") if part.strip()]
    for attribute in found:
        if attribute not in _ALL:
            raise Refused(f"OmniVoice knows no style {attribute!r}; {nearest(attribute, _ALL)}", code="style")
    for kind in _KINDS:
        if len(same := [attribute for attribute in found if attribute in kind]) > 1:
            raise Refused(
                f"the styles {' and '.join(map(repr, same))} exclude each other", hint="one of them", code="style"
            )
    return found


def style_for(style: str, text: str) -> str:
    """Word a style for the prompt of ``text``: in Chinese before Chinese text, unless it names an accent."""
    found = attributes(style)
    if re.search(IDEOGRAPH, text) and not any(attribute in _ACCENTS for attribute in found):
        return "，".join(_CHINESE[attribute] for attribute in found)  # noqa: RUF001
    return ", ".join(found)
