"""The model that a worker prices with, and a refusal that says what to do."""

from __future__ import annotations

from pricing_core.model_file import Model, ModelFileError, load_model
from streams.errors import ModelRefused
from streams.settings import Settings


def load_serving_model(settings: Settings) -> Model:
    """Load and verify it.

    Raises:
        ModelRefused: it is missing, damaged, or made for another version.
    """
    try:
        return load_model(settings.model_path)
    except ModelFileError as error:
        which = settings.model_path or "the shipped model"
        cure = "set REPRICER_MODEL_PATH to another, or unset it" if settings.model_path else "install repricer again"
        raise ModelRefused(f"{which} is refused: {error}; {cure}") from error
