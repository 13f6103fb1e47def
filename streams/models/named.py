"""Published models by the name that a person gives them."""

from __future__ import annotations

from pricing_core.model_file import Model, ModelFileError
from streams.errors import ModelRefused
from streams.models.acts import set_status
from streams.models.read import load_published, read_one
from streams.models.registered import parse_name
from streams.settings import Settings


def load_published_model(settings: Settings, which: str) -> Model:
    """Load a published model by ``NAME/VERSION``.

    Raises:
        InputRefused: There is none.
        ModelRefused: It cannot be used.
    """
    name, version = parse_name(which)
    try:
        return load_published(settings, read_one(settings, name).get(version))
    except ModelFileError as error:
        raise ModelRefused(f"{which} is refused: {error}") from error


def load_to_shadow(settings: Settings, which: str, by: str | None) -> Model:
    """The same, and say that it is being shadowed; errors as of `load_published_model` and `acts.set_status`."""
    model = load_published_model(settings, which)
    if read_one(settings, model.name).status_of(model.version) == "candidate":
        set_status(settings, model.name, model.version, status="shadow", by=by, why="a shadow run has begun")
    return model
