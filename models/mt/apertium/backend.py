"""Apertium, rule-based translation from Debian packages, its programs kept running between sentences.

An installed pair is a *mode file*: a shell pipeline of about a dozen programs (https://wiki.apertium.org/wiki/Modes). With
``-z`` each of them flushes at a NUL, so one pipeline serves all sentences (a fresh one costs 140 ms).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.mt.apertium.chain import Chain, ChainBroken, commands_of
from models.mt.apertium.protected_spans import ProtectedText, can_protect
from models.mt.apertium.stream_format import from_stream, to_stream
from pipeline.contracts import Missing, Progress, Term, Translation, TranslationRequest, Translator
from pipeline.errors import ModelError, Refused, check_range

_CODES = """
afr:af ara:ar arg:an bel:be ben:bn bre:br bul:bg cat:ca ces:cs cos:co cym:cy dan:da deu:de ell:el eng:en epo:eo est:et
eus:eu fas:fa fin:fi fra:fr gle:ga glg:gl guj:gu heb:he hin:hi hrv:hr hun:hu hye:hy ind:id isl:is ita:it kat:ka kaz:kk
kir:ky lat:la lav:lv lit:lt mar:mr mkd:mk mlt:mt msa:ms nld:nl nno:nn nob:nb oci:oc pan:pa pol:pl por:pt ron:ro rus:ru
slk:sk slv:sl sme:se spa:es sqi:sq srd:sc srp:sr swe:sv tat:tt tgl:tl tha:th tur:tr ukr:uk urd:ur uzb:uz vie:vi zho:zh
"""
ISO_639_1 = dict(code.split(":") for code in _CODES.split())
_DEBIAN_PAIRS = """
afr-nld arg-cat bel-rus br-fr cat-ita cat-srd dan-nor eng-cat eng-spa en-gl eo-ca eo-en eo-es eo-fr es-gl es-pt es-ro eu-en
eu-es fra-cat fr-es fra-frp hbs-eng hbs-mkd hbs-slv ind-zlm isl-eng isl-swe mkd-bul mkd-eng nno-nob oc-es oci-fra pol-szl
por-cat pt-gl rus-ukr spa-arg spa-ast spa-cat spa-ita srd-ita swe-dan swe-nor urd-hin
"""  # the names of Debian 12's packages, the older of two generations left out
Pair = tuple[str, str]
RENEWED_AFTER = 300  # answers: each costs lrx-proc (apertium-lex-tools 0.4.2) half a kilobyte that it never gives back


@dataclass(frozen=True, slots=True)
class Apertium:
    """Translates between the installed Apertium pairs.

    ``modes`` is the folder of mode files, ``search_path`` where programs are looked for (empty string: nowhere; none:
    the PATH of this process). A reply later than ``timeout_s`` (plus 1 ms for each character) restarts the programs.
    """

    modes: str = "/usr/share/apertium/modes"
    search_path: str | None = None
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        check_range("timeout_s", self.timeout_s, 0.1)

    def missing(self) -> Sequence[Missing]:
        """The programs or pairs that are not there."""
        modes = self.installed()
        if not modes:
            return [Missing(f"Apertium language pairs in {self.modes}", "apt-get install apertium apertium-eng-spa")]
        programs = {command[0] for mode in modes.values() for command in commands_of(mode)}
        absent = sorted(name for name in programs if shutil.which(name, path=self.search_path) is None)
        fix = "apt-get install apertium apertium-eng-spa"
        return [Missing(f"the Apertium programs {', '.join(absent)}", fix)] if absent else []

    def pull(self, progress: Progress) -> None:
        """Nothing to download."""

    def pairs(self) -> frozenset[Pair]:
        """The installed pairs."""
        return frozenset(self.installed())

    def installed(self) -> dict[Pair, Path]:
        """The mode file of each pair; variants such as ``eng-cat_valencia`` only where there is no plain one."""
        found: dict[Pair, Path] = {}
        for file in sorted(Path(self.modes).glob("*-*.mode"), key=lambda file: (file.stem.count("_"), file.name)):
            source, _, target = file.stem.partition("-")
            if "-" not in target:
                found.setdefault((_code(source), _code(target)), file)
        return found

    def how_to_add(self, source: str, target: str) -> str:
        """The command that may bring a pair, or what else to use."""
        for pair in _DEBIAN_PAIRS.split():
            if {_code(name) for name in pair.split("-")} == {source, target}:
                return f"apt-get install apertium-{pair} (if it has this direction)"
        return "--profile cpu or gpu: Debian has no Apertium package for this pair"

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Translator]:
        """Open the translator; a pair's programs start with its first sentence and end with this context."""
        for lack in self.missing():
            raise ModelError(f"{lack.what} not found; {lack.fix}")
        translator = _Translator(self)
        try:
            yield translator
        finally:
            await translator.close()


def _code(name: str) -> str:
    name = name.partition("_")[0]
    return ISO_639_1.get(name, name)


def _refuse_demands(terms: Iterable[Term]) -> None:
    """Raise `Refused` if a term is more than a wish and cannot be a protected span."""
    demands = [term for term in terms if term.mode != "soft" and not can_protect(term)]
    if demands:
        first, *others = demands
        more = f" and {len(others)} more" if others else ""
        banned = all(term.mode == "ban" for term in demands)
        step = "remove it" if banned else "--glossary-soft, which makes terms wishes"
        raise Refused(
            f"Apertium cannot guarantee the {first.mode} term {first.source or first.targets[0]!r}{more}; it can keep "
            "words (mode keep) and say exact phrases (mode hard, one target, inflect no); "
            f"try: --profile cpu or gpu, or {step}"
        )


class _Translator:
    """Pairs, each with its running programs.

    The translation is always that of the whole source: ``prefix``, ``context`` and ``draft`` change nothing, and a
    caller who has committed a prefix must see for itself whether the translation still begins with it. Kept terms and hard
    ones with one exact target are protected spans; soft terms are wishes that rules cannot follow; all others are refused.
    """

    def __init__(self, settings: Apertium) -> None:
        self._settings = settings
        self._modes = settings.installed()
        self._chains: dict[Pair, Chain] = {}
        self._locks: dict[Pair, asyncio.Lock] = {}

    async def check(self, terms: Iterable[Term], source: str, target: str) -> None:
        """Raise `Refused` for terms that are neither wishes nor protected spans."""
        _refuse_demands(terms)

    async def translate(self, request: TranslationRequest) -> Translation:
        """Translate, with every term where its source stood; raises `ModelError` if the pipeline does not answer."""
        pair = self._checked(request)
        protected = ProtectedText(request.source, request.terms)
        text = protected.restored(await self._translated(pair, protected.text))
        if text is None:
            text = protected.joined([await self._translated(pair, piece) for piece in protected.pieces])
        return Translation(text)

    async def _translated(self, pair: Pair, text: str) -> str:
        """Translate; a pipeline that hangs or died is started again and asked once more."""
        source = to_stream(text)
        if not source:
            return ""
        timeout_s = self._settings.timeout_s + len(source) / 1000
        async with self._locks.setdefault(pair, asyncio.Lock()):
            try:
                reply = await self._ask(pair, source, timeout_s)
            except ChainBroken:
                try:
                    reply = await self._ask(pair, source, timeout_s)
                except ChainBroken as broken:
                    raise ModelError(
                        f"Apertium did not translate {text[:60]!r} from {pair[0]} to {pair[1]}: {broken}; "
                        "try: apt-get install --reinstall apertium lttoolbox and the pair's package"
                    ) from broken
        return from_stream(reply)

    def _checked(self, request: TranslationRequest) -> Pair:
        pair = (request.source_language, request.target_language)
        if pair not in self._modes:
            installed = ", ".join(f"{source}-{target}" for source, target in sorted(self._modes))
            raise Refused(
                f"Apertium cannot translate {pair[0]} to {pair[1]} here; installed pairs: {installed}; "
                f"try: {self._settings.how_to_add(*pair)}"
            )
        _refuse_demands(request.terms)
        if lost := [term.source for term in request.terms if can_protect(term) and not term.spans]:
            raise Refused(f"Apertium must be told where {lost[0]!r} stands in the source; give the term its spans")
        return pair

    async def _ask(self, pair: Pair, source: str, timeout_s: float) -> str:
        """One try. A pipeline that did not answer, or whose caller was cancelled, is out of step and ends; so does one
        that has answered so often that its programs have grown.
        """
        usable = False
        try:
            chain = self._chains.get(pair) or await self._start(pair)
            reply = await chain.ask(source, timeout_s)
            usable = chain.answers < RENEWED_AFTER
            return reply
        finally:
            if not usable and (ended := self._chains.pop(pair, None)) is not None:
                await ended.close()

    async def _start(self, pair: Pair) -> Chain:
        self._chains[pair] = chain = Chain(commands_of(self._modes[pair]), self._settings.search_path)
        await chain.start()
        return chain

    async def close(self) -> None:
        """End all programs."""
        while self._chains:
            _, chain = self._chains.popitem()
            await chain.close()
