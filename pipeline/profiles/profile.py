"""Profiles: strict YAML files that name the three backends and their settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import yaml

from pipeline.contracts import Missing
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, nearest
from pipeline.lane import usable_cores
from pipeline.policies.pace import PaceOptions
from pipeline.policies.unit_policy import UnitSettings
from pipeline.profiles.backends import STAGES, BackendChoice, Backends, backends_of, options_from

STAGES_NEEDED = {stage for stage, needed in STAGES.items() if needed}
AUTO_ORDER = ("gpu", "cpu")
"""The profiles ``auto`` tries, best first."""


@dataclass(frozen=True)
class Profile:
    """A resolved profile: the backend of each stage, how units are cut and paced, and how many sessions it carries."""

    name: str
    summary: str
    stages: Mapping[str, BackendChoice]
    units: UnitSettings = field(default_factory=UnitSettings)
    pace: PaceOptions = field(default_factory=PaceOptions)
    capacity: int = 1  # sessions at once, as measured by `python -m benchmarks load`
    cores: int = 0  # so many at least there are, for which it has settings of its own (`by_cores`); 0: none

    @cached_property
    def backends(self) -> Backends:
        """The backend objects, made once; nothing is loaded. Raises `BadInput` for an unknown class or setting."""
        return backends_of(self.stages)

    @property
    def about(self) -> str:
        """The summary, and for how many cores its settings are."""
        return f"{self.summary}{self.for_cores}"

    @property
    def for_cores(self) -> str:
        """For how many cores its settings are, as the end of a line; empty where they are for any."""
        return f"; set for {self.cores} cores or more" if self.cores else ""

    def with_setting(self, stage: str, key: str, value: object) -> Profile:
        """Copy the profile with one setting of a stage's backend."""
        choice = self.stages[stage]
        return replace(self, stages={**self.stages, stage: replace(choice, settings={**choice.settings, key: value})})


def selected_profile(name: str, config: Path | None, assignments: Sequence[str]) -> tuple[Profile, str]:
    """Load the named profile, or for ``auto`` the best that can run; and a line about it.

    A ``config`` that names every stage is a profile of its own, called by the file, unless another is named under it.
    """
    if name == "auto" and config is not None and (own := _read(config)).keys() >= STAGES_NEEDED:
        profile = _resolve(config.stem, _assigned(own, assignments))
        return profile, f"profile {profile.name}: {profile.about or config}"
    if name == "auto":
        return choose_profile(config, assignments)
    profile = load_profile(name, config, assignments)
    return profile, f"profile {name}: {profile.about}"


def profiles_folder() -> Path:
    """Find the folder of profiles: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def profile_names() -> list[str]:
    """Return the profiles that come with the product."""
    return sorted(path.stem for path in profiles_folder().glob("*.yaml"))


def load_profile(name: str, config: Path | None = None, assignments: Sequence[str] = ()) -> Profile:
    """Load profile ``name``, overlaid with the YAML file ``config`` and then with ``a.b=value`` assignments.

    Raises `BadInput` for an unknown profile, key, type or malformed file, naming the nearest valid one.
    """
    if name not in profile_names():
        raise BadInput(f"no profile {name!r}; {nearest(name, ['auto', *profile_names()])}")
    settings, cores = for_cores(_read(profiles_folder() / f"{name}.yaml"), usable_cores())
    if config is not None:
        settings = _overlay(settings, _read(config))
    return replace(_resolve(name, _assigned(settings, assignments)), cores=cores)


def for_cores(settings: Mapping[str, Any], cores: int) -> tuple[dict[str, Any], int]:
    """Lay those of ``by_cores`` that are for so many cores over the other settings, and tell for how many at least."""
    settings = dict(settings)
    fitting = {least: upper for least, upper in settings.pop("by_cores", {}).items() if least <= cores}
    for least in sorted(fitting):
        settings = _overlay(settings, fitting[least])
    return settings, max(fitting, default=0)


def digest(profile: Profile) -> str:
    """Return the SHA-256 of the resolved profile, first 12 digits: two runs with the same digest had the same settings."""
    text = json.dumps({item.name: repr(getattr(profile, item.name)) for item in fields(profile)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def choose_profile(config: Path | None = None, assignments: Sequence[str] = ()) -> tuple[Profile, str]:
    """Choose the best profile that can run here, and one short line that says which and why; `lacking` tells the rest.

    Settings of a backend fit only the profiles that use it; raises `BadInput` when they fit none.
    """
    better = ""
    unfit = BadInput(f"no profile found in {profiles_folder()}: reinstall translate-live")
    for name in AUTO_ORDER:
        try:
            profile = load_profile(name, config, assignments)
            missing = what_is_missing(profile)
        except BadInput as error:
            unfit = error
            continue
        if not missing or name == AUTO_ORDER[-1]:
            return profile, f"profile {name}: {better or 'the best that runs here'}{profile.for_cores}"
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        better = f"{name} lacks {missing[0].what}{more} (the doctor tells more)"
    raise unfit


def lacking(name: str, config: Path | None = None, assignments: Sequence[str] = ()) -> Iterator[tuple[str, list[Missing]]]:
    """Yield the profiles that ``auto`` would rather take than ``name``, and what they lack on this machine."""
    for better in AUTO_ORDER[: AUTO_ORDER.index(name)] if name in AUTO_ORDER else ():
        with suppress(BadInput):  # the settings do not fit it
            yield better, what_is_missing(load_profile(better, config, assignments))


def what_is_missing(profile: Profile) -> list[Missing]:
    """List what this machine lacks to run the profile; a fallback may be missing."""
    return profile.backends.missing()


def require(profile: str, missing: Sequence[Missing]) -> None:
    """Raise `ModelError` with the fix if a profile lacks something that is used."""
    if missing:
        raise ModelError(f"profile {profile} lacks {listed(missing)}", hint=fix_for(missing, profile), code="missing")


def listed(missing: Iterable[Missing]) -> str:
    """Join what is missing, each once."""
    return ", ".join(dict.fromkeys(item.what for item in missing))


def fix_for(missing: Iterable[Missing], profile: str) -> str:
    """Join the steps that bring all that a profile lacks; where one thing cannot be fetched, the advice for that."""
    missing = list(missing)
    if advice := [item.fix for item in missing if not item.fetchable]:
        return ", and ".join(dict.fromkeys(advice))
    fetch = f"{FETCH_MODELS} of the profile {profile}"
    return " && ".join(dict.fromkeys(item.fix.replace(FETCH_MODELS, fetch) for item in missing))


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot read the profile {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is no text in UTF-8, at byte {error.start}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BadInput(f"{path} is not YAML{line}: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(settings, dict):
        raise BadInput(f"{path}: a profile is a list of 'key: value', see {profiles_folder()}")
    return settings


def _parse(assignment: str) -> dict[str, Any]:
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise BadInput(f"the setting {assignment}: expected key.key=value, as in pace.max_lag_s=6")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"the setting {assignment}: {text!r} is no YAML value") from error
    for key in reversed(path.split(".")):
        value = {key: value}
    return cast(dict[str, Any], value)


def _assigned(settings: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """Lay ``a.b=value`` assignments over settings."""
    for assignment in assignments:
        settings = _overlay(settings, _parse(assignment))
    return dict(settings)


def _overlay(settings: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``upper`` over ``settings``, mappings merged; another backend's settings do not survive a new ``use``."""
    merged = dict(settings)
    for key, value in upper.items():
        below = merged.get(key)
        replaced = isinstance(value, Mapping) and "use" in value
        merged[key] = (
            _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) and not replaced else value
        )
    return merged


def _resolve(name: str, settings: dict[str, Any]) -> Profile:
    stages: dict[str, BackendChoice] = {}
    for stage, needed in STAGES.items():
        choice = settings.pop(stage, None)
        if choice is None and not needed:
            continue
        if not isinstance(choice, Mapping) or not isinstance(choice.get("use"), str):
            raise BadInput(f"profile {name}: {stage} needs 'use: module:Class'")
        stages[stage] = BackendChoice(choice["use"], {key: value for key, value in choice.items() if key != "use"})
    valid = [item.name for item in fields(Profile) if item.name not in {"stages", "cores"}]
    for key in settings:
        if key not in valid:
            raise BadInput(f"profile {name}: unknown setting {key!r}; {nearest(str(key), [*valid, *STAGES])}")
    return replace(options_from({"name": name, **settings, "stages": {}}, Profile, f"profile {name}"), stages=stages)
