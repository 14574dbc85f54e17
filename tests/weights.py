"""Trained weights that tests use where they are: in TRANSLATE_LIVE_MODELS or the user's cache."""

from pathlib import Path

import pytest

from models.model_files import find, models_folder


def weights(name: str) -> Path | None:
    """The folder of a model, if all its files are here."""
    return find(name)


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test, with the reason, unless these models are here."""
    lacking = [name for name in names if weights(name) is None]
    return pytest.mark.skipif(
        bool(lacking), reason=f"no trained weights of {', '.join(lacking)} in {models_folder()}: translate-live pull cpu"
    )
