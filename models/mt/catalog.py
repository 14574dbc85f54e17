"""The translation models that are known by name: their repositories, languages and licenses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import BadInput, nearest
from pipeline.languages import language_name

_NAMES = {"mvf": "Chinese Mongolian", "st": "Sesotho", "tl": "Filipino", "zh-Hant": "Traditional Chinese"}
"""English names of languages where models were trained on others than ours."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A checkpoint.

    ``prompt`` is a name of `models.mt.prompts.PROMPTS` (causal) or `models.mt.prompts.LANGUAGE_TAGS` (seq2seq);
    ``codes`` gives the model's own language codes where they differ from ours.
    """

    name: str
    repository: str
    kind: Literal["causal", "seq2seq"]
    prompt: str
    languages: frozenset[str]
    license: str
    codes: Mapping[str, str] = field(default_factory=dict)
    directions: frozenset[tuple[str, str]] = frozenset()  # where not every language goes into every other

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Return all (source, target) languages it translates."""
        return self.directions or frozenset((a, b) for a in self.languages for b in self.languages if a != b)

    def code(self, language: str) -> str:
        """Return the model's own code of a language."""
        return self.codes.get(language, language)

    def accept(self, source: str, target: str) -> None:
        """Raise `BadInput` for a pair that it does not translate."""
        pairs = self.pairs()
        if (source, target) not in pairs:
            targets = sorted(to for given, to in pairs if given == source)
            known = (
                f"from {source!r} it translates to {', '.join(targets)}"
                if targets
                else (f"it translates from {', '.join(sorted({given for given, _ in pairs}))}")
            )
            raise BadInput(f"{self.name} does not translate from {source!r} to {target!r}; {known}")


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HY_MT2 = _codes(
    "zh en fr pt es ja tr ru ar ko th it de vi ms id tl hi zh-Hant pl cs nl km my fa gu ur te mr he bn ta uk bo "
    "kk mn ug yue"
)
_LMT_60 = _codes(
    "ar en es de fr it ja nl pl pt ru tr zh bg bn cs da el fa fi hi hu id ko no ro sk sv th uk vi am az bo he hr "
    "hy is jv ka kk km ky lo mvf mr ms my ne ps si sw ta te tg tl ug ur uz yue"
)
_MADLAD = _codes(
    "af am ar as az ba be bg bn br bs ca cs cy da de el en eo es et eu fa fi fo fr ga gd gl gu ha haw he hi hr "
    "ht hu hy id ig is it ja jv ka kk km kn ko ku ky la lb lo lt lv mg mi mk ml mn mr ms mt my ne nl no oc or "
    "pa pl ps pt ro ru rw sa sd si sk sl sn so sq sr st su sv sw ta te tg th tk tl tr tt ug uk ur uz vi xh yi "
    "yo yue zh zu"
)
_M2M_100 = _codes(
    "af am ar az ba be bg bn br bs ca cs cy da de el en es et fa fi fr ga gd gl gu ha he hi hr ht hu hy id ig is "
    "it ja jv ka kk km kn ko lb ln lo lt lv mg mk ml mn mr ms my ne nl no oc or pa pl ps pt ro ru sd si sk sl so "
    "sq sr su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu"
)
_NLLB_CODES = {
    "ar": "arb_Arab", "bg": "bul_Cyrl", "bn": "ben_Beng", "ca": "cat_Latn", "cs": "ces_Latn", "da": "dan_Latn",
    "de": "deu_Latn", "el": "ell_Grek", "en": "eng_Latn", "es": "spa_Latn", "et": "est_Latn", "fa": "pes_Arab",
    "fi": "fin_Latn", "fr": "fra_Latn", "he": "heb_Hebr", "hi": "hin_Deva", "hr": "hrv_Latn", "hu": "hun_Latn",
    "id": "ind_Latn", "it": "ita_Latn", "ja": "jpn_Jpan", "ko": "kor_Hang", "lt": "lit_Latn", "lv": "lvs_Latn",
    "nl": "nld_Latn", "no": "nob_Latn", "pl": "pol_Latn", "pt": "por_Latn", "ro": "ron_Latn", "ru": "rus_Cyrl",
    "sk": "slk_Latn", "sl": "slv_Latn", "sv": "swe_Latn", "sw": "swh_Latn", "ta": "tam_Taml", "th": "tha_Thai",
    "tl": "tgl_Latn", "tr": "tur_Latn", "uk": "ukr_Cyrl", "ur": "urd_Arab", "vi": "vie_Latn", "yue": "yue_Hant",
    "zh": "zho_Hans", "zh-Hant": "zho_Hant",
}  # fmt: skip
CATALOG: Mapping[str, CatalogEntry] = {
    entry.name: entry
    for entry in (
        CatalogEntry("hy-mt2-1.8b", "tencent/Hy-MT2-1.8B", "causal", "hy-mt2", _HY_MT2, "Apache-2.0"),
        CatalogEntry("hy-mt2-7b", "tencent/Hy-MT2-7B", "causal", "hy-mt2", _HY_MT2, "Apache-2.0"),
        CatalogEntry("lmt-60-0.6b", "NiuTrans/LMT-60-0.6B", "causal", "lmt", _LMT_60, "Apache-2.0"),
        CatalogEntry("lmt-60-1.7b", "NiuTrans/LMT-60-1.7B", "causal", "lmt", _LMT_60, "Apache-2.0"),
        CatalogEntry("lmt-60-4b", "NiuTrans/LMT-60-4B", "causal", "lmt", _LMT_60, "Apache-2.0"),
        CatalogEntry("madlad-400-3b", "google/madlad400-3b-mt", "seq2seq", "madlad", _MADLAD, "Apache-2.0",
              {"tl": "fil"}),
        CatalogEntry("m2m-100-418m", "facebook/m2m100_418M", "seq2seq", "m2m", _M2M_100, "MIT"),
        # For research only: its license forbids commercial use, so no profile of ours names it.
        CatalogEntry("nllb-200-600m", "facebook/nllb-200-distilled-600M", "seq2seq", "nllb", frozenset(_NLLB_CODES),
              "CC-BY-NC-4.0", _NLLB_CODES),
    )
}  # fmt: skip
"""Known checkpoints by name. HY-MT1.5 is left out: its license excludes the EU, the UK and South Korea."""


def entry_of(
    model: str, kind: Literal["causal", "seq2seq"], prompt: str | None, languages: Collection[str]
) -> CatalogEntry:
    """Return the catalog's entry of that name, or one for a folder or repository of the user's.

    ``languages`` are codes, all translated into each other, or directions such as ``en>es``. Raises `BadInput`.
    """
    if entry := CATALOG.get(model):
        if entry.kind != kind:
            raise BadInput(f"{model} is a {entry.kind} model; {nearest(model, _names(kind))}")
        return entry
    if "/" not in model:
        raise BadInput(
            f"the model {model!r} is unknown: name one, a folder or a repository; {nearest(model, _names(kind))}"
        )
    directions = frozenset(_direction(language) for language in languages if ">" in language)
    codes = frozenset(languages) if not directions else frozenset(code for pair in directions for code in pair)
    if len(codes) < 2:
        raise BadInput(f"say which `languages` {model} translates, such as [en, es] or, for one direction, [en>es]")
    default = "plain" if kind == "causal" else "marian"
    return CatalogEntry(model, model, kind, prompt or default, codes, "see its model card", directions=directions)


def _direction(text: str) -> tuple[str, str]:
    source, _, target = text.partition(">")
    return source.strip(), target.strip()


def _names(kind: str) -> list[str]:
    return [entry.name for entry in CATALOG.values() if entry.kind == kind]


def name_of(code: str) -> str:
    """Return the English name of a language, as prompts use it; its code where no name is known."""
    return _NAMES.get(code) or language_name(code)
