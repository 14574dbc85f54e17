"""Reading units made of a trained model's translations: how soon, how good and at what cost, with a glossary as well."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import sacrebleu

from benchmarks.metrics.statistics import mean, percentile
from benchmarks.toy_language import Speech
from models.mt.terms.constraints import constraints_of
from pipeline.contracts import Translation, TranslationRequest
from pipeline.events import Word
from pipeline.glossary.glossary import Glossary, load_glossary
from pipeline.policies.agreement_units import AgreementUnits
from pipeline.policies.options import AgreementOptions
from pipeline.policies.pause_units import PauseUnits, UnitPolicy

LAG_S, PERIOD_S = 0.9, 0.3  # of the recognizer, as in `benchmarks.mt_policy`
WORD_S, LETTER_S, MARK_S, SENTENCE_S = 0.12, 0.055, 0.15, 0.7  # how long words take, and the pauses after marks


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence in both languages, and terms (English, Portuguese) of its own."""

    english: str
    portuguese: str
    terms: tuple[tuple[str, str], ...]


class Translating(Protocol):
    """A translator of requests."""

    def translate(self, requests: Sequence[TranslationRequest]) -> list[Translation | Exception]:
        """Translate requests that are all drafts or none."""
        ...


@dataclass
class Stream:
    """The units a policy made of the sentences: their texts by sentence, and when they came."""

    texts: list[list[str]]
    delays_s: list[float] = field(default_factory=list)
    requests: int = 0
    spent_s: float = 0.0
    heard_s: float = 0.0

    def joined(self) -> list[str]:
        """Return each sentence as its units say it."""
        return ["".join(text if text.startswith(" ") else f" {text}" for text in unit).strip() for unit in self.texts]


def unit_figures(translator: Translating, sentences: Sequence[Sentence]) -> Iterator[Mapping[str, float]]:
    """Measure each policy without terms, then the balanced one with the first, second and third term of each sentence."""
    whole = [_translate(translator, [TranslationRequest(one.english, "en", "pt")])[0].text for one in sentences]
    for name in ("low", "balanced", "quality", "pauses"):
        stream = _stream(translator, sentences, _policy(name, Glossary()))
        figures = _figures(stream, sentences, whole)
        yield {f"{name}/{key}": value for key, value in figures.items()}
        if name == "balanced":
            yield {"chrf_units_vs_whole": figures["chrf_vs_whole"]}
    yield _terms(translator, sentences)


def _policy(name: str, glossary: Glossary) -> UnitPolicy:
    if name == "pauses":
        return PauseUnits("en", "pt", glossary=glossary)
    return AgreementUnits("en", "pt", AgreementOptions(latency=name), glossary)


def _spoken(sentences: Sequence[Sentence]) -> tuple[list[Word], list[float]]:
    """The sentences as words with times, and when each sentence ends."""
    words, ends, clock_s = [], [], 0.0
    for sentence in sentences:
        for word in sentence.english.split():
            end_s = clock_s + WORD_S + LETTER_S * len(word)
            words.append(Word(f" {word}", round(clock_s, 3), round(end_s, 3), 0.95))
            clock_s = end_s + (MARK_S if word[-1] in ",.?!" else 0.0)
        ends.append(clock_s)
        clock_s += SENTENCE_S
    return words, ends


def _stream(translator: Translating, sentences: Sequence[Sentence], policy: UnitPolicy) -> Stream:
    """Let a policy hear all sentences in a row; translating takes no time of the stream."""
    words, ends = _spoken(sentences)
    stream = Stream([[] for _ in sentences])
    pieces = Speech(tuple(words), LAG_S, PERIOD_S).transcripts()
    for number, piece in enumerate(pieces):
        policy.hear(piece, final=number == len(pieces) - 1)
        while requests := policy.ask():
            stream.requests += len(requests)
            before = time.process_time()
            found = _translate(translator, requests)
            stream.spent_s += time.process_time() - before
            for unit in policy.read(found).units:
                sentence = next(place for place, end_s in enumerate(ends) if unit.start < end_s)
                stream.texts[sentence].append(unit.text)
                stream.delays_s.append(piece.heard_s - unit.start)
    stream.heard_s = pieces[-1].heard_s
    return stream


def _translate(translator: Translating, requests: Sequence[TranslationRequest]) -> list[Translation]:
    """Units together, then drafts one by one, as a session's requests are batched."""
    batches = [[request] for request in requests] if any(request.draft for request in requests) else [list(requests)]
    found = []
    for outcome in (one for batch in batches for one in translator.translate(batch)):
        if isinstance(outcome, Exception):
            raise outcome
        found.append(outcome)
    return found


def _figures(stream: Stream, sentences: Sequence[Sentence], whole: Sequence[str]) -> dict[str, float]:
    joined = stream.joined()
    units = [text for texts in stream.texts for text in texts]
    return {
        "units_per_sentence": len(units) / len(sentences),
        "unit_words": mean([float(len(text.split())) for text in units]),
        "start_to_said_p50_s": percentile(stream.delays_s, 50),
        "start_to_said_p95_s": percentile(stream.delays_s, 95),
        "chrf": sacrebleu.corpus_chrf(joined, [[one.portuguese for one in sentences]]).score,
        "chrf_vs_whole": sacrebleu.corpus_chrf(joined, [list(whole)]).score,
        "requests_per_unit": stream.requests / len(units),
        "cpu_s_per_audio_s": stream.spent_s / stream.heard_s,
    }


def _terms(translator: Translating, sentences: Sequence[Sentence]) -> Mapping[str, float]:
    """The share of the terms heard that the units of their sentence say, one glossary for each column of terms."""
    obeyed = []
    for column in range(max(len(one.terms) for one in sentences)):
        glossary = _glossary([one.terms[column] for one in sentences if len(one.terms) > column])
        stream = _stream(translator, sentences, _policy("balanced", glossary))
        for sentence, text in zip(sentences, stream.joined(), strict=True):
            for constraint in constraints_of(glossary.terms_in(sentence.english, "en", "pt"), "pt").hard:
                obeyed.append(constraint.occurrences(text) >= constraint.count)
                if not obeyed[-1]:
                    print(f"    {constraint.forms[0].text}: {text!r}")
    return {"terms_heard_in_units": float(len(obeyed)), "terms_obeyed_units_ratio": sum(obeyed) / len(obeyed)}


def _glossary(terms: Sequence[tuple[str, str]]) -> Glossary:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "terms.csv"
        file.write_text("source,pt\n" + "".join(f"{source},{target}\n" for source, target in terms), encoding="utf-8")
        return load_glossary([file])
