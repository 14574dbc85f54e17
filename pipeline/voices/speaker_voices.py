"""The speaker's own voice, or that of each speaker: learned from what is said, enrolled, or another preset for each.

Speech of the live speaker is collected while a session runs, until there is enough to learn their voice from.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from pipeline.audio.resampling import resampled
from pipeline.contracts import Speaking, Synthesizer, Voice
from pipeline.errors import BadInput, Refused, TranslateLiveError
from pipeline.events import AudioChunk, Event, Fault, Notice, ReadingUnit, Samples, SpeechChunk, Transcript, Word
from pipeline.policies.speaker_labels import UNKNOWN
from pipeline.voices.record import SAME
from pipeline.voices.reference_clip import LONGEST_S, VOICE_HZ, faded

ENROL_S = 5.0
REFINE_S = 12.0
KEPT_S = 45.0  # audio whose words may still be committed
MARGIN_S = 0.08  # recognized words begin and end a little early or late
SURE = 0.4  # words less probable may be noise, or somebody far away
_SHORT_PAUSE_S = 0.3


class LiveVoice:
    """Collector of a speaker's speech, which says when to learn their voice: after ``learn_at_s`` of it, each once.

    Give it everything in stream order: `hear` each chunk of source audio, `note` each transcript, whose committed words say
    where speech is. Then `due` gives a clip when one is to be learned from: the first makes a voice, later ones replace
    it by a better. Memory is bounded by `KEPT_S` of audio, and all of it is freed at the last clip.
    """

    def __init__(self, learn_at_s: Sequence[float] = (ENROL_S, REFINE_S)) -> None:
        self._learn_at_s = list(learn_at_s)
        self._audio: deque[AudioChunk] = deque()
        self._collected: list[AudioChunk] = []
        self._taken_to_s = 0.0

    @property
    def speech_s(self) -> float:
        """Seconds of speech that were collected."""
        return sum(chunk.duration for chunk in self._collected)

    @property
    def done(self) -> bool:
        """True when the last clip was given: nothing is kept any more."""
        return not self._learn_at_s

    def hear(self, chunk: AudioChunk) -> None:
        """Keep a chunk of source audio until its words are known."""
        if self.done:
            return
        self._audio.append(chunk)
        while self._audio and self._audio[0].end < chunk.end - KEPT_S:
            self._audio.popleft()

    def note(self, transcript: Transcript) -> None:
        """Collect the audio of the words that were committed; what was heard before them is dropped."""
        if self.done:
            return
        heard_s = self._audio[-1].end if self._audio else 0.0
        for start_s, end_s in _stretches(transcript.committed):
            self._collected += self._cut(max(start_s, self._taken_to_s), end_s)
            self._taken_to_s = max(self._taken_to_s, min(end_s, heard_s))
        while self._audio and self._audio[0].end <= self._taken_to_s:
            self._audio.popleft()

    def due(self) -> AudioChunk | None:
        """Give the speech to learn from now, if a length was reached: mono at `VOICE_HZ`, at most `LONGEST_S` of it."""
        reached = [length for length in self._learn_at_s if length <= self.speech_s]
        if not reached:
            return None
        self._learn_at_s = self._learn_at_s[len(reached) :]
        clip = AudioChunk(_as_one(self._collected)[: round(LONGEST_S * VOICE_HZ)], VOICE_HZ, 0.0)
        if self.done:
            self._audio.clear()
            self._collected.clear()
        return clip

    def _cut(self, start_s: float, end_s: float) -> list[AudioChunk]:
        """Cut out the audio of a span."""
        cut: list[AudioChunk] = []
        for chunk in self._audio:
            rate = chunk.sample_rate
            first = max(0, round((start_s - chunk.start) * rate))
            end = min(len(chunk.samples), round((end_s - chunk.start) * rate))
            if first < end:
                cut.append(AudioChunk(chunk.samples[first:end], rate, chunk.start + first / rate))
        return cut


def _as_one(chunks: Sequence[AudioChunk]) -> Samples:
    """Join the chunks one after the other at `VOICE_HZ`; those that were heard without a gap stay as they are."""
    runs = [[chunk] for chunk in chunks[:1]]
    for before, chunk in pairwise(chunks):
        if chunk.sample_rate == before.sample_rate and abs(chunk.start - before.end) < 1.5 / chunk.sample_rate:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    pieces = [(np.concatenate([chunk.samples for chunk in run]), run[0].sample_rate) for run in runs]
    return np.concatenate([faded(resampled(samples, rate, VOICE_HZ)) for samples, rate in pieces])


def _stretches(words: Sequence[Word]) -> list[tuple[float, float]]:
    """List the spans of words that were surely heard, with a margin; words with a short pause between them are one span."""
    stretches: list[tuple[float, float]] = []
    for word in words:
        if word.probability < SURE:
            continue
        start_s, end_s = max(0.0, word.start - MARGIN_S), word.end + MARGIN_S
        if stretches and start_s - stretches[-1][1] <= _SHORT_PAUSE_S:
            stretches[-1] = (stretches[-1][0], end_s)
        else:
            stretches.append((start_s, end_s))
    return stretches


OPEN = 3  # speeches at once: each takes the memory of a session
LEARNED = 12  # speakers whose voices are learned
RECENT_S = 15.0  # of audio that are kept for a speaker who is heard for the first time


class VoicesLearner:
    """A `Sink` of a session that learns the voice of each of its speakers who agreed; ``consenting`` by name, none: all.

    With ``one`` all that is said is of one speaker, who has agreed. A voice that cannot be learned is told in ``notices``,
    and the next clip is tried.
    """

    def __init__(self, synthesizer: Synthesizer, consenting: Collection[str] | None = None, *, one: bool = False) -> None:
        self.one = one
        self.voices: dict[str, Voice] = {}  # by speaker; of the one without a name
        self.notices: list[Notice] = []
        self._synthesizer, self._consenting = synthesizer, consenting
        self._live = {"": LiveVoice()} if one else {}
        self._recent: deque[AudioChunk] = deque()

    async def put(self, event: Event) -> None:
        """Collect what each speaker says, and learn their voice when there is enough of it."""
        match event:
            case AudioChunk():
                self._recent.append(event)
                while self._recent[0].end < event.end - RECENT_S:
                    self._recent.popleft()
                for live in self._live.values():
                    live.hear(event)
            case Transcript() if self.one:
                await self._note("", event)
            case Transcript():
                for speaker in dict.fromkeys(event.speaker_of(word) for word in event.committed):
                    if speaker not in {"", UNKNOWN} and (self._consenting is None or speaker in self._consenting):
                        said = tuple(word for word in event.committed if event.speaker_of(word) == speaker)
                        await self._note(speaker, replace(event, committed=said))

    async def close(self) -> None:
        """Do nothing: the voices end with their session."""

    async def _note(self, speaker: str, said: Transcript) -> None:
        if speaker not in self._live:
            if len(self._live) >= LEARNED:
                return
            self._live[speaker] = LiveVoice()
            for chunk in self._recent:
                self._live[speaker].hear(chunk)
        self._live[speaker].note(said)
        if (clip := self._live[speaker].due()) is not None:
            try:
                learned = await self._synthesizer.enrol(clip)
            except TranslateLiveError as error:
                whose = f"the voice of {speaker}" if speaker else "the speaker's voice"
                self.notices.append(Fault("speak", f"{whose} was not learned: {error}", fatal=False))
            else:
                self.voices[speaker] = Voice(SAME, learned.arrays)


@dataclass(frozen=True, slots=True)
class SpeakerVoices:
    """A `Synthesizer` over another one that gives each speaker a voice, which may change between units.

    That is the ``enrolled`` one of that name, else the one that ``learner`` has learned, else one of ``presets``: the first
    speaker has the first, and so on, from the beginning again where there are more speakers than presets. ``order`` holds
    those who had one before.
    """

    synthesizer: Synthesizer
    presets: Sequence[str] = ()
    learner: VoicesLearner | None = None
    enrolled: Mapping[str, Voice] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Learn a voice as the synthesizer does."""
        return await self.synthesizer.enrol(audio)

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        """Begin a session's speech; ``voice`` (none: the preset) is the first speaker's, and that of whoever has no other.

        Raises `Refused` at once if voices are to be learned and the synthesizer cannot.
        """
        if self.learner is not None:
            await refuse_if_it_cannot(self.synthesizer)
        async with aclosing(_OpenVoices(self, voice, language)) as voices:
            await voices.speech(voice)
            yield voices


async def refuse_if_it_cannot(synthesizer: Synthesizer) -> None:
    """Ask with a clip that is too short for any voice: only a synthesizer that has none to learn says `Refused`."""
    try:
        await synthesizer.enrol(AudioChunk(np.zeros(1, np.float32), VOICE_HZ, 0.0))
    except Refused:
        raise
    except BadInput:
        return


class _OpenVoices:
    """A session's speech in several voices. Those that were used last are kept open, at most `OPEN`.

    Where there is one voice at a time, the one before is closed first: there may be memory for one session only.
    """

    def __init__(self, voices: SpeakerVoices, default: Voice | None, language: str) -> None:
        self._voices, self._default, self._language = voices, default, language
        self._most = 1 if voices.learner is not None and voices.learner.one else OPEN
        self._given: dict[str, Voice | None] = {}  # the preset of each speaker
        self._open: OrderedDict[int, tuple[Voice | None, Speaking, AsyncExitStack]] = OrderedDict()

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        """Say a unit in its speaker's best voice that is known at its start."""
        speaking = await self.speech(self._voice_of(unit.speaker))
        async with aclosing(speaking.say(unit, text)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def aclose(self) -> None:
        """End all speech."""
        while self._open:
            await self._open.popitem()[1][2].aclose()

    async def speech(self, voice: Voice | None) -> Speaking:
        """Return the speech in a voice, opened if it is not; what was not used for longest makes room."""
        if id(voice) not in self._open:
            while len(self._open) >= self._most:
                await self._open.popitem(last=False)[1][2].aclose()
            try:
                await self._open_one(voice)
            except Exception:  # the border to the model, which may have memory for one only
                if not self._open:
                    raise
                await self.aclose()
                await self._open_one(voice)
        self._open.move_to_end(id(voice))
        return self._open[id(voice)][1]

    async def _open_one(self, voice: Voice | None) -> None:
        opened = AsyncExitStack()
        speaking = await opened.enter_async_context(self._voices.synthesizer.open(voice, self._language))
        self._open[id(voice)] = voice, speaking, opened

    def _voice_of(self, speaker: str) -> Voice | None:
        learner = self._voices.learner
        if speaker in self._voices.enrolled:
            return self._voices.enrolled[speaker]
        if learner is not None and (learned := learner.voices.get("" if learner.one else speaker)):
            return learned
        if speaker not in self._given and speaker and self._voices.presets:
            if speaker not in self._voices.order:
                self._voices.order.append(speaker)
            number = self._voices.order.index(speaker) % len(self._voices.presets)
            self._given[speaker] = Voice(self._voices.presets[number]) if number else self._default
        return self._given.get(speaker, self._default)
