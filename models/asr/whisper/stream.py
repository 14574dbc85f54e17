"""One stream's recognition as a pure state machine: audio in, jobs out, hypotheses in, words out.

It does no I/O, has no clock and never waits: `WhisperListening` carries its jobs to the engine. Updates happen at fixed
stream times, so the words do not depend on how the audio was cut. Until a job's hypothesis is accepted nothing moves, so
an engine's error or a cancelled call loses nothing: the same job is given out again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from models.asr.vad import Endpoint, SpeechDetector
from models.asr.whisper.audio_buffer import VoicedAudioBuffer
from models.asr.whisper.commit import Committer
from models.asr.whisper.hallucination_filter import token_budget
from models.asr.whisper.hypothesis import Hypothesis, Job, Terms, Tokens
from models.asr.whisper.language import LanguageTracker
from models.asr.whisper.load_shedding import FRUGAL_WINDOW_S, KEPT_S, Degradation, LoadShedding
from models.asr.whisper.log_mel import SAMPLE_RATE
from models.asr.whisper.options import StreamOptions
from models.asr.whisper.prompt_terms import PromptTerms
from models.asr.whisper.utterance import CONTEXT_TOKENS, StreamOutput, Utterance, WindowLimits
from models.asr.whisper.window import Features, Window
from pipeline.events import Gap, LanguageChanged, Samples, Transcript

CONTEXT_PAUSE_S = 5.0  # after a longer pause what was said before is no longer context


@dataclass(frozen=True, slots=True)
class Expectation:
    """Languages to choose among (one: given), and terms to expect."""

    languages: tuple[str, ...]
    vocabulary: PromptTerms = field(default_factory=PromptTerms)


@dataclass(frozen=True, slots=True, eq=False)
class _Update:
    """A job at work. ``bare``: without prefix and context."""

    job: Job
    bare: bool


class Stream:
    """State of one stream: audio heard, job due, words to give out."""

    def __init__(
        self,
        options: StreamOptions,
        expectation: Expectation,
        detector: Callable[[], SpeechDetector],
        features: Callable[[], Features],
    ) -> None:
        self._options = options
        self._expectation = expectation
        self._new_features = features
        self._language = LanguageTracker(expectation.languages)
        self._committer = Committer(options.policy, options.commit, expectation.vocabulary)
        self._limits = WindowLimits(options.window_s, options.step_s, options.keep_s, options.stall_s)
        self._audio = VoicedAudioBuffer(detector, options.endpoints, options.padding_s, options.reach_s)
        self._load = LoadShedding(options.max_lag_s)
        self._output = StreamOutput()
        self._utterance: Utterance | None = None
        self._resting: Utterance | None = None  # ended a moment ago: speech that follows soon goes on in its window
        self._update: _Update | None = None
        self._due = 0  # sample at which the next update happens
        self._flush_due = False  # speech has stopped: decode what it left
        self._flushed = self._finishing = self._ended = False  # flushed: done, and nobody has spoken since
        self._closing = self._skip_due = False  # after the flush the utterance ends, or the stream jumps to live
        self._degradation = Degradation()
        self._context: Tokens = ()

    @property
    def heard_s(self) -> float:
        """Stream time up to which audio was heard."""
        return self._audio.position / SAMPLE_RATE

    @property
    def arrived_s(self) -> float:
        """Stream time up to which audio has arrived."""
        return (self._audio.position + self._audio.waiting) / SAMPLE_RATE

    @property
    def exhausted(self) -> bool:
        """True if a finished stream was heard to its end."""
        return self._utterance is None and self._audio.waiting == 0

    def feed(self, samples: Samples) -> None:
        """Take the next samples, 16 kHz."""
        self._audio.feed(samples)

    def expect(self, vocabulary: Sequence[str]) -> None:
        """Expect these words from the next update on."""
        self._expectation.vocabulary.expect(vocabulary)

    def finish(self) -> None:
        """Take in that no more audio comes: what has arrived is to be heard to its end."""
        self._finishing = True

    def restart(self, at_s: float) -> None:
        """Go on at ``at_s`` after a hole in the audio; for a stream that was finished and is exhausted."""
        self._rest_no_longer()
        self._audio.restart(round(at_s * SAMPLE_RATE))
        self._finishing = False

    def job(self) -> Job | None:
        """Give the job that is due, the same until it is accepted; None: nothing is, before more audio or `take`."""
        while self._update is None and not self._ended:
            if self._is_due():
                self._update = self._new_update()
            elif not self._advance():
                return None
        return self._update.job if self._update else None

    def accept(self, hypothesis: Hypothesis, cost_s: float) -> None:
        """Take the answer to the job, and how long it took."""
        update, utterance = self._update, self._utterance
        if update is None or utterance is None:
            raise RuntimeError("a hypothesis came that nobody asked for")
        self._update = None
        self._load.observe(cost_s)
        if self._is_other_language(hypothesis, utterance, update.job.last):
            return
        utterance.settle(hypothesis, update.job.last, update.bare, self._language.settled)
        if utterance.again:
            return
        if update.job.last:
            self._flush_due, self._flushed = False, True
        utterance.trim(min(FRUGAL_WINDOW_S, self._options.window_s) if self._degradation.frugal else self._options.window_s)
        self._schedule()
        if self._skip_due:
            self._skip()

    def take(self) -> Transcript:
        """Give the words and notices since the last call."""
        output = self._output
        self._expectation.vocabulary.hear(word.text for word in output.committed)
        transcript = Transcript(
            committed=tuple(output.committed),
            tentative=output.tentative,
            language=self._language.guess or "",
            heard_s=self.heard_s,
            silence_s=self._audio.silence_s,
            ended=self._ended,
            notices=(*output.notices, *self._audio.notices),
        )
        output.committed.clear()
        output.notices.clear()
        self._audio.notices.clear()
        self._ended = False
        return transcript

    def _is_due(self) -> bool:
        utterance = self._utterance
        if utterance is None:
            return False
        is_time = not self._flushed and self._audio.position >= self._due and utterance.worth_decoding
        return self._flush_due or utterance.again or is_time

    def _new_update(self) -> _Update:
        utterance, window = self._current, self._current.window
        waiting_s = 0.0 if self._finishing else self.arrived_s - self.heard_s
        self._degradation = self._load.degradation(waiting_s, self._options.step_s)
        if self._degradation.skip:
            self._skip_due = self._flush_due = True
        vocabulary = self._expectation.vocabulary
        bare = utterance.bare_next or not (window.lead or self._carried() or vocabulary.tokens)
        job = Job(
            start=window.start,
            end=window.end,
            features=window.features.matrix(),
            prefix=() if bare else tuple(word.tokens for word in window.lead),
            context=() if bare else self._carried(),
            terms=Terms() if bare else Terms(vocabulary.text, vocabulary.tokens),
            language=self._language.language,
            allowed=self._expectation.languages,
            detect=self._language.asks(utterance.speech_s),
            max_new_tokens=token_budget(window.end - (window.start if bare else window.led_until)),
            greedy=self._degradation.frugal or self._language.language in self._options.greedy_languages,
            last=self._flush_due,
        )
        return _Update(job, bare)

    def _is_other_language(self, hypothesis: Hypothesis, utterance: Utterance, last: bool) -> bool:
        """Weigh the language; True if the hypothesis is in one that turned out wrong, and must be decoded again."""
        if self._language.observe(hypothesis.languages, utterance.speech_s, last):
            at = max(utterance.began, utterance.window.frontier)
            self._output.notices.append(LanguageChanged(self._language.language or "", at))
            utterance.forget_language()
            self._context = ()
        return self._language.language not in (None, hypothesis.language)

    def _advance(self) -> bool:
        """Hear the next piece; False: there is none, or the utterance has ended."""
        if self._closing:
            self._close()
            return False
        heard = self._audio.listen()
        if heard is None:
            return self._finishing and self._hear_the_rest()
        piece, endpoints = heard
        if self._resting is not None:
            self._resting.push(piece)
            if self._resting.silence_s > self._options.resume_s:
                self._rest_no_longer()
        if self._utterance is not None:
            self._utterance.push(piece)
            if self._flushed and self._audio.silence_s == 0:
                self._flushed = False
                self._schedule()
        for endpoint in endpoints:
            self._turn(endpoint)
        return True

    def _turn(self, endpoint: Endpoint) -> None:
        match endpoint.kind:
            case "start":
                self._begin()
            case "soft_end":
                self._flush_due = True
            case "end":
                self._closing = True  # its soft end has come before or with it

    def _begin(self) -> None:
        """Go on in the window before a short pause, or open one a little before the onset that was just found."""
        pieces = self._audio.onset()
        self._language.begin_utterance()
        if self._resting is not None:
            self._utterance, self._resting = self._resting, None
            self._utterance.resume(pieces[0].start_sample / SAMPLE_RATE)
        else:
            window = Window(pieces[0].start_sample, self._new_features())
            self._utterance = Utterance(window, self._committer, self._limits, self._output)
            if self.heard_s - self._output.frontier > CONTEXT_PAUSE_S:
                self._context = ()
            for piece in pieces:
                self._utterance.push(piece)
        self._flushed = False
        self._schedule()

    def _schedule(self) -> None:
        """Set the next update a step after this one was due, or after now if that is past; late, it takes all."""
        now, step = self._audio.position, round(self._load.step_s(self._options.step_s) * SAMPLE_RATE)
        self._due = self._due + step if now < self._due + step <= now + step else now + step
        if self._degradation.at_once:
            room = self._current.window.start_sample + round(self._options.window_s * SAMPLE_RATE)
            self._due = max(self._due, min(now + self._audio.waiting, room))

    def _hear_the_rest(self) -> bool:
        """Hear the end of the audio: what is shorter than a piece, one last decode, the end of the utterance."""
        if self._utterance is None:
            self._audio.rest()
            return False
        if len((rest := self._audio.rest()).samples):
            self._utterance.push(rest)
        self._flush_due, self._closing = not self._flushed, True
        return True

    def _close(self) -> None:
        """End the utterance; what is then still tentative was noise."""
        self._current.close()
        if len(self._expectation.languages) == 1 and self._current.rest():
            self._resting = self._utterance  # a language to be detected is better heard without the sound before the pause
        else:
            self._context = self._carried(whole=True)
        self._utterance, self._output.tentative = None, ()
        self._closing, self._flushed, self._ended = False, False, True

    def _rest_no_longer(self) -> None:
        """Begin a window of its own after a pause that became long, or after missing audio."""
        if self._resting is not None:
            self._utterance, self._resting = self._resting, None
            self._context = self._carried(whole=True)
            self._utterance = None

    def _skip(self) -> None:
        """Jump to the newest audio and say what is lost."""
        begin_s = self.heard_s
        self._audio.skip(max(0, self._audio.waiting - round(KEPT_S * SAMPLE_RATE)))
        self._output.notices.append(Gap(begin_s, self.heard_s, "overload"))
        self._skip_due = False
        self._close()
        self._rest_no_longer()

    def _carried(self, whole: bool = False) -> Tokens:
        """Return tokens of committed words before the window, with ``whole`` up to now; none unless context is carried."""
        if not self._options.carry_context:
            return ()
        said = self._context + self._current.history
        if whole:
            said += tuple(token for word in self._current.window.words for token in word.tokens)
        return said[-CONTEXT_TOKENS:]

    @property
    def _current(self) -> Utterance:
        if self._utterance is None:
            raise RuntimeError("no utterance is being heard")
        return self._utterance
