"""`AgreementUnits`: a unit may end where two hypotheses agree on its translation, or where waiting has lasted long enough.

At each place where a spoken unit may end, what was heard up to there and everything heard are translated, both with the
committed translation as forced prefix. What both begin with will not change with what is still to come, so word order takes
care of itself: a verb that is missing makes them differ. This is the meaningful-unit test (Zhang et al. 2020, "Learning
Adaptive Segmentation Policy for Simultaneous Translation") with local agreement (Liu et al. 2020, "Low-latency
sequence-to-sequence speech recognition and translation by partial hypothesis selection"), evaluated at clause boundaries,
under deadlines.

A translator that ignores the prefix is found out by an answer that does not begin with it, and by one probe
before anything that could not be taken up again is said. From then on each unit is translated alone, whole, and nothing is
held back: what was said is exactly what its words mean alone, so nothing is revised, lost or said twice.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from pipeline.contracts import Translation, TranslationRequest
from pipeline.events import ReadingUnit, Transcript, Word, text_of
from pipeline.glossary.glossary import Glossary
from pipeline.languages import same_language
from pipeline.policies.boundaries import plain, without_late_words, word_count, word_lists
from pipeline.policies.decision import PROBE, Candidate, Evidence, Question, Span, decide, probe
from pipeline.policies.options import AgreementOptions
from pipeline.policies.pause_units import Reading
from pipeline.policies.release import Choice
from pipeline.policies.sentence import Sentence, SentenceEnds
from pipeline.policies.stability import Drafts, Hypotheses, Suffix, continuation, without_late_marks
from pipeline.scripts import speakable


class AgreementUnits:
    """Units by agreement of two hypotheses under deadlines; see the module.

    Every committed word lands in exactly one unit, in order, but words without a letter or digit. Committed text only
    grows, and the texts of a sentence's units concatenate to it, but for closing punctuation that comes late, which is not
    said. Source words of a unit that says only a part of a translation are its share of the span (see `Choice`), at least
    one and not all. A unit has no text if its words were said before, or if no translation of them is left to say.
    """

    def __init__(
        self,
        source_language: str,
        target_language: str,
        options: AgreementOptions | None = None,
        glossary: Glossary | None = None,
    ) -> None:
        self._language = source_language
        self._target = target_language
        self._options = options or AgreementOptions()
        self._glossary = glossary or Glossary()
        self._sentence = Sentence(deque(maxlen=self._options.context_sentences))
        self._ends = SentenceEnds(self._options, self._glossary, target_language)
        self._drafts = Drafts(self._options, target_language)
        self._tail: tuple[Word, ...] = ()
        self._now_s = self._silence_s = 0.0
        self._question: Question | None = None
        self._asked_s = self._released_s = -math.inf
        self._tried: object = None
        self._hypotheses = Hypotheses()
        self._forces_prefix: bool | None = None
        self._must_probe = self._adds_nothing = False
        self._number = 0

    def hear(self, transcript: Transcript, final: bool = False) -> None:
        """Take in the words, and mark where sentences end."""
        self._now_s, self._silence_s, self._tail = transcript.heard_s, transcript.silence_s, transcript.tentative
        self._language = transcript.language or self._language
        self._ends.hear(self._sentence, transcript, self._language, final)

    def ask(self) -> tuple[TranslationRequest, ...]:
        """Ask the next question: a finished sentence at once, a candidate or a draft when it is time."""
        if self._question is None:
            self._question = self._next_question()
            if self._question is not None:
                self._asked_s = self._now_s
        return self._question.requests if self._question else ()

    def read(self, translations: Sequence[Translation]) -> Reading:
        """Release what the answers allow."""
        question, self._question = self._question, None
        assert question is not None
        texts = [translation.text.strip() for translation in translations]
        if question.kind == "probe":
            self._forces_prefix = continuation(PROBE, texts[0]) is not None
            self._tried, self._asked_s = None, -math.inf
            return Reading()
        if question.kind == "afresh":
            return self._read_afresh(question.candidate.index, texts[0])
        if any(continuation(self._sentence.said, text) is None for text in texts):
            self._translate_alone()
            return Reading()
        match question.kind:
            case "sentence":
                return self._read_sentence(question, texts[0])
            case "unit":
                return self._read_unit(question, texts)
        self._hypotheses.remember(question.requests[0].source, texts[0])
        return Reading(draft=self._drafts.update(self._sentence.said, texts[0], self._now_s))

    def fail(self) -> Reading:
        """Give the words of the last question, as they were heard; the sentence goes on behind them."""
        question, self._question = self._question, None
        assert question is not None
        if question.kind == "probe":
            self._forces_prefix = False
        if question.kind in {"probe", "draft"}:
            return Reading()
        unit = self._source_unit(question.candidate.index)
        self._sentence.said = ""
        self._finish(question.candidate.index)
        return Reading((unit,), self._drafts.clear())

    def _next_question(self) -> Question | None:
        end = self._sentence.end()
        if end is not None:
            request = self._request(self._sentence.words[:end])
            if self._adds_nothing:
                return Question("afresh", (replace(request, prefix=""),), Candidate(end))
            return Question("sentence", (request,), Candidate(end))
        if self._must_probe and self._sentence.open:
            self._must_probe = False
            return probe(self._sentence, self._target)
        if self._now_s - self._asked_s < self._options.call_interval_s:
            return None
        return self._unit_question() or self._draft_question()

    def _unit_question(self) -> Question | None:
        if not self._sentence.open:
            return None
        span = self._span()
        candidate = span.candidate()
        words = self._sentence.words
        stage = sum(span.age >= until for until, _ in self._options.thresholds), span.overdue
        attempt = candidate, len(words), text_of(self._tail), self._sentence.said, stage
        if candidate is None or attempt == self._tried:
            return None
        self._tried = attempt
        extents = candidate.index, len(words), len(words) + len(self._tail)
        asked = list(dict.fromkeys(extents))
        requests = tuple(self._request([*words, *self._tail][:extent]) for extent in asked)
        return Question("unit", requests, candidate, tuple(map(asked.index, extents)))

    def _draft_question(self) -> Question | None:
        words = [*self._sentence.words, *self._tail]
        if not self._drafts.due(self._now_s) or text_of(words) == self._hypotheses.source or not speakable(text_of(words)):
            return None
        return Question("draft", (self._request(words, draft=True),), Candidate(self._sentence.covered))

    def _read_sentence(self, question: Question, text: str) -> Reading:
        end = question.candidate.index
        rest = continuation(self._sentence.said, text) or ""
        left = self._sentence.heard[self._sentence.covered]
        units: tuple[ReadingUnit, ...] = ()
        if speakable(rest):
            units = (self._unit(end - self._sentence.covered, rest),)
        elif not self._sentence.said:
            units = (self._source_unit(end),)
        elif self._sentence.covered > self._sentence.closed:  # a part that was held back was said for them
            units = (self._unit_without_text(end, self._target),)
        elif plain(left.word.text) in word_lists(left.language).conjunctions:
            end = self._sentence.covered  # it begins the next sentence
        else:
            self._adds_nothing = True
            return Reading()
        self._finish(end)
        return Reading(units, self._drafts.clear())

    def _read_afresh(self, end: int, text: str) -> Reading:
        """Cover words for which nothing was left to say.

        What the sentence's translation without a prefix says was said: the unit before says them, too. Else they are not
        translated.
        """
        left = self._sentence.heard[self._sentence.covered]
        unit = self._unit_without_text(end, self._target if self._sentence.says(text) else left.language)
        self._finish(end)
        return Reading((unit,), self._drafts.clear())

    def _read_unit(self, question: Question, texts: Sequence[str]) -> Reading:
        said = self._sentence.said
        self._hypotheses.remember(question.requests[-1].source, texts[-1])
        released = self._release(question, [Suffix.of(said, text) for text in texts])
        if released:
            return Reading(released, self._drafts.said(released[0].text))
        return Reading(draft=self._drafts.update(said, texts[-1], self._now_s) if self._drafts.due(self._now_s) else None)

    def _release(self, question: Question, rests: Sequence[Suffix]) -> tuple[ReadingUnit, ...]:
        """Give the unit that agreement, the deadline or an overdue span allows now; only committed words are said."""
        candidate, committed, everything = (rests[place] for place in question.places)
        evidence = self._evidence(question, candidate, committed, everything)
        decision = decide(evidence, self._options)
        if not decision.units:
            return ()
        request = question.requests[question.places[0]]
        release = Choice(
            words=self._sentence.words[: question.candidate.index],
            covered=self._sentence.covered,
            source=request.source,
            terms=request.terms,
            said=self._sentence.said,
            chosen=committed if decision.of_committed else candidate,
            units=len(candidate.units),
            everything=everything,
            function_words=word_lists(self._target).function_words,
        ).release(decision.units, evidence.continuable, evidence.overdue)
        if release is None:
            return ()
        own = same_language(request.source_language, self._target)  # its own translation, so prefixes hold
        if self._forces_prefix is None and not own and (decision.of_committed or not release.whole):
            self._must_probe = True
            return ()
        return ((self._whole if release.whole else self._unit)(release.count, release.text),)

    def _evidence(self, question: Question, candidate: Suffix, committed: Suffix, everything: Suffix) -> Evidence:
        """Measure by how much the translations confirm each other; that of everything is compared with the one before."""
        span = self._span()
        before = Suffix.of(self._sentence.said, self._hypotheses.before)
        return Evidence(
            units=len(candidate.units),
            agreed=candidate.common(before if candidate is everything else everything),
            committed_agreed=min(len(candidate.units), committed.common(before if committed is everything else everything)),
            words=word_count(self._sentence.words[self._sentence.covered : question.candidate.index]),
            age=span.age,
            overdue=span.overdue,
            clause=question.candidate.clause,
            pause=question.candidate.pause,
            continuable=self._forces_prefix is not False and len(span.heard) <= self._options.max_sentence_words,
        )

    def _whole(self, count: int, text: str) -> ReadingUnit:
        """Say all of the candidate's translation."""
        unit = self._unit(count, text)
        self._sentence.closed = self._sentence.covered
        if self._forces_prefix is False or len(self._sentence.heard) > self._options.max_sentence_words:
            self._finish(self._sentence.covered)
        return unit

    def _unit(self, count: int, text: str) -> ReadingUnit:
        return self._covering(self._sentence.cover(count, text), without_late_marks(text), self._target)

    def _unit_without_text(self, end: int, language: str) -> ReadingUnit:
        return self._covering(self._sentence.cover(end - self._sentence.covered, ""), "", language)

    def _source_unit(self, end: int) -> ReadingUnit:
        language = self._sentence.heard[self._sentence.covered].language
        words = self._sentence.cover(end - self._sentence.covered, "")
        return self._covering(words, text_of(without_late_words(words)), language)

    def _covering(self, words: tuple[Word, ...], text: str, language: str) -> ReadingUnit:
        self._number += 1
        self._released_s = self._now_s
        end = max(word.end for word in words)
        last = self._sentence.heard[self._sentence.covered - 1]
        number, start = self._number - 1, words[0].start
        return ReadingUnit(
            number, words, text, language, start, end, self._now_s, source_language=last.language, speaker=last.speaker
        )

    def _translate_alone(self) -> None:
        """Begin anew behind what was said, because the translator ignored the prefix."""
        self._forces_prefix = False
        self._finish(self._sentence.covered)
        self._tried, self._asked_s = None, -math.inf

    def _finish(self, end: int) -> None:
        self._sentence.finish(end)
        self._adds_nothing = False
        self._hypotheses = Hypotheses()

    def _request(self, words: Sequence[Word], draft: bool = False) -> TranslationRequest:
        source = text_of(without_late_words(words))
        heard = self._sentence.heard
        language = heard[0].language if heard else self._language
        terms = self._glossary.terms_in(source, language, self._target)
        context = self._sentence.recent(self._options.context_words)
        return TranslationRequest(source, language, self._target, context, self._sentence.said, terms, draft)

    def _span(self) -> Span:
        return Span(
            heard=self._sentence.heard,
            start=self._sentence.closed,
            covered=self._sentence.covered,
            ahead=self._tail,
            now_s=self._now_s,
            silence_s=self._silence_s,
            released_s=self._released_s,
            target_language=self._target,
            options=self._options,
            glossary=self._glossary,
        )
