"""Models that decisions name and nobody has given: those that were published."""

from __future__ import annotations

import structlog

from pricing_core.model_file import Model
from streams.errors import ModelRefused, TopicMismatch
from streams.models.read import PublishedModels, models_of
from streams.settings import Settings

log = structlog.get_logger(__name__)


class PublishedOnDemand:
    """Looks at ``q-models`` when the first model is asked for that is not at hand."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models: PublishedModels | None = None

    def __call__(self, label: str) -> Model | None:
        """Return the model of a label; None, with the reason in the log, if there is none that can be used.

        Raises:
            BrokerUnreachable: No broker answered.
        """
        try:
            self._models = self._models or models_of(self._settings)
            return self._models.get(label)
        except (ModelRefused, TopicMismatch) as error:  # one without the topic has published none
            log.warning("model_not_at_hand", model=label, error=str(error))
            return None
