"""The user's own defaults, read from a file in YAML; what is given on the command line goes before them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.commands.parser import actions_of
from pipeline.errors import BadInput, nearest


def config_path() -> Path | None:
    """Find the file: $TRANSLATE_LIVE_CONFIG (empty: none), else the system's place for settings; none if there is none."""
    given = os.environ.get("TRANSLATE_LIVE_CONFIG")
    if given is not None:
        return Path(given) if given else None
    if sys.platform == "win32":
        parent = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        parent = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    path = parent / "translate-live" / "config.yaml"
    return path if path.is_file() else None


def read_config(path: Path) -> dict[str, object]:
    """Read the defaults as the options' destinations; raises `BadInput` for a key or value that cannot be."""
    import yaml  # noqa: PLC0415  only where there is a file

    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    return _flat(path, settings, "", _KEYS)


def apply_defaults(parser: argparse.ArgumentParser, settings: Mapping[str, object]) -> None:
    """Make settings the defaults of the options that a parser, or one of its actions, has.

    Its devices are for sessions that use them (`translate_options.with_devices`).
    """
    names = {action.dest for action in parser._actions}
    if "mic" in names:
        parser.set_defaults(devices={name: settings[name] for name in _DEVICES if name in settings})
    if "mic" not in names:
        settings = {name: value for name, value in settings.items() if name == "profile"}
    elif "server" in settings:  # which has models of its own
        settings = {name: value for name, value in settings.items() if name != "profile"}
    parser.set_defaults(**{name: value for name, value in settings.items() if name in names - _DEVICES})
    for action in actions_of(parser).values():
        apply_defaults(action, settings)


def _flat(path: Path, settings: object, section: str, keys: Mapping[str, object]) -> dict[str, object]:
    if not isinstance(settings, dict):
        raise BadInput(f"{path}: {section.rstrip('.') or 'it'} needs lines of 'key: value'; valid: {', '.join(keys)}")
    found: dict[str, object] = {}
    for key, value in settings.items():
        known = keys.get(str(key))
        if known is None:
            raise BadInput(f"{path}: unknown setting {section}{key}; {nearest(str(key), keys)}")
        if isinstance(known, dict):
            found |= _flat(path, value, f"{section}{key}.", known)
        elif callable(known):
            name, read = known(value)
            if read is None:
                raise BadInput(f"{path}: {section}{key} cannot be {value!r}; valid: a text, or a list of texts")
            found[name] = [_placed(path, file) for file in read] if name == "glossary" else read
    return found


def _placed(path: Path, file: str) -> Path | str:
    """Give the place of a glossary: a file beside the settings, or an address."""
    return file if "://" in file else path.parent / Path(file).expanduser()


def _text(name: str) -> Callable[[object], tuple[str, object]]:
    return lambda value: (name, value if isinstance(value, str) and value else None)


def _texts(name: str, joined: str | None = None) -> Callable[[object], tuple[str, object]]:
    """Read a text or several, as a list or ``joined`` as the option takes them; YAML takes no, Norwegian, for False."""

    def read(value: object) -> tuple[str, object]:
        listed = ["no" if one is False else one for one in (value if isinstance(value, list) else [value])]
        if not listed or not all(isinstance(one, str) for one in listed):
            return name, None
        texts = [one for one in listed if isinstance(one, str)]
        return name, texts if joined is None else joined.join(texts)

    return read


_DEVICES = {"in_device", "out_device"}
_KEYS: dict[str, object] = {
    "profile": _text("profile"),
    "from": _texts("source", ","),
    "to": _texts("to", ","),
    "glossary": _texts("glossary"),
    "server": _text("server"),
    "devices": {"in": _text("in_device"), "out": _text("out_device")},
}
