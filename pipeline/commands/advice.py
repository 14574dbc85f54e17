"""Hints of errors in the words of the command line."""

from __future__ import annotations

import argparse
import re
import shlex

from pipeline.errors import FETCH_MODELS, ModelError, NetworkError, TranslateLiveError

_BY_CODE = {
    "unknown_language": "translate-live languages",
    "language": "another --profile, see translate-live languages --all",
    "spoken_language": "--no-speech, or --speak another",
    "spoken_target": "--no-speech, or --speak another",
    "nothing_to_translate": "another language with --to (and --captions-language source for captions of what is said)",
    "style": "--profile gpu --set synthesizer.model=Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice",
    "unknown_voice": "translate-live voices list, or to add it translate-live voices add CLIP --name NAME --consent FILE",
    "unknown_preset": "translate-live voices list",
    "preset_language": "another voice, see translate-live voices list",
    "event_log": "a file that --events wrote",
    "no_server": "another --server, or start it there: translate-live serve",
    "no_voices": "translate-live voices add --help",
    "voice_broken": "translate-live voices add CLIP --name NAME --consent FILE --replace",
    "voice_needs_enrolment": "translate-live voices add CLIP --name NAME --consent FILE --replace --keep-clip",
    "voice_taken": "--replace, or another --name",
}
_BY_KIND: dict[type[TranslateLiveError], str] = {
    ModelError: "translate-live doctor",
    NetworkError: "check the connection; models that are already here need none",
}
"""For errors that come from libraries and know no step of their own; all others say themselves what to do, or need not."""

_SETTING = re.compile(
    r"(?<![\w.-])((?:recognizer|translator|(?:second_|third_|cloning_|fallback_)?synthesizer|diarizer|reader|units|pace)\.[\w.]+=|capacity=)"
)
_FETCH = re.compile(rf"{FETCH_MODELS}(?: of the profile (\w+))?(?: from the language (\w+))?(?: for the language (\w+))?")
_OPTIONS = {
    "the key of the server": "--server-key KEY, or export TRANSLATE_LIVE_KEY=KEY",
    "a recording of consent,": "--consent FILE,",
    "a text of consent": "--consent-text",
    "a text to say": "--text TEXT",
}
_PROFILE = re.compile(r"\bthe profile ([a-z]\w*)")


def next_step(error: TranslateLiveError, profile: str = "auto", settings: str = "") -> str:
    """Give the step that an error advises, with commands and options; empty if there is none.

    ``settings`` are the options, after a space, with which the profile was changed: what is fetched must fit them.
    """
    general = next((step for kind, step in _BY_KIND.items() if isinstance(error, kind)), "")
    return _BY_CODE.get(error.code) or worded(error.hint, profile, settings) or general


def worded(hint: str, profile: str = "auto", settings: str = "") -> str:
    """Put a hint into options and commands, for the profile that was in use."""
    said, end = "", 0
    for found in _FETCH.finditer(hint):  # the commands between the texts are not put into options again
        languages = (f" --from {found[2]}" if found[2] else "") + (f" --to {found[3]}" if found[3] else "")
        said += f"{_optioned(hint[end : found.start()])}translate-live pull {found[1] or profile}{languages}{settings}"
        end = found.end()
    return said + _optioned(hint[end:])


def _optioned(text: str) -> str:
    """Put what a text advises into options."""
    for phrase, option in _OPTIONS.items():
        text = text.replace(phrase, option)
    return _PROFILE.sub(r"--profile \1", _SETTING.sub(r"--set \1", text))


def settings_given(arguments: argparse.Namespace | None) -> str:
    """Give the options that changed the profile, each after a space, for a command to be typed next."""
    config, assignments = getattr(arguments, "config", None), getattr(arguments, "assignments", ())
    words = [*(["--config", str(config)] if config else []), *(word for one in assignments for word in ("--set", one))]
    return "".join(f" {shlex.quote(word)}" for word in words)
