"""Keeps the voices that translations are spoken with: yours, or those of others who consent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.languages import add_profile_arguments, profile_given

if TYPE_CHECKING:
    from pipeline.contracts import SynthesizerBackend
    from pipeline.profiles.profile import Profile
    from pipeline.voices.store import VoiceStore

EXAMPLES = """
examples:
  translate-live voices add me.wav --name me --consent consent.wav
      learn a voice from 3 to 15 s of speech; without --consent it says what
      the speaker must record
  translate-live voices list --profile gpu
      see your voices, and the presets that the models of a profile bring
  translate-live voices preview me --to fr --out me.fr.wav
      hear what it sounds like
  translate-live --mic --to fr --voice me
      translate with it
"""


_ACTIONS = {
    "add": "learn a voice from a recording",
    "list": "list the enrolled voices and the presets",
    "remove": "delete a voice and all that is kept of it",
    "preview": "let a voice say a sentence",
    "audit": "say who enrolled, used and erased a voice, and when",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be done with voices."""
    parser.epilog = EXAMPLES
    actions = parser.add_subparsers(dest="action", required=True, metavar="add | list | remove | preview | audit")
    parsers = {
        action: actions.add_parser(action, help=about, description=f"{about.capitalize()}.", allow_abbrev=False)
        for action, about in _ACTIONS.items()
    }
    _add_add(parsers["add"])
    add_profile_arguments(parsers["list"])
    parsers["remove"].add_argument("name", metavar="NAME", help="which voice (see: translate-live voices list)")
    _add_preview(parsers["preview"])
    parsers["audit"].add_argument("name", nargs="?", metavar="NAME", help="which voice or speaker (all, as hashes)")
    for action in parsers.values():  # also after the action's name
        action.add_argument("-q", "--quiet", action="store_true", default=argparse.SUPPRESS, help="only results and errors")
        action.add_argument("-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="log what happens")


def _add_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", type=Path, metavar="CLIP", help="audio or video with 3 to 15 s of one person's speech")
    parser.add_argument("--name", required=True, metavar="NAME", help="what to call the voice")
    parser.add_argument(
        "--consent", type=Path, metavar="FILE", help="a recording in which the speaker agrees; may be CLIP itself"
    )
    parser.add_argument("--consent-text", metavar="TEXT", help="what they say there, if it is not our sentence")
    parser.add_argument("--who", metavar="PERSON", help="who the speaker is, for the consent's record (NAME)")
    parser.add_argument("--language", default="en", metavar="LANG", help="what is spoken in both recordings (en)")
    parser.add_argument("--keep-clip", action="store_true", help="keep the speech too, so that other models can learn it")
    parser.add_argument("--replace", action="store_true", help="replace a voice of this name")
    add_profile_arguments(parser)


def _add_preview(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="an enrolled voice, or a preset of the profile")
    parser.add_argument("--to", metavar="LANG", help="in which language (the one it was enrolled in, if it can be spoken)")
    parser.add_argument("--text", metavar="TEXT", help="what it says")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it to a .wav or .flac file instead of playing it")
    parser.add_argument("--out-device", metavar="NAME", help="which speaker: part of its name")
    add_profile_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do one of the actions."""
    match arguments.action:
        case "add":
            _enrol(arguments)
        case "list":
            _list(arguments)
        case "remove":
            _remove(arguments.name)
        case "preview":
            _preview(arguments)
        case "audit":
            _audit(arguments.name)
    return 0


def _enrol(arguments: argparse.Namespace) -> None:
    import asyncio  # noqa: PLC0415 - help needs none of this
    import sys  # noqa: PLC0415

    from pipeline.privacy.audit import Audit  # noqa: PLC0415
    from pipeline.profiles.profile import selected_profile  # noqa: PLC0415
    from pipeline.voices.enrolment import Enrolment, enrol  # noqa: PLC0415
    from pipeline.voices.store import VoiceStore  # noqa: PLC0415

    enrolment = Enrolment(
        clip=arguments.clip,
        name=arguments.name,
        consent=arguments.consent,
        consent_text=arguments.consent_text,
        who=arguments.who or arguments.name,
        language=_language(arguments.language),
        keep_clip=arguments.keep_clip,
        replace=arguments.replace,
    )
    profile, why = selected_profile(arguments.profile, arguments.config, arguments.assignments)

    def tell(line: str) -> None:
        if not arguments.quiet:
            print(line, file=sys.stderr, flush=True)

    tell(why)
    record = asyncio.run(enrol(enrolment, profile, VoiceStore(), tell))
    Audit().note("enrolled", record.name)
    hear = f"translate-live voices preview {record.name}{profile_given(arguments)}"
    print(f"voice {record.name}: {record.speech_s:g} s of speech; try: {hear}")


def _list(arguments: argparse.Namespace) -> None:
    from pipeline.profiles.profile import selected_profile  # noqa: PLC0415
    from pipeline.voices.store import VoiceStore  # noqa: PLC0415

    store = VoiceStore()
    for name in store.names():
        print(_about(store, name))
    if not store.names():
        print("no voice is enrolled; try: translate-live voices add --help")
    profile, _ = selected_profile(arguments.profile, arguments.config, arguments.assignments)
    print(_presets(profile))


def _about(store: VoiceStore, name: str) -> str:
    """Describe an enrolled voice, or what is wrong with its record."""
    from pipeline.errors import BadInput  # noqa: PLC0415
    from pipeline.languages import language_name  # noqa: PLC0415

    try:
        record = store.record(name)
    except BadInput as error:
        return f"{name}: {error}"
    consent = record.consent
    return (
        f"{record.name}  {language_name(record.language)}, {record.speech_s:g} s of speech, enrolled "
        f"{record.enrolled[:10]}, clip {'kept' if record.clip else 'not kept'}; consent of {consent.who} on "
        f"{consent.when[:10]}, {consent.checked}; for {', '.join(record.arrays)}"
    )


def _presets(profile: Profile) -> str:
    """Return the voices that a profile brings, or why they are not known: the first synthesizer's and those by language."""
    from pipeline.speech_facts import VoicesByLanguage  # noqa: PLC0415

    first, *others = profile.backends.synthesizers.values()
    by_language = [one for one in others if isinstance(one, VoicesByLanguage)]
    return "\n".join(_presets_of(profile, one) for one in (first, *by_language))


def _presets_of(profile: Profile, synthesizer: SynthesizerBackend) -> str:
    from textwrap import fill  # noqa: PLC0415

    from pipeline.profiles.languages_offered import backend_name  # noqa: PLC0415
    from pipeline.profiles.profile import listed  # noqa: PLC0415
    from pipeline.speech_facts import VoicesByLanguage  # noqa: PLC0415
    from pipeline.voices.choice import knows_voices  # noqa: PLC0415

    who = f"profile {profile.name}, {backend_name(synthesizer)}"
    if missing := synthesizer.missing():
        return f"presets of {who}: not known yet, it lacks {listed(missing)}"
    known = knows_voices(synthesizer)
    names = sorted(known.presets()) if known else []
    none = "none is here" if isinstance(synthesizer, VoicesByLanguage) else "none; it speaks with enrolled voices"
    return fill(f"presets of {who}: {', '.join(names) or none}", 78, subsequent_indent="  ", break_on_hyphens=False)


def _remove(name: str) -> None:
    from pipeline.privacy.audit import Audit  # noqa: PLC0415
    from pipeline.voices.store import VoiceStore  # noqa: PLC0415

    VoiceStore().remove(name)
    Audit().note("erased", name)
    print(f"voice {name} and all that was kept of it is deleted")


def _audit(name: str | None) -> None:
    from pipeline.privacy.audit import Audit  # noqa: PLC0415

    lines = [
        f"{entry.when}  {entry.action:<8}  by {entry.actor}  {name or entry.subject}  {entry.session}".rstrip()
        for entry in Audit().entries(name)
    ]
    about = f" of the voice {name!r}" if name else ""
    print("\n".join(lines) or f"nothing is in the audit{about}")


def _preview(arguments: argparse.Namespace) -> None:
    import asyncio  # noqa: PLC0415

    from pipeline.profiles.profile import selected_profile  # noqa: PLC0415
    from pipeline.voices.preview import Preview, preview  # noqa: PLC0415
    from pipeline.voices.store import VoiceStore  # noqa: PLC0415

    profile, _ = selected_profile(arguments.profile, arguments.config, arguments.assignments)
    language = _language(arguments.to) if arguments.to else None
    asked = Preview(arguments.name, language, arguments.text, arguments.out, arguments.out_device)
    asyncio.run(preview(asked, profile, VoiceStore()))
    if arguments.out:
        print(f"wrote {arguments.out}")


def _language(text: str) -> str:
    """Return the code of a language given by code or English name; regions do not matter to a voice."""
    from pipeline.languages import code_of, primary  # noqa: PLC0415

    return primary(code_of(text))
