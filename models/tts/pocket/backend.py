"""Pocket TTS as a backend: settings, what is missing, download, loading (https://github.com/kyutai-labs/pocket-tts).

A language model over continuous latents (arXiv:2509.06926), 100 million weights a language, 24 kHz: the smallest that both
streams inside a unit and clones a voice. The package's code is MIT, its weights CC-BY-4.0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.model_files import check_present, count_elements, missing_packages
from models.tts.pocket.files import CONFIGS, LanguageFiles, default_voice, fetch_language, find_language, refuse_cloning
from pipeline.contracts import FetchOptions, Missing, Progress, Synthesizer
from pipeline.errors import FETCH_MODELS, BadInput, nearest
from pipeline.lane import Lane
from pipeline.speech_facts import SpeechFacts

INSTALL = "pip install 'translate-live[pocket]'"
_SIZE = "about 220 MB a language"


@dataclass(frozen=True, slots=True)
class Pocket:
    """Settings of Pocket TTS, which streams and clones on two cores of a CPU.

    While it is loaded, torch computes on one thread in every thread that begins, as the package asks: it begins two a unit.
    """

    speaks: tuple[str, ...] = ()  # languages to load, each 450 MB of memory; none: all whose files are here
    folder: str = ""  # of one's own: in it a folder for each language with config.yaml, as the package's, and voices/
    int8: bool = False  # weights of the language model in 8 bits, a third faster; not measured on trained weights here
    seed: int = 1

    def missing(self) -> Sequence[Missing]:
        """List the package, and the languages asked for whose files are not here; at least one must be."""
        if packages := missing_packages(("pocket_tts", "torch"), INSTALL):
            return packages
        found = self._found()
        lacks = [language for language in self.speaks if language not in found]
        if found and not lacks:
            return []
        return [self._lack(language) for language in lacks or [""]]

    def missing_for(self, language: str) -> Sequence[Missing]:
        """List the model of a language, unless it is here."""
        return [] if language in self._found() else [self._lack(language)]

    def languages(self) -> frozenset[str]:
        """Give the languages of the package, or of the folder of one's own, that the settings allow."""
        return self._known() & frozenset(self.speaks) if self.speaks else self._known()

    def presets(self) -> Collection[str]:
        """List the voices on this machine whose licenses allow every use."""
        return list(dict.fromkeys(name for files in self._found().values() for name in files.voices))

    def has_preset(self, name: str) -> bool:
        """Tell if a voice of this name is on this machine."""
        return name in self.presets()

    def voices_for(self, language: str) -> Sequence[str]:
        """List the voices of a language, its default first."""
        files = self._found().get(language.partition("-")[0])
        return list(files.voices) if files else []

    def check_cloning(self) -> None:
        """Raise `Refused` where no language's weights can learn a voice."""
        if not any(files.clones for files in self._found().values()):
            raise refuse_cloning()

    def describe(self, language: str) -> SpeechFacts:
        """Describe its speech in a language: it streams, and clones voices where its weights can, or none is here yet."""
        found = self._found().get(language.partition("-")[0])
        cloned = found is None or found.clones
        return SpeechFacts("", cloned) if self.folder else SpeechFacts("CC-BY-4.0", cloned, voice=default_voice(language))

    def memory(self) -> Mapping[str, int]:
        """Return the bytes that the weights of each language that is here take: 4 a number."""
        found = {language: files.config.get("weights_path") for language, files in self._found().items()}
        return {f"Pocket TTS {language}": 4 * count_elements(Path(path).parent) for language, path in found.items() if path}

    def pull(self, progress: Progress) -> None:
        """Download all languages that the settings allow."""
        self.fetch(FetchOptions(), progress)

    def fetch(self, options: FetchOptions, progress: Progress) -> None:
        """Download the target languages' models and a few voices from the hub, unless there is a folder of one's own."""
        wanted = self.languages() & frozenset(options.targets) if options.targets else self.languages()
        if self.folder or options.source not in {"", "hub"}:
            return
        for language in sorted(wanted):
            fetch_language(language, progress)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Synthesizer]:
        """Load the languages that are here and say a word in each, which makes the first unit as fast as the others."""
        if unknown := [language for language in self.speaks if language not in self._known()]:
            raise BadInput(f"speaks: Pocket TTS has no {unknown[0]!r}; {nearest(unknown[0], self._known())}")
        check_present(self.missing())
        import torch

        from models.tts.pocket.model import load_model
        from models.tts.pocket.synthesizer import PocketSynthesizer

        threads = torch.get_num_threads()
        try:
            with Lane("pocket-tts") as lane, Lane("pocket-tts-voices") as learning:
                models = {
                    language: await lane.run(load_model, language, files, int8=self.int8)
                    for language, files in self._found().items()
                }
                yield PocketSynthesizer(lane, learning, models, self.languages(), self.seed)
        finally:
            torch.set_num_threads(threads)

    def _known(self) -> frozenset[str]:
        """Give the languages of the package, or of the folder of one's own."""
        if not self.folder:
            return frozenset(CONFIGS)
        return frozenset(path.parent.name for path in Path(self.folder).expanduser().glob("*/config.yaml"))

    def _lack(self, language: str) -> Missing:
        """Word that the model of a language, or of any, is not here, with the step that brings it."""
        if not self.folder:
            fix = f"{FETCH_MODELS} for the language {language}" if language else FETCH_MODELS
            return Missing(f"the model of Pocket TTS for {language or 'any language'} (CC-BY-4.0, {_SIZE})", fix)
        place = Path(self.folder) / (language or "LANGUAGE")
        return Missing(f"the model of Pocket TTS in {place}", "put its config.yaml there, and what that names", False)

    def _found(self) -> dict[str, LanguageFiles]:
        """Find the files of each language that the settings allow and that is whole on this machine."""
        found = {language: find_language(language, self.folder) for language in sorted(self.languages())}
        return {language: files for language, files in found.items() if files is not None}
