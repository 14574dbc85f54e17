"""Where sentences end: punctuation, pauses and silence, the end of an utterance, another language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.events import Transcript, Word
from pipeline.glossary.glossary import Glossary
from pipeline.policies.boundaries import ends_sentence, gap_before
from pipeline.policies.options import AgreementOptions
from pipeline.policies.sentence import Heard, Sentence
from pipeline.policies.wordlists import word_lists


@dataclass(frozen=True, slots=True)
class SentenceEnds:
    """Takes words into a `Sentence` and marks those that end one."""

    options: AgreementOptions
    glossary: Glossary
    target_language: str

    def hear(self, sentence: Sentence, transcript: Transcript, language: str, final: bool) -> None:
        """Add the committed words, spoken in ``language``."""
        heard = sentence.heard
        first = max(1, len(heard))
        heard += [Heard(word, language, transcript.heard_s) for word in transcript.committed]
        known = [*sentence.words, *transcript.tentative]
        for index in range(first, len(heard) + 1):
            if self._ends(heard, known, index):
                sentence.end_at(index)
        silent_s = self.options.stuck_tail_s if transcript.tentative else self.options.sentence_pause_s
        if final or transcript.ended or transcript.silence_s >= silent_s:
            sentence.end_at(len(heard))

    def _ends(self, heard: Sequence[Heard], known: Sequence[Word], index: int) -> bool:
        language = heard[index - 1].language
        if index < len(heard) and heard[index].language != language:
            return True
        if gap_before(known, index) >= self.options.sentence_pause_s:
            return not self.glossary.pending_at_end(known[:index], language, self.target_language, known[index:])
        return ends_sentence(known, index, word_lists(language))
