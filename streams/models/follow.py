"""The worker's side of the registry: it prices with what is live, and swaps models while it runs.

A reader beside the hot path hears what is made live. In a thread the model is fetched, verified as a file would be, and
made to decide the golden batch; then it takes over between two steps, by one assignment. What is refused changes
nothing: the model before goes on. As long as another model prices than the one that is live, that is an alarm,
and it is tried again: a file may come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import confluent_kafka as ck
import structlog

from pricing_core.golden import GoldenBatch, ModelUnfit
from pricing_core.model_file import Model, ModelFileError
from schemas.models import ModelSetLive, live_key
from streams.errors import InputRefused, ModelRefused, RepricerError
from streams.metrics import MODEL_INFO, MODEL_SWAPS, MODELS_REFUSED, Metrics
from streams.models.read import load_published, read_to_the_end, understood
from streams.models.registered import Registered
from streams.serving_model import load_serving_model
from streams.settings import Settings

POLL_S = 0.2
AT_ONCE = 100
RETRY_S = 1.0
"""After the broker has failed us: that says nothing about the model."""

REFUSED_RETRY_S = 60.0
"""After a model was refused."""

log = structlog.get_logger(__name__)


class ModelWatch:
    """Follows the model that the settings name."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Load the model of the settings, which prices where nothing is live, and compile the golden batch.

        Raises:
            ModelRefused: It cannot be used.
        """
        self._settings = settings
        self._metrics = metrics
        self._own = load_serving_model(settings)
        try:
            self._golden = GoldenBatch(self._own)
        except ModelUnfit as error:
            raise ModelRefused(f"{error}; set REPRICER_MODEL_PATH to another") from error
        self._serving: Model | None = None
        self._wanted: ModelSetLive | None = None
        """What is live, while another model prices."""
        self._behind: ck.TopicPartition | None = None
        """From where on nothing was read."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    def first(self) -> Model:
        """Return the model to begin with: what is live, or the last one before it that can be used.

        That is the one with which workers go on that have refused a model while they ran.

        Raises:
            RepricerError: The topic cannot be read: it may name another model than ours.
        """
        registered, self._behind = read_to_the_end(self._settings, self._settings.model_name)
        live, model = registered.live, self._own
        for version in [] if live is None else [live.version, *reversed(live.before)]:
            try:
                model = self._fit(registered, version, live.sha256 if live and version == live.version else None)
                break
            except (ModelFileError, ModelUnfit, InputRefused) as error:
                self._say_refused(version, error)
                self._wanted = live
        self._note_serving(model)
        return model

    async def run(self, serve: Callable[[Model], None], refused: Callable[[str], None]) -> None:
        """Follow until cancelled.

        Args:
            serve: Told the model to go on with, on the event loop, between two steps.
            refused: Told which model was refused.
        """
        loop = asyncio.get_running_loop()
        consumer = ck.Consumer(self._settings.consumer_config())
        consumer.assign([self._behind] if self._behind is not None else [])
        again_at = 0.0
        try:
            while True:
                heard = await loop.run_in_executor(self._thread, newest, consumer, self._settings.model_name)
                if heard is not None:
                    self._wanted, again_at = heard, 0.0
                if self._wanted is not None and loop.time() >= again_at:
                    again_in = await self._swap(self._wanted, serve, refused)
                    self._wanted = self._wanted if again_in else None
                    again_at = loop.time() + again_in
        finally:
            self._thread.submit(consumer.close)  # behind what the thread is doing just now
            self._thread.shutdown(wait=False)

    async def _swap(self, live: ModelSetLive, serve: Callable[[Model], None], refused: Callable[[str], None]) -> float:
        """Let a model take over. Returns when to try again, s; 0: it prices."""
        loop = asyncio.get_running_loop()
        try:
            model = await loop.run_in_executor(self._thread, self._fetch, live)
        except (ModelFileError, ModelUnfit, InputRefused) as error:
            self._say_refused(live.version, error)
            refused(f"{live.name}/{live.version}")
            return REFUSED_RETRY_S
        except RepricerError as error:
            log.warning("model_not_fetched", version=live.version, error=str(error), again_in_s=RETRY_S)
            return RETRY_S
        began = loop.time()
        serve(model)
        self._note_serving(model)
        self._metrics.add(MODEL_SWAPS)
        log.info("model_swapped", model=model.label, by=live.by, why=live.why, pause_s=round(loop.time() - began, 6))
        return 0.0

    def _fetch(self, live: ModelSetLive) -> Model:
        registered, _ = read_to_the_end(self._settings, live.name)
        return self._fit(registered, live.version, live.sha256)

    def _fit(self, registered: Registered, version: int | None, sha256: str | None) -> Model:
        if version is None:
            return self._own
        published = registered.get(version)
        if sha256 is not None and published.sha256 != sha256:
            raise InputRefused(
                f"what was promoted as {published.name}/{version} has other weights than what was published"
            )
        model = load_published(self._settings, published)
        self._golden.judge(model)
        return model

    def _say_refused(self, version: int | None, error: Exception) -> None:
        self._metrics.add(MODELS_REFUSED)
        name = self._settings.model_name
        log.error("model_refused", model=f"{name}/{version}", kind=type(error).__name__, error=str(error))

    def _note_serving(self, model: Model) -> None:
        if self._serving is not None:
            self._metrics.forget(MODEL_INFO, *_labels(self._serving))
        self._serving = model
        self._metrics.set(MODEL_INFO, 1, *_labels(model))


def newest(consumer: ck.Consumer, name: str) -> ModelSetLive | None:
    """The last word about what is live among the records that have come; weights are not decoded here."""
    found, key, is_more = None, live_key(name), True
    while is_more:
        messages = consumer.consume(AT_ONCE, POLL_S)
        is_more = len(messages) == AT_ONCE  # not until none come: they may never cease
        for message in messages:
            if message.error() is not None:  # librdkafka goes on by itself
                log.warning("models_unreadable", error=str(message.error()))
            elif message.key() == key:
                said = understood(key, message.value(), int(message.partition() or 0), int(message.offset() or 0))
                found = said if isinstance(said, ModelSetLive) else found
    return found


def _labels(model: Model) -> tuple[str, str, str]:
    return model.name, str(model.version), model.sha256
