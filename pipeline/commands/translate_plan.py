"""The plan of one translation: all that can be wrong is found before anything is loaded, opened or written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.audio.devices import choose, list_devices
from pipeline.commands.advice import worded
from pipeline.commands.translate_options import TranslateOptions
from pipeline.contracts import Sink
from pipeline.errors import BadInput, DeviceError
from pipeline.hints import Hints
from pipeline.policies.pace import at_once, unhurried
from pipeline.privacy.erasure import sweep
from pipeline.privacy.ledger import Ledger, LedgerSink, kept_session
from pipeline.profiles.profile import Profile, selected_profile
from pipeline.request import ResolvedRequest, resolve
from pipeline.sinks.captions import CaptionFile
from pipeline.sinks.film_container import is_film
from pipeline.sinks.speech_file import recorded_files, track_files
from pipeline.sources.echo import check_echo_canceller
from pipeline.sources.glossary_address import glossary_from, hints_from, token_of_environment
from pipeline.voices.choice import styled


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Options that can be carried out: with which profile, what is asked of its engine, and if a speaker plays."""

    options: TranslateOptions
    profile: Profile | None  # none: the models are a server's
    resolved: ResolvedRequest
    to_speaker: bool
    captions: tuple[CaptionFile, ...]  # their targets as the profile knows them; names as they were given
    dubs: bool = False  # a film or broadcast places the speech, which the session therefore does not hurry

    @property
    def tracks(self) -> tuple[str, ...]:
        """The targets whose speech is kept apart; an empty one stands for all that is spoken."""
        request = self.resolved.request
        return request.spoken_targets if len(request.spoken_targets) > 1 and not request.one_track else ("",)

    @property
    def speech_files(self) -> dict[str, Path]:
        """The sound file of each track, with names as they were given."""
        if self.options.out is None or is_film(self.options.out):
            return {}
        if self.tracks == ("",):
            return {"": self.options.out}
        asked = self.options.request.spoken_targets
        return {self.resolved.targets_by_name[one]: path for one, path in track_files(self.options.out, asked).items()}

    @property
    def written(self) -> list[Path]:
        """The files of this session, without those of a recording."""
        options = self.options
        spoken: list[Path | None] = [*self.speech_files.values()] or [options.out]
        captions = [file.path for file in self.captions]
        return [path for path in (*spoken, self.playlist, *captions, options.transcript, options.events) if path]

    @property
    def playlist(self) -> Path | None:
        """The playlist of a broadcast into a folder."""
        place = self.options.broadcast.place if self.options.broadcast else None
        return place if isinstance(place, Path) else None


def planned(options: TranslateOptions, tell: Callable[[str], None]) -> RunPlan:
    """Check all that can be checked; raises `TranslateLiveError` for what cannot be done."""
    profile = None if options.server else _profile(options, tell)
    glossary = glossary_from(
        options.glossary, options.request.languages, options.request.targets, tell, token=token_of_environment()
    )
    hints = Hints(hints_from(options.hints, tell, token=token_of_environment()))
    if options.echo == "cancel":
        check_echo_canceller()
    if options.mic:
        choose(options.in_device, "input", list_devices())
    to_speaker, hint = speech_to_speaker(options, _has_speaker)
    if hint:
        tell(hint)
    speaks = to_speaker or (options.speech and bool(options.out or options.broadcast or options.record))
    if options.captions_time == "speech" and not speaks:
        raise BadInput(
            "--captions-time speech needs speech", hint="--out FILE.wav or --realtime, or --captions-time source"
        )
    request = replace(
        options.request,
        glossary=glossary.softened() if options.glossary_soft else glossary,
        hints=hints,
        spoken=options.request.spoken if speaks else None,
        silenced=options.sharing.personal if options.sharing.silenced else options.request.silenced,
        self_hearing=options.mic and to_speaker and options.echo != "off",
    )
    film = options.out is not None and is_film(options.out)
    if options.sharing.personal and (options.record or film or options.broadcast):
        tell("notice: sound that is recorded or broadcast is not redacted")
    dubs = film and profile is not None and not (options.realtime or options.record)
    if profile and dubs:
        request = replace(request, pace=unhurried(profile.pace))
    if profile and options.broadcast and not (to_speaker or options.record):
        dubs, request = True, replace(request, pace=at_once(profile.pace, options.broadcast.delay_s))
    as_asked = ResolvedRequest(request, targets_by_name={target: target for target in request.targets})
    resolved = resolve(request, profile) if profile else as_asked  # a server holds it against its own profile
    for notice in resolved.notices:
        tell(worded(notice, profile.name if profile else "auto"))
    captions = tuple(replace(file, target=resolved.targets_by_name[file.target]) for file in options.captions)
    return RunPlan(options, profile, resolved, to_speaker, captions, dubs)


def _profile(options: TranslateOptions, tell: Callable[[str], None]) -> Profile:
    """Load the profile with the settings that options of their own name."""
    profile, why = selected_profile(options.profile, options.config, options.assignments)
    if options.voice_style is not None:
        profile = styled(profile, options.voice_style)
    if options.max_lag_s is not None:
        profile = replace(profile, pace=replace(profile.pace, max_lag_s=options.max_lag_s))
    tell(why)
    return profile


def speech_to_speaker(options: TranslateOptions, has_speaker: Callable[[], bool]) -> tuple[bool, str | None]:
    """Decide if the speaker plays, and give a hint where a user could expect speech and gets none."""
    if options.out_device is not None or not options.speech:
        return options.speech, None
    if options.speech_to_file:
        return False, None
    if not options.realtime:
        return False, "text only: --out FILE.wav writes the speech, --realtime speaks it"
    if not has_speaker():
        return False, "text only, there is no speaker: --out FILE.wav writes the speech"
    return True, None


def _has_speaker() -> bool:
    try:
        choose(None, "output", list_devices())
    except DeviceError:
        return False
    return True


def keeping(plan: RunPlan, session: str) -> Iterator[Sink]:
    """Give the sink that lists the files of a session, if it writes any."""
    options = plan.options
    recorded = recorded_files(options.record, plan.tracks) if options.record else []
    if plan.written or recorded:
        speakers = [name for record in plan.resolved.enrolled for name in (record.name, record.consent.who)]
        retention_days = options.sharing.retention_days
        kept = kept_session(session, plan.written, recorded, speakers, retention_days, broadcast=plan.playlist)
        yield LedgerSink(Ledger(), kept)


def swept(tell: Callable[[str], None]) -> None:
    """Delete recordings whose time is over, and tell."""
    done = sweep(Ledger())
    for line in done.gone:
        tell(f"retention: deleted {line}")
    for line in done.left:
        tell(f"retention: could not delete {line}")
