"""Whatever is said, however the audio is cut and whatever the engine gets wrong: eleven invariants of a stream.

The scripted engine errs as Whisper does. One example is one stream of some seconds; `EXAMPLES` of them run in CI.
"""

from dataclasses import replace
from itertools import repeat
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scripted_speech import (
    NOISY,
    PERFECT,
    Acoustics,
    Manner,
    ScriptedEngine,
    listen,
    open_stream,
    render,
    write_script,
)
from models.asr.vad import WINDOW_S, WINDOW_SAMPLES
from models.asr.whisper.commit import POLICIES
from models.asr.whisper.hallucination_filter import token_budget
from models.asr.whisper.options import StreamOptions
from models.asr.whisper.stream import CONTEXT_PAUSE_S
from models.asr.whisper.utterance import CONTEXT_TOKENS
from pipeline.events import Gap

EXAMPLES = 10_000
RATE = 16_000
POLICY_NAMES = sorted(POLICIES)


def fuzz(share):
    """So many tenths of the examples, always the same ones."""
    return settings(max_examples=round(EXAMPLES * share / 10), deadline=None, derandomize=True, database=None)


class Case:
    """A stream, all of it drawn from one seed: hypothesis would spend most of the time on drawing."""

    def __init__(self, seed, policy=None):
        random = self.random = Random(seed)
        manner = Manner(
            random.choice((2, 40)), random.choice((0.0, 0.01, 0.3)), random.choice((0.0, 0.12, 0.4)), (0.3, 1.5)
        )
        self.script = write_script(seed, random.randrange(0, 10), manner)
        spoken_s = self.script[-1].end if self.script else 0.5
        self.audio = render(self.script, spoken_s + random.choice((0.0, 0.2, 1.2)))
        self.acoustics = random.choice((PERFECT, NOISY, Acoustics(0.12, 0.3, 0.1)))
        window_s = random.choice((2.5, 5.0, 12.0))
        self.options = StreamOptions(
            step_s=random.choice((0.2, 0.3, 0.5, 1.0)),
            window_s=window_s,
            keep_s=0.4 * window_s,
            stall_s=window_s - 1.0,
            policy=policy or random.choice(POLICY_NAMES),
        )
        self.seed = seed

    def engine(self):
        return ScriptedEngine(self.script, self.acoustics, self.seed)

    def cuts(self):
        return [self.random.choice((1, 160, 500, 512, 1600, 7000)) for _ in range(100)]

    def heard(self, cuts):
        return listen(open_stream(self.options), self.engine(), self.audio, cuts)


def committed(heard):
    return [word for transcript in heard for word in transcript.committed]


def notices(heard):
    return [notice for transcript in heard for notice in transcript.notices]


@pytest.mark.parametrize("policy", POLICY_NAMES)
@fuzz(1.5)
@given(seed=st.integers(0, 2**32))
def test_a_stream_keeps_its_promises(policy, seed):
    case = Case(seed, policy)
    engine = case.engine()
    stream = open_stream(case.options)
    heard = listen(stream, engine, case.audio, repeat(4800))
    words = committed(heard)
    end_s = len(case.audio) / RATE

    # Times are monotone, inside the audio, and nothing is committed before it was heard.
    assert all(before.end <= after.start for before, after in zip(words, words[1:], strict=False))
    assert all(word.start <= word.end <= transcript.heard_s for transcript in heard for word in transcript.committed)
    # The tentative tail follows what is committed, and ends with the speech.
    frontier = 0.0
    for transcript in heard:
        frontier = transcript.committed[-1].end if transcript.committed else frontier
        assert all(frontier <= word.start <= word.end <= transcript.heard_s for word in transcript.tentative)
    assert not heard[-1].tentative
    # Every sample was heard, and whatever is voice was decoded or is a gap.
    assert heard[-1].heard_s == pytest.approx(end_s)
    spans = [*engine.windows, *((gap.start, gap.end) for gap in notices(heard) if isinstance(gap, Gap))]
    for word in case.script:
        for moment in (word.start + WINDOW_S, (word.start + word.end) / 2, word.end - WINDOW_S):
            assert any(start <= moment <= end for start, end in spans)
    # Memory is bounded: no window is longer than its limit and what arrives until it can be trimmed.
    longest = max((end - start for start, end in engine.windows), default=0.0)
    assert longest <= case.options.window_s + 2 * case.options.step_s + 1.0
    # Finishing again brings nothing.
    stream.finish()
    assert stream.job() is None
    again = stream.take()
    assert (again.committed, again.tentative, again.notices, again.ended) == ((), (), (), False)


@fuzz(2)
@given(st.integers(0, 2**32))
def test_any_cut_of_the_audio_gives_the_same_words_notices_and_ends(seed):
    case = Case(seed)
    whole, pieces = case.heard((len(case.audio) or 1,)), case.heard(case.cuts())
    assert committed(whole) == committed(pieces)
    assert notices(whole) == notices(pieces)
    assert _ends(whole) == _ends(pieces)


def _ends(heard):
    """After how many words each utterance ended."""
    ends, count = [], 0
    for transcript in heard:
        count += len(transcript.committed)
        if transcript.ended:
            ends.append(count)
    return ends


@fuzz(1)
@given(st.integers(0, 2**32))
def test_an_engine_that_fails_now_and_then_loses_nothing(seed):
    case = Case(seed)
    random = Random(seed)
    stream, engine = open_stream(case.options), case.engine()
    heard = []

    def drain():
        while True:
            while (job := stream.job()) is not None:
                if random.random() < 0.3:
                    continue  # the engine raised: the job is asked for again
                stream.accept(engine.decode([job])[0], 0.0)
            heard.append(stream.take())
            return

    for start in range(0, len(case.audio), 4800):
        stream.feed(case.audio[start : start + 4800])
        drain()
    stream.finish()
    drain()
    while not stream.exhausted:
        drain()
    assert committed(heard) == committed(case.heard(repeat(4800)))


@fuzz(1)
@given(st.integers(0, 2**32))
def test_perfect_acoustics_lose_and_double_no_word_even_when_people_repeat_themselves(seed):
    script = write_script(seed, 9, Manner(vocabulary=3, repeats=0.4))
    engine = ScriptedEngine(script, PERFECT, seed)
    heard = listen(open_stream(StreamOptions()), engine, render(script, script[-1].end + 0.5), repeat(4800))
    assert [word.text for word in committed(heard)] == [word.text for word in script]
    assert not notices(heard)


@pytest.mark.parametrize("carried", [0, CONTEXT_TOKENS])
def test_an_update_knows_what_was_said_before_and_has_room_for_what_was_not_yet(carried):
    """Words heard twice in the window lead it; those before are its context if wanted, except after a long pause."""
    script = write_script(7, 150, Manner())
    again_s = script[-1].end + CONTEXT_PAUSE_S + 1.0
    script += [replace(word, start=word.start + again_s, end=word.end + again_s) for word in write_script(8, 100, Manner())]
    engine, stream = ScriptedEngine(script, PERFECT), open_stream(StreamOptions(carry_context=carried > 0))
    audio, said, before = render(script, script[-1].end + 0.5), [], 0
    led = 0
    for start in range(0, len(audio), 4800):
        stream.feed(audio[start : start + 4800])
        while (job := stream.job()) is not None or (transcript := stream.take()).ended:
            if job is None:
                said += transcript.committed
                continue
            before = len(said) if job.start > again_s > said[-1].end else before
            tokens = [int(word.text[2:]) for word in said[before:]]
            gone = sum((word.start + word.end) / 2 <= job.start for word in said[before:])
            assert job.prefix_tokens == tokens[gone : gone + len(job.prefix)]
            assert list(job.context) == tokens[max(0, gone - carried) : gone]
            led_s = said[before + gone + len(job.prefix) - 1].end if job.prefix else job.start
            assert abs(job.max_new_tokens - token_budget(job.end - led_s)) <= 1
            led += bool(job.prefix)
            stream.accept(engine.decode([job])[0], 0.0)
            said += stream.take().committed
        said += transcript.committed
    assert before > 100
    assert led > 50


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_no_stall_while_somebody_speaks_for_minutes_without_a_pause(policy):
    script = write_script(5, 500, Manner(pauses=0.0))
    engine = ScriptedEngine(script, NOISY, 5)
    stream = open_stream(StreamOptions(policy=policy))
    heard = listen(stream, engine, render(script, script[-1].end + 0.5), repeat(4800))
    moments = [transcript.heard_s for transcript in heard if transcript.committed]
    assert max(np.diff(moments)) <= StreamOptions().stall_s + 2 * StreamOptions().step_s
    assert len(committed(heard)) >= 0.99 * len(script)


def test_silence_costs_no_work_and_gives_no_word():
    engine = ScriptedEngine((), PERFECT)
    heard = listen(open_stream(StreamOptions()), engine, np.zeros(60 * RATE, np.float32), repeat(4800))
    assert not engine.windows
    assert not committed(heard)
    assert heard[-1].silence_s == pytest.approx(60.0)
    script = write_script(1, 5, Manner(pauses=0.0))
    engine = ScriptedEngine(script, PERFECT)
    listen(open_stream(StreamOptions()), engine, render(script, script[-1].end + 0.7), repeat(4800))
    assert engine.windows[-1][1] < script[-1].end + StreamOptions().endpoints.soft_end_s + 3 * WINDOW_S


def test_noisy_acoustics_cost_at_most_one_percent():
    wrong = total = 0
    for seed in range(10):
        script = write_script(seed, 150, Manner())
        audio = render(script, script[-1].end + 0.5)
        words = committed(listen(open_stream(StreamOptions()), ScriptedEngine(script, NOISY, seed), audio, repeat(4800)))
        assert len(words) == len(script)
        wrong += sum(word.text != said.text for word, said in zip(words, script, strict=True))
        total += len(script)
    assert wrong <= 0.01 * total


def test_the_tail_shorter_than_a_piece_is_heard_at_the_end():
    script = write_script(1, 3, Manner(pauses=0.0))
    audio = render(script, script[-1].end)
    assert len(audio) % WINDOW_SAMPLES
    engine = ScriptedEngine(script, PERFECT)
    heard = listen(open_stream(StreamOptions()), engine, audio, repeat(4800))
    assert [word.text for word in committed(heard)] == [word.text for word in script]
    assert engine.windows[-1][1] == pytest.approx(len(audio) / RATE)
