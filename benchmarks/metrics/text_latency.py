"""Text latency as the field computes it: OmniSTEval's scorers, in this process.

AL (Ma et al. 2019), LAAL (Papi et al. 2022), AP (Cho and Esipova 2016), DAL (Cherry and Foster 2019), YAAL and LongYAAL
(Polák et al. 2025), StreamLAAL (Papi et al. 2024) over soft segmentation. Seconds, except AP. OmniSTEval aligns recordings
in a pool of processes; here its alignment is called directly, so nothing is forked and results do not depend on cores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmarks.metrics.emission import Emission, Segment, split_units


def short_form(emissions: Sequence[Emission], clock: str = "cu") -> dict[str, float]:
    """The five latencies of recordings that are one sentence each; means over recordings, NaN where none counts.

    ``yaal_skipped`` counts recordings that YAAL leaves out because nothing was emitted before their end.
    """
    instances = [whole(emission, clock) for emission in emissions]
    figures = {name: _scaled(name, score(instances)) for name, score in scorers(long_form=False).items()}
    figures["yaal_skipped"] = float(
        sum(scorers(long_form=False)["yaal"].compute(instance) is None for instance in instances)
    )
    return figures


def long_form(emissions: Sequence[Emission], clock: str = "cu") -> dict[str, float]:
    """LongYAAL and StreamLAAL over the reference sentences of each recording, after soft segmentation."""
    instances = [instance for emission in emissions for instance in resegment(emission, clock)]
    return {
        "longyaal": _scaled("yaal", scorers(long_form=True)["yaal"](instances)),
        "streamlaal": _scaled("laal", scorers(long_form=True)["laal"](instances)),
        "segments_empty": float(sum(not instance.prediction for instance in instances)),
    }


def scorers(long_form: bool) -> dict[str, Any]:
    """OmniSTEval's scorers by our names."""
    from omnisteval.scoring import ALScorer, APScorer, DALScorer, LAALScorer, YAALScorer  # noqa: PLC0415

    return {
        "al": ALScorer(),
        "laal": LAALScorer(),
        "ap": APScorer(),
        "dal": DALScorer(),
        "yaal": YAALScorer(is_longform=long_form),
    }


def whole(emission: Emission, clock: str) -> Any:  # noqa: ANN401  (OmniSTEval is not typed)
    """A recording as one OmniSTEval instance."""
    from omnisteval.data import Instance  # noqa: PLC0415

    return Instance(
        prediction=emission.text,
        reference=_joined(emission),
        latency_unit="char" if emission.character_level else "word",
        source_length=emission.source_ms,
        emission_cu=list(emission.stamps_ms(clock)),
    )


def resegment(emission: Emission, clock: str) -> list[Any]:
    """One OmniSTEval instance per reference sentence: the translation cut where it fits the references best.

    Stamps become relative to the sentence's beginning (SoftSegmenter, Polák et al. 2025).
    """
    from omnisteval.alignment import align_sequences, process_alignment  # noqa: PLC0415

    character_level = emission.character_level
    references = _words(emission)
    hypothesis = _stamped(emission, clock)
    found: list[list[Any]] = [[] for _ in emission.segments]
    if references and hypothesis:
        for word in process_alignment(*align_sequences(references, hypothesis, character_level), character_level):
            found[word.seq_id].append(word)
    end_ms = max(segment.offset_ms + segment.duration_ms for segment in emission.segments)
    return [
        _instance(segment, words, end_ms, character_level) for segment, words in zip(emission.segments, found, strict=True)
    ]


def _words(emission: Emission) -> list[Any]:
    from omnisteval.alignment import Word  # noqa: PLC0415

    return [
        Word(_normal(unit), emission_cu=segment.offset_ms, seq_id=index)
        for index, segment in enumerate(emission.segments)
        for unit in _units(segment.reference.strip().lower(), emission.character_level)
    ]


def _stamped(emission: Emission, clock: str) -> list[Any]:
    from omnisteval.alignment import Word  # noqa: PLC0415

    stamped = zip(emission.units, emission.stamps_ms(clock), strict=True)
    return [Word(_normal(unit), emission_cu=stamp, original=unit) for unit, stamp in stamped]


def _instance(segment: Segment, words: Sequence[Any], end_ms: float, character_level: bool) -> Any:  # noqa: ANN401
    from omnisteval.data import Instance  # noqa: PLC0415

    return Instance(
        prediction=("" if character_level else " ").join(word.original for word in words),
        reference=segment.reference,
        latency_unit="char" if character_level else "word",
        source_length=segment.duration_ms,
        emission_cu=[word.emission_cu - segment.offset_ms for word in words] or None,
        time_to_recording_end=end_ms - segment.offset_ms,
    )


def _joined(emission: Emission) -> str:
    return ("" if emission.character_level else " ").join(segment.reference for segment in emission.segments)


def _units(text: str, character_level: bool) -> tuple[str, ...]:
    return split_units(text, "zh" if character_level else "")


def _normal(unit: str) -> str:
    from omnisteval.tokenization import unicode_normalize  # noqa: PLC0415

    return str(unicode_normalize(unit).lower())


def _scaled(name: str, score: float) -> float:
    return score if name == "ap" or math.isnan(score) else score / 1000
