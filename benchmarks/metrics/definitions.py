"""Definitions of the figures: without its definition a latency cannot be compared with anybody's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Definition:
    """A figure's id, whether less of it is better (None: neither), and what it is."""

    id: str
    less_is_better: bool | None
    text: str


_EVS = "start of a unit's playback - end of its last source word, as the recognizer times it"

DEFINITIONS = {
    "ear_voice_span": Definition("evs/end2start/v1", True, f"{_EVS}; nearest-rank percentile over units"),
    "policy": Definition("evs/policy/v1", True, "audio heard when a unit was cut - end of its last source word"),
    "compute": Definition(
        "evs/compute/v1",
        True,
        "first audible sample available - audio heard when the unit was cut; being held back by earlier speech counts",
    ),
    "wait": Definition("evs/wait/v1", True, "start of playback - first audible sample available"),
    "first_audio": Definition("fal/audible/v1", True, "first audible speech - onset of the source's speech; per recording"),
    "end_lag": Definition("end-lag/v1", True, "end of playback - end of the source's speech; per recording"),
    "drift": Definition(
        "evs/drift/v1", True, "least-squares growth of the ear-voice span over a recording of a minute or more"
    ),
    "units_skipped": Definition("skipped/v1", True, "units shown but not spoken"),
    "units_skipped_share": Definition("skipped-share/v2", True, "units with a text that were not spoken; v1: all units"),
    "units_merged": Definition("merged/v1", None, "units spoken in one breath with the one before"),
    "units_hurried": Definition("hurried/v1", None, "units spoken at more than 1.1 times their rate"),
    "units": Definition("units/v1", None, "reading units"),
    "median_unit_words": Definition("unit-words/v1", None, "source words a unit covers, median"),
    "stall": Definition("stalls/v1", True, "holes inside a unit's playback by a device without a buffer"),
    "silence_ratio": Definition("silence/v1", None, "frames under -45 dBFS between first and last audible speech"),
    "al": Definition("al/omnisteval", True, "Average Lagging (Ma et al. 2019), mean over recordings"),
    "laal": Definition("laal/omnisteval", True, "Length-Adaptive Average Lagging (Papi et al. 2022), mean over recordings"),
    "ap": Definition("ap/omnisteval", True, "Average Proportion (Cho and Esipova 2016), by reference length"),
    "dal": Definition("dal/omnisteval", True, "Differentiable Average Lagging (Cherry and Foster 2019)"),
    "yaal": Definition("yaal/omnisteval", True, "YAAL (Polák et al. 2025); yaal_skipped counts recordings it leaves out"),
    "longyaal": Definition("longyaal/omnisteval/soft", True, "LongYAAL (Polák et al. 2025) after soft segmentation"),
    "streamlaal": Definition("streamlaal/omnisteval/soft", True, "LAAL per reference sentence after soft segmentation"),
    "segments_empty": Definition("segments-empty/v1", True, "reference sentences without a word after soft segmentation"),
    "atd": Definition(
        "atd/v1",
        True,
        "Average Token Delay (Kano et al. 2023) of the speech, 300 ms tokens; made for a sentence: over a talk it also "
        "adds up how much shorter the translation's speech is than the source",
    ),
    "erasure": Definition("ne/words/v1", True, "words of captions taken back per word that stayed"),
    "compute_rtf": Definition("compute-rtf/v1", True, "seconds in the models per second of source audio"),
    "wer": Definition("wer/nfkc-casefold/v1", True, "word errors per reference word (characters in spaceless languages)"),
    "cer": Definition("cer/nfkc-casefold/v1", True, "character errors per reference character"),
    "bleu": Definition("bleu/sacrebleu", False, "corpus BLEU; see its signature"),
    "chrf": Definition("chrf/sacrebleu", False, "corpus chrF2; see its signature"),
    "term_accuracy": Definition("terms/v1", False, "glossary terms said as wanted, of those whose source occurs"),
    "peak_memory": Definition("pss/v1", True, "highest PSS of the process tree"),
    "memory_growth": Definition(
        "anonymous-growth/v1",
        True,
        "median slope (Theil-Sen), per minute of audio and after warm-up (the first quarter, at least 2 minutes), of the "
        "median anonymous memory of the process tree in each minute; program text and mapped files are left out",
    ),
    "feeder_late": Definition(
        "feeder/v2",
        True,
        "how late frames were given by whatever gives them (ours in real time: a process of its own), 99th percentile; "
        "above 10 ms nothing is valid",
    ),
    "failed": Definition("failed/v1", True, "utterances that ended with an error"),
    "empty": Definition("empty/v1", True, "utterances without a translation; scored 0 and counted"),
    "utterances": Definition("utterances/v1", None, "utterances of the run"),
}


def definition_of(name: str) -> Definition:
    """The definition of a figure by its name or the longest beginning of it; what a scorer adds defines itself."""
    if name.startswith("compute_rtf"):
        return DEFINITIONS["compute_rtf"]
    for beginning in sorted(DEFINITIONS, key=len, reverse=True):
        if name == beginning or name.startswith(f"{beginning}_") or (beginning == "stall" and name.startswith("stall")):
            return DEFINITIONS[beginning]
    return Definition(f"{name}/external", None, "from a scorer that runs in its own environment")
