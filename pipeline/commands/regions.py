"""Languages with a region, as es-MX, for backends that know the language but not the region."""

from __future__ import annotations

from dataclasses import replace

from pipeline.commands.translate_options import Wish
from pipeline.languages import known_code, language_name
from pipeline.profiles.backends import Backends


def in_known_languages(wish: Wish, backends: Backends) -> tuple[Wish, list[str]]:
    """The wish in codes that the recognizer and the translator know, and a notice for each region that is left out.

    Files keep the names that they were given. What nobody knows stays as it is, to be refused.
    """
    translated = {target for _, target in backends.translator.pairs()}
    sources = {code: known_code(code, backends.recognizer.languages()) for code in wish.languages}
    targets = {code: known_code(code, translated) for code in wish.targets}
    known = replace(
        wish,
        languages=tuple(dict.fromkeys(sources.values())),
        targets=tuple(dict.fromkeys(targets.values())),
        spoken=targets[wish.spoken],
        captions=tuple(replace(file, target=targets[file.target]) for file in wish.captions),
    )
    taken = {code: base for code, base in (sources | targets).items() if code.casefold() != base.casefold()}
    return known, [
        f"{code} is taken as {base}: this profile knows {language_name(base)} only" for code, base in taken.items()
    ]
