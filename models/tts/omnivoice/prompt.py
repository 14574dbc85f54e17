"""Prompt of a unit: tags, the text that was and is to be said, and the speech that goes before.

The model reads one line: tags for language and style, the transcript of the reference with the unit's text behind it, the
reference's codes, and the unit's own frames, which are masked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.tts.checkpoint import load_tokenizer
from pipeline.errors import ModelError, Refused, nearest

Codes = NDArray[np.int64]

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
TAGS = ("denoise", "lang_start", "lang_end", "instruct_start", "instruct_end", "text_start", "text_end")
_BESIDE_IDEOGRAPHS = re.compile(rf"(?<={IDEOGRAPH})\s+|\s+(?={IDEOGRAPH})")
_CLOSING = frozenset(";:,.!?…)]}\"'“”‘’；：，。！？、）】")  # noqa: RUF001


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Speech whose voice and manner a unit takes: its codes [codebooks, frames], its transcript, and its loudness (RMS).

    ``rms`` is None for speech of the model's own, whose loudness means nothing.
    """

    codes: Codes
    text: str
    rms: float | None

    @property
    def length(self) -> tuple[str, int]:
        """Text and frames, from which other text's length is estimated."""
        return self.text, self.codes.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """Prompt of one unit: text ids, then the reference's codes [codebooks, frames] (no frames: none)."""

    text: tuple[int, ...]
    codes: Codes

    def __len__(self) -> int:
        return len(self.text) + int(self.codes.shape[1])


class PromptTokenizer:
    """Tokenizer of a checkpoint with the tags of its prompts. Tags are never read from text: there they are spelled out."""

    def __init__(self, folder: Path, codebooks: int) -> None:
        """Read ``tokenizer.json``; raises `ModelError` for one that is missing, damaged or another model's."""
        self._tokenizer = load_tokenizer(folder / "tokenizer.json")
        self._codebooks = codebooks
        ids = {tag: self._tokenizer.token_to_id(f"<|{tag}|>") for tag in TAGS}
        if lacking := [tag for tag, number in ids.items() if number is None]:
            raise ModelError(f"{folder / 'tokenizer.json'} has no tag <|{lacking[0]}|>: the tokenizer is another model's")
        self._ids = ids

    def prompt(self, text: str, language: str | None, style: str, reference: Reference | None) -> Prompt:
        """Lay out the prompt of ``text`` in a language (the model's id; None: it guesses) and a style (empty: none)."""
        ids = self._ids
        tags = [ids["denoise"]] if reference is not None else []
        tags += [ids["lang_start"], *self.encode(language or "None"), ids["lang_end"]]
        tags += [ids["instruct_start"], *self.encode(style or "None"), ids["instruct_end"]]
        said = self.encode(joined(reference.text if reference else "", text))
        codes = reference.codes if reference is not None else np.zeros((self._codebooks, 0), dtype=np.int64)
        return Prompt((*tags, ids["text_start"], *said, ids["text_end"]), codes)

    def encode(self, text: str) -> list[int]:
        """Encode text without tags; a lone surrogate, which UTF-8 cannot encode, reads as a question mark."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        return list(self._tokenizer.encode(clean, add_special_tokens=False).ids)


def joined(reference: str, text: str) -> str:
    """Join the transcript of the reference and the text as the model was trained to read them."""
    whole = f"{reference.strip()} {text.strip()}" if reference else text.strip()
    whole = re.sub(r"[\r\n]+", "", whole).replace("（", "(").replace("）", ")")  # noqa: RUF001
    return _BESIDE_IDEOGRAPHS.sub("", re.sub(r"[ \t]+", " ", whole))


def closed(transcript: str) -> str:
    """End a transcript with a full stop where it has no mark at its end, so that the text behind it begins anew."""
    text = transcript.strip()
    if not text or text[-1] in _CLOSING:
        return text
    return text + ("。" if re.search(IDEOGRAPH, text) else ".")


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
