"""Options of the main command, checked as far as they can be without touching models or devices."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pipeline.client.connection import Remote
from pipeline.commands import COMMANDS
from pipeline.commands.network_options import addresses_named, glossary_addresses, is_address, room_of, sharing_of
from pipeline.commands.out_options import BroadcastAsked, check_out, split_out
from pipeline.commands.speaker_options import check_consent, speakers_of
from pipeline.commands.watch_options import watching_of
from pipeline.errors import BadInput
from pipeline.languages import code_of
from pipeline.request import SessionRequest
from pipeline.sinks.captions import CaptionFile, Shown, Timed, caption_files, caption_format, check_transcript
from pipeline.sinks.film_container import is_film
from pipeline.sinks.sharing import Sharing
from pipeline.sinks.speech_file import recorded_files, track_files
from pipeline.sinks.writing import is_standard_output, same_file
from pipeline.sources.address import shown

STANDARD_INPUT = "-"
Echo = Literal["headphones", "cancel", "off"]
"""Ways to keep a microphone from hearing the speaker: by headphones, or an echo canceller; off: nothing is done."""


@dataclass(frozen=True, slots=True)
class TranslateOptions:
    """The parsed options of one translation; ``request`` is what they ask of an engine, yet without its glossary."""

    request: SessionRequest
    files: tuple[str, ...]
    mic: bool
    rate_hz: int | None
    track: str | None
    address: bool
    glossary: tuple[Path | str, ...]  # files and addresses
    hints: tuple[Path | str, ...]
    glossary_soft: bool
    profile: str
    config: Path | None
    assignments: tuple[str, ...]
    max_lag_s: float | None
    echo: Echo
    in_device: str | None
    out_device: str | None
    out: Path | None
    original: float
    speech: bool
    voice_style: str | None
    captions: tuple[CaptionFile, ...]
    captions_language: Shown
    captions_time: Timed
    transcript: Path | None
    events: Path | None
    record: Path | None
    sinks: tuple[str, ...]
    realtime: bool
    quiet: bool
    server: Remote | None = None
    broadcast: BroadcastAsked | None = None  # in place of ``out``
    sharing: Sharing = field(default_factory=Sharing)

    @property
    def speech_to_file(self) -> bool:
        """True if speech is kept in a file, and thus not played unless a speaker is named."""
        return bool(self.out or self.broadcast or (self.record and not self.mic))


def checked(arguments: argparse.Namespace) -> TranslateOptions:
    """Check the arguments; raises `BadInput` for what contradicts itself."""
    files: list[str] = arguments.files
    addresses = [name for name in files if is_address(name)]
    _check_input(arguments, files, addresses)
    if not arguments.to:
        raise BadInput("the following arguments are required: --to", hint="translate-live --help")
    if not 0.0 <= arguments.original <= 1.0:
        raise BadInput(f"--original {arguments.original:g} is no gain; valid: 0 (silent) to 1 (as loud as the translation)")
    if arguments.max_lag is not None and not 1.0 <= arguments.max_lag <= 600.0:
        raise BadInput(f"--max-lag {arguments.max_lag:g}; valid: 1 to 600 seconds")
    _check_idle(arguments, files, addresses)
    check_consent(arguments)
    targets = tuple(dict.fromkeys(code_of(code) for code in arguments.to.split(",")))
    shown: Shown = arguments.captions_language or "target"
    captions = caption_files(arguments.captions, targets, shown)
    languages = _languages(arguments.source)
    one_track = arguments.speak is None and len(targets) == 2 and set(languages) == set(targets)
    spoken = targets if one_track else _spoken(arguments, targets)
    broadcast = split_out(arguments, files, spoken)
    _check_outputs(arguments, files, captions, spoken[:1] if one_track else spoken, broadcast)
    request = SessionRequest(
        targets=targets,
        languages=languages,
        spoken=spoken if len(spoken) > 1 else spoken[0],
        one_track=one_track,
        voice=arguments.voice,
        same_language=arguments.same_language,
        speakers=speakers_of(arguments),
        watching=watching_of(arguments, files),
    )
    options = TranslateOptions(
        request=request,
        files=tuple(files),
        mic=arguments.mic,
        rate_hz=arguments.rate,
        track=arguments.track,
        address=bool(addresses),
        glossary=tuple(arguments.glossary),
        hints=tuple(arguments.hints),
        glossary_soft=arguments.glossary_soft,
        profile=arguments.profile,
        config=arguments.config,
        assignments=tuple(arguments.assignments),
        max_lag_s=arguments.max_lag,
        echo=arguments.echo or "headphones",
        in_device=arguments.in_device,
        out_device=arguments.out_device,
        out=arguments.out,
        original=arguments.original,
        speech=not arguments.no_speech,
        voice_style=arguments.voice_style,
        captions=captions,
        captions_language=shown,
        captions_time=arguments.captions_time or "source",
        transcript=arguments.transcript,
        events=arguments.events,
        record=arguments.record,
        sinks=tuple(arguments.sinks),
        realtime=arguments.realtime or arguments.mic or arguments.out_device is not None or bool(addresses or broadcast),
        quiet=arguments.quiet,
        server=_server(arguments),
        broadcast=broadcast,
        sharing=sharing_of(arguments),
    )
    return with_devices(options, arguments.devices)


def with_devices(options: TranslateOptions, configured: Mapping[str, str]) -> TranslateOptions:
    """Choose the configured devices where a microphone or speaker is used and none was named."""
    in_device, out_device = options.in_device, options.out_device
    if options.mic and in_device is None:
        in_device = configured.get("in_device")
    if options.speech and options.realtime and not options.speech_to_file and out_device is None:
        out_device = configured.get("out_device")
    return replace(options, in_device=in_device, out_device=out_device)


def _server(arguments: argparse.Namespace) -> Remote | None:
    """Return the server whose models are used; settings of models are then its own."""
    room = room_of(arguments)
    if not arguments.server:  # empty: not the one of the configuration file
        if arguments.server_key is not None:
            raise BadInput("--server-key does nothing without --server", hint="--server URL --server-key KEY, or neither")
        return None
    for option, given in (
        ("--profile", arguments.profile != "auto"),
        ("--config", arguments.config),
        ("--set", arguments.assignments),
        ("--voice-style", arguments.voice_style is not None),
        ("--max-lag", arguments.max_lag is not None),
        ("--fast", arguments.fast),
        ("--redact-speech", arguments.redact_speech),
        ("--consent", arguments.consent is not None),
        ("--channels", arguments.channels != "mix"),
    ):
        if given:
            raise BadInput(f"{option} cannot be used with --server, which has its own settings", hint=f"without {option}")
    key = os.environ.get("TRANSLATE_LIVE_KEY", "") if arguments.server_key is None else arguments.server_key
    remote = Remote(arguments.server, key.strip(), *room)
    _ = remote.address  # raises for one that is none
    return remote


def _check_input(arguments: argparse.Namespace, files: Sequence[str], addresses: Sequence[str]) -> None:
    if files and arguments.mic:
        raise BadInput("files and a microphone cannot be heard at once", hint="either the files or --mic")
    if not files and not arguments.mic:
        raise BadInput("say what to hear: one or more files, - for standard input, or --mic", hint="translate-live --help")
    if arguments.fast and (arguments.mic or arguments.out_device):
        raise BadInput("--fast is faster than a microphone or speaker can be", hint="--out FILE.wav instead")
    if STANDARD_INPUT in files and len(files) > 1:
        raise BadInput("standard input cannot be one of several files", hint="only -")
    fetched = [*addresses, *glossary_addresses(arguments)]
    if fetched and not arguments.allow_network:
        raise BadInput(
            f"{shown(fetched[0])} is an address, and nothing is fetched from a network unless you allow it",
            hint="--allow-network",
        )
    if addresses and len(files) > 1:
        raise BadInput("an address cannot be one of several inputs", hint="only the address")
    if addresses and arguments.fast:
        raise BadInput("--fast is faster than an address can be heard live", hint="without --fast")
    for name in files:
        if name in COMMANDS:
            raise BadInput(f"the command {name!r} comes first", hint=f"translate-live {name} --help")


def _check_idle(arguments: argparse.Namespace, files: Sequence[str], addresses: Sequence[str]) -> None:
    """Refuse options that would do nothing for lack of another one, or because of it."""
    for option, given, needed, there in (
        ("--echo", arguments.echo is not None, "--mic", arguments.mic),
        ("--in-device NAME", arguments.in_device is not None, "--mic", arguments.mic),
        ("--rate HZ", arguments.rate is not None, "-", STANDARD_INPUT in files),
        ("--track N", arguments.track is not None, "FILE", files),
        ("--allow-network", arguments.allow_network, "ADDRESS", [*addresses, *addresses_named(arguments)]),
        ("--captions-language", arguments.captions_language is not None, "--captions FILE", arguments.captions),
        ("--captions-time", arguments.captions_time is not None, "--captions FILE", arguments.captions),
        ("--glossary-soft", arguments.glossary_soft, "--glossary FILE", arguments.glossary),
    ):
        if given and not there:
            raise BadInput(f"{option} does nothing without {needed}", hint=f"{needed} {option}, or neither")
    for option, given in (
        ("--out", arguments.out),
        ("--out-device", arguments.out_device),
        ("--voice", arguments.voice is not None),
        ("--voice-style", arguments.voice_style is not None),
        ("--speak", arguments.speak),
        ("--original", arguments.original),
        ("--max-lag", arguments.max_lag),
        ("--redact-speech", arguments.redact_speech),
        ("--captions-time speech", arguments.captions_time == "speech"),
    ):
        if given and arguments.no_speech:
            raise BadInput(f"--no-speech leaves nothing to {option}", hint="one or the other")


def _spoken(arguments: argparse.Namespace, targets: tuple[str, ...]) -> tuple[str, ...]:
    """Return the targets to speak: the first unless others are named."""
    if arguments.speak is None:
        return targets[:1]
    spoken = tuple(dict.fromkeys(code_of(code) for code in arguments.speak.split(",")))
    for code in spoken:
        if code not in targets:
            raise BadInput(f"--speak {code} is none of the languages of --to; valid: {', '.join(targets)}")
    return spoken


def _check_outputs(
    arguments: argparse.Namespace,
    files: Sequence[str],
    captions: Sequence[CaptionFile],
    tracks: Sequence[str],
    broadcast: BroadcastAsked | None,
) -> None:
    """Refuse outputs that are standard output or what is read, and two in one file: both would be lost."""
    recorded = recorded_files(arguments.record, tracks) if arguments.record else []
    outputs: list[Path | None] = [
        *(track_files(arguments.out, tracks[:1] if is_film(arguments.out) else tracks).values() if arguments.out else ()),
        broadcast.place if broadcast and isinstance(broadcast.place, Path) else None,
        arguments.transcript,
        arguments.events,
        *(file.path for file in captions),
        *recorded,
    ]
    for path in filter(None, outputs):
        if is_standard_output(path):
            raise BadInput(f"{path} is standard output, where the translation goes", hint="a file")
    if arguments.out is not None:
        check_out(arguments, files)
    for file in captions:
        caption_format(file.path)
    if arguments.transcript is not None:
        check_transcript(arguments.transcript)
    for option, path in (("--events", arguments.events), ("--record", arguments.record)):
        if path == Path(STANDARD_INPUT):
            raise BadInput(f"{option} - would be a file of this name", hint=f"{option} NAME")
    heard = [Path(name) for name in files if name != STANDARD_INPUT]
    read = [
        *(place for place in (*arguments.glossary, *arguments.hints) if isinstance(place, Path)),
        *([arguments.config] if arguments.config else []),
    ]
    written: list[Path] = []
    for path in filter(None, outputs):
        if any(same_file(path, other) for other in heard):
            raise BadInput(f"{path} would be overwritten while it is heard", hint="another name for it")
        if any(same_file(path, other) for other in read):
            raise BadInput(f"{path} is read, and would be overwritten", hint="another name for what is written")
        if any(same_file(path, other) for other in written):
            raise BadInput(f"{path} would be written twice", hint="a name of its own for each file")
        written.append(path)


def _languages(text: str) -> tuple[str, ...]:
    """Return the languages of ``--from``; none for auto."""
    return () if text.strip().lower() == "auto" else tuple(code_of(code) for code in text.split(","))
