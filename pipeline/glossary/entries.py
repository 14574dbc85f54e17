"""Glossary entries, and the checks that a row of any file must pass to become one."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from pipeline.contracts import Term
from pipeline.errors import BadInput, SeveralMistakes, nearest
from pipeline.glossary.tokens import tokens
from pipeline.languages import is_language

Mode = Literal["hard", "soft", "keep", "ban"]
SETTINGS = ("mode", "case_sensitive", "inflect", "source_language")
_LONGEST = 200  # characters of a term
_SHOWN = 10  # problems of one message


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a glossary: a term, the languages it is for (empty: any), and where it stands."""

    source: str
    targets: tuple[str, ...]
    file: str
    line: int
    language: str = ""
    source_language: str = ""
    mode: Mode = "hard"
    case_sensitive: bool = False
    inflect: bool = False

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"

    @property
    def spellings(self) -> tuple[str, ...]:
        """Texts that may be said for it, or must not."""
        return (self.source,) if self.mode == "keep" else self.targets

    def term(self) -> Term:
        """Return the entry without its place."""
        return Term(self.source, self.spellings, self.mode, case_sensitive=self.case_sensitive, inflect=self.inflect)


@dataclass(frozen=True, slots=True)
class Row:
    """Contents of one line of a file, not yet checked: raw settings, and targets by language (empty: any)."""

    line: int
    source: str
    targets: Mapping[str, Sequence[str]]
    settings: Mapping[str, str]


def refuse(problems: Iterable[str]) -> None:
    """Raise `BadInput` with the first of the problems, if there are any."""
    listed = list(problems)
    if len(listed) == 1:
        raise BadInput(f"the glossary cannot be used: {listed[0]}")
    if listed:
        more = [f"… and {len(listed) - _SHOWN} more"] if len(listed) > _SHOWN else []
        raise SeveralMistakes("the glossary cannot be used", [*listed[:_SHOWN], *more])


def checked(file: str, row: Row) -> Iterator[Entry | str]:
    """Turn a row into entries, or into what is wrong with it."""
    source = _tidy(row.source)
    mode = row.settings.get("mode", "hard").lower()
    if problem := _problem_with_settings(row.settings) or _problem_with_source(source, mode):
        yield problem
        return
    for language, spellings in row.targets.items():
        targets = tuple(dict.fromkeys(filter(None, map(_tidy, spellings))))
        if problem := _problem_with_targets(targets, mode, language):
            yield f"{source!r} {problem}"
            continue
        yield Entry(
            source=source,
            targets=targets,
            file=file,
            line=row.line,
            language=language.lower(),
            source_language=row.settings.get("source_language", "").lower(),
            mode=cast(Mode, mode),
            case_sensitive=row.settings.get("case_sensitive", "no").lower() in _YES,
            inflect=row.settings.get("inflect", "no").lower() in _YES,
        )


_YES = {"yes", "true", "1"}
_NO = {"no", "false", "0"}


def _tidy(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _problem_with_settings(settings: Mapping[str, str]) -> str | None:
    mode, language = settings.get("mode", "hard").lower(), settings.get("source_language", "")
    if mode not in get_args(Mode):
        return f"there is no mode {mode!r}; {nearest(mode, get_args(Mode))}"
    if language and not is_language(language):
        return f"the source language {language!r} is not known; write for example en"
    for name in ("case_sensitive", "inflect"):
        if settings.get(name, "no").lower() not in _YES | _NO:
            return f"{name} is {settings[name]!r}; valid: yes, no"
    return None


def _problem_with_source(source: str, mode: str) -> str | None:
    if not source and mode != "ban":
        return "the source is empty; write the words to listen for"
    if source and not tokens(source):
        return f"the source {source!r} has no letter or digit; it could never be heard"
    return _problem_with_text(source)


def _problem_with_targets(targets: Sequence[str], mode: str, language: str) -> str | None:
    if language and not is_language(language):
        return f"has a target for {language!r}, which is no language known here; write for example es or pt-br"
    if not targets and mode != "keep":
        return f"has no target{' for ' + language if language else ''}; write one, or use mode keep"
    return next(filter(None, map(_problem_with_text, targets)), None)


def _problem_with_text(text: str) -> str | None:
    if len(text) > _LONGEST:
        return f"has a term of {len(text)} characters; the longest is {_LONGEST}"
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        return f"has a control character in {text!r}; remove it"
    return None
