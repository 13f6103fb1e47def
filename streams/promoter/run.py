"""`repricer promoter`: candidates of a model become what is live, one at a time, if the gate lets them pass.

A turn:

1. hear what the registry says; where a person has pinned what is live, do no more;
2. look back: what was promoted here, and earns less than the model before it would, or is forbidden more, goes back;
3. take the newest version that was not judged beside the model that prices now;
4. let it decide silently for a while (status ``shadow``);
5. hear the registry again, and ask the gate about the version beside the model that prices by then;
6. promote it, or leave it a candidate with the reasons in writing. If another model went live, or a person pinned it,
   while the gate was asked, nothing is promoted, and the next turn judges again.

All that it knows is in the registry: killed anywhere, it goes on with the version that is being shadowed. It undoes no
act of a person's: it looks back only on what it has promoted itself.
"""

from __future__ import annotations

from threading import Event

import confluent_kafka as ck
import structlog

from pricing_core.evaluation.gate import Judgement
from pricing_core.golden import GoldenBatch, ModelUnfit
from pricing_core.model_file import Model, ModelFileError
from schemas.topics import PRICE_DECISIONS, Q_MODELS, SHADOW_DECISIONS, TRANSITIONS
from streams.errors import BrokerUnreachable, InputRefused, ModelRefused, Overtaken
from streams.lives import AGAIN_S, MAX_FAILURES
from streams.metrics import PROMOTER_ACTS, Metrics
from streams.metrics_page import metrics_page
from streams.models.acts import promote, rollback, set_status
from streams.models.gate import ask
from streams.models.read import load_published, read_to_the_end, understood
from streams.models.registered import Registered
from streams.polled import is_record
from streams.promoter.review import review
from streams.promoter.trial import shadow
from streams.replay.decision_log import DecisionLog
from streams.serving_model import load_serving_model
from streams.settings import Settings
from streams.stop_signal import stop_signal
from streams.topic_presence import require_present

PROMOTER = "promoter"
"""Who acts."""
POLL_S = 2.0
AT_ONCE = 1000
WHY_AT_MOST = 512
"""Characters of a reason for the record."""

log = structlog.get_logger(__name__)


class Promoter:
    """Of the model that the settings name."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Read the registry, and compile what decides the golden batch.

        Raises:
            ModelRefused: The workers' own model cannot be used.
            TopicMismatch: A topic is missing.
            BrokerUnreachable: No broker answered.
        """
        require_present(settings, (PRICE_DECISIONS, SHADOW_DECISIONS, TRANSITIONS, Q_MODELS))
        self._settings, self._metrics, self._name = settings, metrics, settings.model_name
        self._own = load_serving_model(settings)
        try:
            self._golden = GoldenBatch(self._own)
        except ModelUnfit as error:
            raise ModelRefused(str(error)) from error
        self._known, behind = read_to_the_end(settings, self._name)
        self._consumer = ck.Consumer(settings.consumer_config())
        self._consumer.assign([behind])
        self._looked_back_ms = 0
        """Event time at which it was asked last whether to go back."""

    def close(self) -> None:
        """Stop hearing."""
        self._consumer.close()

    def turn(self, stopping: Event) -> None:
        """Do what is to be done now; with a candidate at hand that takes its whole shadow time.

        Raises:
            Overtaken: Somebody else has acted on the model meanwhile.
            InputRefused: Likewise.
            ModelRefused: What is live cannot be used: workers go on with another, and a person must look.
            BrokerUnreachable: No broker answered, or another act came in between.
        """
        self._hear()
        if self._known.is_pinned:
            return
        running = self._model(self._live_version())
        if not self._went_back(running):
            version = waiting(self._known, running)
            if version is not None:
                self._try(version, running, stopping)

    def _try(self, version: int, running: Model, stopping: Event) -> None:
        try:
            candidate = self._model(version)
            self._golden.judge(candidate)
        except (ModelRefused, ModelUnfit) as error:
            self._refuse(version, Judgement([f"it cannot be used: {error}"]), running)
            return
        if self._known.status_of(version) == "candidate":
            set_status(self._settings, self._name, version, status="shadow", by=PROMOTER, why="its shadow time begins")
        log.info("shadowing", model=candidate.label, beside=running.label)
        decisions = shadow(self._settings, candidate, stopping)
        if decisions is None:
            return
        self._metrics.add(PROMOTER_ACTS, 1, "shadowed")
        log.info("shadowed", model=candidate.label, decisions=decisions)
        self._hear()
        if self._known.is_pinned or self._known.status_of(version) not in {"candidate", "shadow"}:
            return  # a person has decided
        running = self._model(self._live_version())
        judgement = ask(self._settings, candidate, running, **self._times())
        log.info("judged", model=candidate.label, beside=running.label, reasons=judgement.reasons, **judgement.figures)
        if judgement.passed:
            why = f"{_told(judgement)}; shadowed {decisions:,} decisions; beside {running.label}"[:WHY_AT_MOST]
            promote(self._settings, self._name, version, PROMOTER, why, judged=self._known)
            self._metrics.add(PROMOTER_ACTS, 1, "promoted")
            log.info("promoted", model=candidate.label, instead_of=running.label, why=why)
        else:
            self._refuse(version, judgement, running)

    def _refuse(self, version: int, judgement: Judgement, running: Model) -> None:
        set_status(
            self._settings,
            self._name,
            version,
            status="candidate",
            by=PROMOTER,
            why="the gate does not let it pass",
            reasons=judgement.reasons,
            against=running.label,
        )
        self._metrics.add(PROMOTER_ACTS, 1, "refused")

    def _went_back(self, running: Model) -> bool:
        """Look back on what was promoted here, once in a shadow time."""
        live = self._known.live
        if live is None or live.by != PROMOTER or live.version is None or not live.before:
            return False
        now = DecisionLog(self._settings).latest()
        if now is None or now < self._looked_back_ms + self._settings.promoter_shadow_s * 1000:
            return False
        self._looked_back_ms = now
        try:
            before = self._model(live.before[-1])
        except (ModelRefused, InputRefused) as error:  # nothing to go back to
            log.warning("model_before_unusable", version=live.before[-1], error=str(error))
            return False
        found = review(self._settings, running, before, **self._times())
        log.info("looked back", model=running.label, before=before.label, reasons=found.reasons, **found.figures)
        if not found.reasons:
            return False
        why = f"it does worse than {before.label} before it"
        rollback(self._settings, self._name, PROMOTER, why, reasons=found.reasons, judged=self._known)
        self._metrics.add(PROMOTER_ACTS, 1, "rolled_back")
        log.warning("rolled back", model=running.label, to=before.label, reasons=found.reasons)
        return True

    def _times(self) -> dict[str, int]:
        """Event time that the gate looks at: up to the last decision, whatever the wall clock says."""
        now = DecisionLog(self._settings).latest() or 0
        return {"since_ms": now - self._settings.promoter_window_s * 1000, "until_ms": now}

    def _live_version(self) -> int | None:
        return None if self._known.live is None else self._known.live.version

    def _model(self, version: int | None) -> Model:
        if version is None:
            return self._own
        try:
            return load_published(self._settings, self._known.get(version))
        except ModelFileError as error:
            raise ModelRefused(f"{self._name}/{version} is refused: {error}") from error

    def _hear(self) -> None:
        """Take over what has been said since."""
        while messages := self._consumer.consume(AT_ONCE, 0.2):
            for message in filter(is_record, messages):
                said = understood(message.key(), message.value(), message.partition() or 0, message.offset() or 0)
                if said is not None and said.name == self._name:
                    self._known.hear(said)


def waiting(known: Registered, running: Model) -> int | None:
    """Pick the version whose turn it is: the newest one above the model that prices, not judged beside that."""
    for version in sorted(known.versions, reverse=True):
        if version <= running.version:
            return None
        said = known.statuses.get(version)
        judged = said is not None and said.against == running.label
        if known.status_of(version) in {"candidate", "shadow"} and not judged:
            return version
    return None


def _told(judgement: Judgement) -> str:
    """Figures of what has passed."""
    gain, roll_out = (
        " to ".join(f"{judgement.figures[f'{what}_{bound}']:+.2%}" for bound in ("lower", "upper"))
        for what in ("gain", "roll_out")
    )
    return f"off-policy {gain}, roll-outs {roll_out}"


def run_promoter(settings: Settings) -> None:
    """Follow the candidates of a model until SIGTERM or Ctrl-C.

    Raises:
        ModelRefused: The workers' own model cannot be used.
        TopicMismatch: A topic is missing.
        BrokerUnreachable: The broker goes on failing.
        SourceUnreadable: A topic cannot be read any more.
    """
    metrics, failures = Metrics(), 0
    with stop_signal() as stopping, metrics_page(settings, metrics):
        promoter = Promoter(settings, metrics)
        try:
            while not stopping.wait(AGAIN_S if failures else POLL_S):
                try:
                    promoter.turn(stopping)
                    failures = 0
                except (Overtaken, InputRefused, ModelRefused) as error:
                    log.warning("nothing_done", kind=type(error).__name__, error=str(error))
                except BrokerUnreachable as error:
                    failures += 1
                    if failures == MAX_FAILURES:
                        raise
                    log.warning("turn_failed", error=str(error), again_in_s=AGAIN_S)
        finally:
            promoter.close()
