"""Text as it is read aloud, for every synthesizer: markup and emoji dropped, what they misread put in words.

eSpeak NG, whose phonemes Kokoro and Piper speak, and Qwen3-TTS read plain numbers, percentages and sums in most languages.
They misread titles, amounts of money, units, dates, ranges and signs ("$5" as "dollar five", "2026-11-29" with dashes):
all but titles take their words from Unicode's CLDR by way of Babel (BSD). num2words, the other library, is LGPL and knows
no units or dates.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import category, name, normalize

from pipeline.scripts import speakable

if TYPE_CHECKING:
    from babel import Locale

_TAGS = re.compile(r"</?[a-zA-Z!][^<>]*>")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_ADDRESS = re.compile(r"\bhttps?://(?:www\.)?([^\s/?#]*\w)\S*?(?=[.,;:!?)]*(?:\s|$))")
_MARKUP = re.compile(r"(?<!\d)\*+|\*+(?!\d)|(?<!\w)#+|[`~|\\]|^\s*>+\s", re.MULTILINE)
_READ_SYMBOLS = "°©®™№"
_SCRIPTS = {
    "CJK": "HansHantJpanKore", "HIRAGANA": "Jpan", "KATAKANA": "Jpan", "HANGUL": "Kore", "BOPOMOFO": "HantHans",
    "CYRILLIC": "Cyrl", "ARABIC": "Arab", "HEBREW": "Hebr", "DEVANAGARI": "Deva", "BENGALI": "Beng", "TAMIL": "Taml",
    "TELUGU": "Telu", "THAI": "Thai", "GEORGIAN": "Geor", "ARMENIAN": "Armn", "GUJARATI": "Gujr", "MALAYALAM": "Mlym",
    "KANNADA": "Knda", "SINHALA": "Sinh", "GURMUKHI": "Guru", "ETHIOPIC": "Ethi", "MYANMAR": "Mymr", "KHMER": "Khmr",
    "LAO": "Laoo", "TIBETAN": "Tibt", "ORIYA": "Orya",
}  # fmt: skip
"""Scripts by how the Unicode names of their letters begin; Latin and Greek ones are read in any language."""

_SIGNS = {
    "R$": "BRL", "US$": "USD", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "₩": "KRW",
}  # fmt: skip
_CURRENCIES = _SIGNS | {code: code for code in (*_SIGNS.values(), "CHF", "CAD", "AUD", "CNY")}
_UNITS = {
    "km/h": "speed-kilometer-per-hour", "m/s": "speed-meter-per-second", "mph": "speed-mile-per-hour",
    "km": "length-kilometer", "m": "length-meter",
    "cm": "length-centimeter", "mm": "length-millimeter", "kg": "mass-kilogram", "g": "mass-gram",
    "mg": "mass-milligram", "l": "volume-liter", "ml": "volume-milliliter", "km²": "area-square-kilometer",
    "m²": "area-square-meter", "m³": "volume-cubic-meter", "ha": "area-hectare", "°C": "temperature-celsius",
    "°F": "temperature-fahrenheit", "h": "duration-hour", "min": "duration-minute", "ms": "duration-millisecond",
    "kWh": "energy-kilowatt-hour", "kW": "power-kilowatt", "MW": "power-megawatt", "Hz": "frequency-hertz",
    "kHz": "frequency-kilohertz", "MHz": "frequency-megahertz", "GHz": "frequency-gigahertz", "MB": "digital-megabyte",
    "GB": "digital-gigabyte", "TB": "digital-terabyte",
}  # fmt: skip
_MINUS = {
    "es": "menos",
    "pt": "menos",
    "fr": "moins",
    "it": "meno",
    "hi": "माइनस",
    "ru": "минус",
    "uk": "мінус",
    "zh": "负",
}
_LARGE = r"(?:mil(?:l?[a-zõ]*|iard\w*)|trillion\w*|bill?[a-zõ]+|bi|tri|thousand|लाख|करोड़|अरब)"
_OF = {"es": "de", "pt": "de", "fr": "de", "it": "di"}  # "5 millones de euros"

_TITLES = {
    "en": {"Mr.": "Mr", "Mrs.": "Mrs", "Ms.": "miz", "Dr.": "doctor", "Prof.": "professor"},
    "es": {
        "Sr.": "señor", "Sra.": "señora", "Sres.": "señores", "Srta.": "señorita", "Dr.": "doctor", "Dra.": "doctora",
        "Prof.": "profesor",
    },
    "fr": {"M.": "monsieur", "MM.": "messieurs", "Pr.": "professeur", "Dr.": "docteur"},
    "it": {"Sig.": "signor", "Sig.ra": "signora", "Dott.": "dottor", "Dott.ssa": "dottoressa", "Prof.": "professor"},
    "pt": {
        "Sr.": "senhor", "Sra.": "senhora", "Srs.": "senhores", "Srta.": "senhorita", "Dr.": "doutor", "Dra.": "doutora",
        "Prof.": "professor", "Profa.": "professora",
    },
}  # fmt: skip
"""Titles that eSpeak NG spells ("Sr." as S R), or after whose dot a voice pauses as if the sentence had ended."""

_TITLE_PATTERNS = {
    language: re.compile(rf"(?<![\w.-])(?<!\b[A-Z]\. )(?<!\d )({'|'.join(map(re.escape, titles))})(?=\s+([^\W\d_])|\s*$)")
    for language, titles in _TITLES.items()
}
"""A title that is no initial and no unit of measure, and the letter that follows it."""

_AMBIGUOUS = {"M.", "Dr.", "Pr."}  # titles before a capital only

_NUMBER = r"\d{1,3}(?: \d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)*"
_SIGN = "|".join(re.escape(sign) for sign in _CURRENCIES)
_BEFORE = re.compile(rf"(?<!\w)({_SIGN})\s?({_NUMBER})(?!\w)(\s{_LARGE}\b)?")
_AFTER = re.compile(rf"({_NUMBER})(\s{_LARGE})?\s?({_SIGN})(?!\w)")
_MEASURE = re.compile(
    rf"(?<![\w.,$€£¥₹])({_NUMBER})\s?({'|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True))})(?![\w²³/])"
)
_DATE = re.compile(r"(?<![\w-])(\d{4})-(\d{2})-(\d{2})(?![\w-])")
_HALVES = {"1/2": "½", "1/4": "¼", "3/4": "¾"}


def spoken_text(text: str, language: str) -> str:
    """Write text as it is read in ``language`` (a code such as pt or pt-BR); empty where nothing of it can be said.

    Punctuation at the beginning that closed what was said before is dropped, and so are emoji and notes: nobody said them.
    """
    base = _base(language)
    script = _script(base)
    plain = "".join(char for char in _without_markup(text) if _readable(char, script))
    plain = _with_titles(plain, base)
    if any(char.isdigit() for char in plain):
        plain = _numbers_with_words(plain, base, _locale(base))
    plain = re.sub(r"(?<=[^\W\d_])/(?=[^\W\d_])", " ", plain)  # either/or
    plain = re.sub(r"\s+([.,;:!?…])", r"\1", " ".join(plain.split()))
    plain = re.sub(r"^(?:[\s,;:.!?…)\]}»”—–]|-(?!\d))+", "", plain)
    return plain if speakable(plain) else ""


def own_script(text: str, language: str) -> str:
    """Drop letters of other scripts than the language's, which eSpeak NG would name one by one."""
    script = _script(_base(language))

    def known(char: str) -> bool:
        scripts = _SCRIPTS.get(name(char, "").partition(" ")[0]) if category(char)[0] in "LM" else None
        return scripts is None or script in scripts  # an empty one is in all

    return "".join(filter(known, text))


def _base(language: str) -> str:
    return re.split(r"[-_+]", language)[0]


def _without_markup(text: str) -> str:
    plain = _TAGS.sub(" ", normalize("NFC", text))
    plain = _ADDRESS.sub(r"\1", _LINK.sub(r"\1", plain))
    plain = re.sub(r"_+", " ", _MARKUP.sub("", plain))
    return re.sub(r"\[(?=\[)", "[ ", plain)  # eSpeak would read phonemes after [[


def _readable(char: str, script: str) -> bool:
    """Tell if a character is said, or heard as a pause, by a voice of a language in this script (empty: not known)."""
    kind = category(char)
    if char in "\u200c\u200d":
        return script not in {"", "Latn"}  # they join letters of Persian and Hindi, and emoji
    if char in "\ufe0e\ufe0f\u20e3":
        return False
    return char.isspace() or not (kind[0] == "C" or kind == "Sk" or (kind == "So" and char not in _READ_SYMBOLS))


def _with_titles(text: str, language: str) -> str:
    """Write out titles before a word, or last, as where a unit ends before the name."""

    def spoken(found: re.Match[str]) -> str:
        title, following = found.groups()
        return title if title in _AMBIGUOUS and following and not following.isupper() else _TITLES[language][title]

    return _TITLE_PATTERNS[language].sub(spoken, text) if language in _TITLE_PATTERNS else text


def _numbers_with_words(text: str, language: str, locale: Locale | None) -> str:
    text = re.sub(r"(?<=\d)[\u00a0\u202f](?=\d{3})", "", text)
    if locale is not None:
        text = _DATE.sub(lambda found: _date(found, locale), text)
        text = _BEFORE.sub(lambda found: _money(found[2], found[3] or "", found[1], locale), text)
        text = _AFTER.sub(lambda found: _money(found[1], found[2] or "", found[3], locale), text)
        text = _MEASURE.sub(lambda found: _measure(found[1], found[2], locale), text)
    text = re.sub(r"(?<![\d/])(?:1/2|[13]/4)(?![\d/])", lambda found: _HALVES[found[0]], text)
    text = re.sub(r"(?<![\w)])\s?[-\u2212](?=\d)", f" {_MINUS.get(language, 'minus')} ", text)  # noqa: RUF001
    text = re.sub(r"(?<=\d)[-–](?=\d)", ", ", text)  # noqa: RUF001  (a range, a telephone number)
    return re.sub(r"(?<=\d)/(?=\d)", " ", text)


def _money(amount: str, large: str, sign: str, locale: Locale) -> str:
    from babel.numbers import get_currency_name

    words = get_currency_name(_CURRENCIES[sign], 1_000_000 if large else _value(amount), locale)
    link = f" {_OF[locale.language]}" if large.strip() not in {"", "mil"} and locale.language in _OF else ""
    return f"{amount}{large}{link} {words}"


def _measure(amount: str, unit: str, locale: Locale) -> str:
    from babel.numbers import format_decimal
    from babel.units import format_unit

    value = _value(amount)
    said = format_unit(value, _UNITS[unit], "long", locale=locale)
    return said.replace(format_decimal(value, locale=locale), amount)


def _date(found: re.Match[str], locale: Locale) -> str:
    from babel.dates import format_date

    with suppress(ValueError):  # no day of the calendar
        return format_date(date(*map(int, found.groups())), "long", locale)
    return found[0]


def _value(amount: str) -> float:
    """Return the size of an amount, for its plural: the last mark is the decimal one unless three digits follow it."""
    whole, _, rest = re.sub(r"\s", "", amount).replace(",", ".").rpartition(".")
    digits = whole.replace(".", "")
    return float(digits + rest) if not digits or len(rest) == 3 else float(f"{digits}.{rest}")


@cache
def _locale(language: str) -> Locale | None:
    """Return words and forms of a language from CLDR; none where it does not know it."""
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(language)
    except (UnknownLocaleError, ValueError, TypeError):
        return None


@cache
def _script(language: str) -> str:
    """Return the script that a language is written in most, by its ISO 15924 code; empty where CLDR does not know it."""
    from babel.core import get_global

    return str(get_global("likely_subtags").get(language, "__")).split("_")[1]
