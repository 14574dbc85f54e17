"""Backends by name: ``module:Class`` in a profile becomes a checked, cheap backend object."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, cast, get_type_hints

import msgspec

from pipeline.contracts import Missing, RecognizerBackend, SynthesizerBackend, TranslatorBackend
from pipeline.errors import BadInput, nearest

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """Which class a profile uses for a stage (``module:Class``), and its settings."""

    use: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Backends:
    """The backends of a profile; making them loads no model.

    ``fallback_synthesizer`` speaks the languages that ``synthesizer`` does not.
    """

    recognizer: RecognizerBackend
    translator: TranslatorBackend
    synthesizer: SynthesizerBackend
    fallback_synthesizer: SynthesizerBackend | None = None

    @property
    def synthesizers(self) -> tuple[SynthesizerBackend, ...]:
        """The synthesizer, and the fallback if there is one."""
        return (self.synthesizer, self.fallback_synthesizer) if self.fallback_synthesizer else (self.synthesizer,)

    def missing(self, speaks: bool = True) -> list[Missing]:
        """What this machine lacks to run them; a fallback may be missing, and a synthesizer unless the session speaks."""
        voice = self.synthesizer.missing() if speaks else ()
        return [*self.recognizer.missing(), *self.translator.missing(), *voice]

    def spoken(self) -> frozenset[str]:
        """The languages that any synthesizer speaks."""
        return frozenset().union(*(synthesizer.languages() for synthesizer in self.synthesizers))


def backend(choice: BackendChoice) -> object:
    """The backend object for a choice; raises `BadInput` for an unknown class or setting."""
    module_name, _, class_name = choice.use.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise BadInput(f"no backend {choice.use!r}: {error}; a backend is named 'module:Class'") from error
    kind = getattr(module, class_name, None)
    if not isinstance(kind, type) or not is_dataclass(kind):
        classes = [name for name, value in vars(module).items() if isinstance(value, type) and hasattr(value, "load")]
        raise BadInput(f"{module_name} has no backend {class_name!r}: {nearest(class_name, classes)}")
    return options_from(choice.settings, kind, choice.use)


def options_from(settings: object, kind: type[Options], where: str) -> Options:
    """``settings`` as the dataclass ``kind``; unknown keys and wrong types raise `BadInput` that names the place."""
    check_keys(settings, kind, where)
    try:
        return msgspec.convert(settings, kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"{where}: {error}") from error


def check_keys(settings: object, kind: type, where: str) -> None:
    """Raise `BadInput` for the first key, at any depth, that is no field of the dataclass ``kind``."""
    if not isinstance(settings, Mapping):
        raise BadInput(f"{where}: expected settings as 'key: value', got {settings!r}")
    types = get_type_hints(kind)
    names = [item.name for item in fields(cast(Any, kind))]
    for key, value in settings.items():
        if key not in names:
            raise BadInput(f"{where}: unknown setting {key!r}; {nearest(str(key), names)}")
        if is_dataclass(types[key]) and isinstance(value, Mapping):
            check_keys(value, cast(type, types[key]), f"{where}.{key}")
