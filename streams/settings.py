"""Settings: read once from ``REPRICER_…`` variables, frozen, every one with its meaning and range.

A variable with an unknown name is refused together with the name that was probably meant: a typo must not
leave a default in force. Secrets come from files and are read only when a client is built.
"""

from __future__ import annotations

import difflib
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from schemas.topics import HOT_SOURCES
from streams import security
from streams.errors import ConfigurationError
from streams.learning_settings import LearningSettings

PREFIX = "REPRICER_"
NAME = r"^[A-Za-z0-9._-]{1,128}$"
"""What Kafka allows in names of topics, and what we allow in groups and instances."""
SERVERS = r"^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$"


def _instance_name() -> str:
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in socket.gethostname())
    return name[:128] or "worker"


def _split_names(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "repricer"


class Settings(LearningSettings):
    """Everything that can be set. Names end in their unit: ``_s`` seconds, ``_ms`` milliseconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", protected_namespaces=()
    )

    # the broker, for the control plane and the data plane alike
    bootstrap_servers: Annotated[
        str, Field(pattern=SERVERS, description="Kafka brokers to begin with: host:port, comma-separated.")
    ] = "127.0.0.1:9092"
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], Field(description="How to talk to the brokers.")
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None, Field(description="How to log in, with SASL.")
    ] = None
    sasl_username: Annotated[str | None, Field(description="User name, with SASL.")] = None
    sasl_password_file: Annotated[Path | None, Field(description="File that holds the password, with SASL.")] = None
    ssl_ca_file: Annotated[
        Path | None, Field(description="Certificates that sign the brokers' (PEM); the system's if not set.")
    ] = None
    ssl_certificate_file: Annotated[Path | None, Field(description="Our own certificate (PEM), for mutual TLS.")] = None
    ssl_key_file: Annotated[Path | None, Field(description="Private key of our certificate (PEM).")] = None
    ssl_key_password_file: Annotated[Path | None, Field(description="File that holds the key's password.")] = None

    # who we are
    topic_prefix: Annotated[str, Field(pattern=NAME, description="First part of every topic name: one per tenant.")] = (
        "repricer"
    )
    group: Annotated[str, Field(pattern=NAME, description="Consumer group of the workers: one per tenant.")] = (
        "repricer"
    )
    instance: Annotated[
        str,
        Field(
            pattern=NAME,
            description="Stable name of this worker, unique in its group (default: the host's name). "
            "A restart under the same name ends what the last run left open.",
        ),
    ] = Field(default_factory=_instance_name)

    # topics, when they are created and when they are checked
    partitions: Annotated[int, Field(ge=1, le=4096, description="Partitions of every topic.")] = 12
    replication_factor: Annotated[int, Field(ge=1, le=9, description="Replicas of every topic.")] = 1

    # the state and the cut
    max_offers: Annotated[
        int, Field(ge=1024, le=16_777_216, description="Offers that this worker can hold; memory is taken at start.")
    ] = 131_072
    batch_records: Annotated[int, Field(ge=1, le=100_000, description="Records of one poll, at most.")] = 10_000
    cut_interval_ms: Annotated[
        int, Field(ge=1, le=10_000, description="Under load, one transaction at least this often.")
    ] = 100
    cut_rows: Annotated[int, Field(ge=1, le=1_000_000, description="State rows that make a transaction due.")] = 5000
    max_record_bytes: Annotated[
        int, Field(ge=1024, le=16_777_216, description="A larger record is a dead letter, unparsed.")
    ] = 262_144
    future_tolerance_s: Annotated[
        int, Field(ge=0, le=604_800, description="A record dated later than now plus this is a dead letter.")
    ] = 3600
    duplicate_window: Annotated[
        int, Field(ge=0, le=10_000_000, description="Records per source partition in which an event id counts once.")
    ] = 20_000
    transactional_sources: Annotated[
        frozenset[str],
        NoDecode,
        BeforeValidator(_split_names),
        Field(
            description="Sources whose producers use transactions, comma-separated: their logs have holes for the "
            "markers. A hole anywhere else stops the worker."
        ),
    ] = frozenset()

    # the group
    session_timeout_s: Annotated[
        float, Field(ge=6, le=300, description="A worker silent for longer loses its shards.")
    ] = 10.0
    heartbeat_interval_s: Annotated[
        float, Field(gt=0, le=100, description="Sign of life; at most a third of the session.")
    ] = 3.0
    rebalance_timeout_s: Annotated[float, Field(ge=6, le=600, description="Time to give shards up in a rebalance.")] = (
        30.0
    )
    transaction_timeout_s: Annotated[
        float, Field(ge=1, le=900, description="The broker ends a dead worker's transaction after this.")
    ] = 10.0
    ready_deadline_s: Annotated[
        float, Field(gt=0, le=86_400, description="Not ready after this: exit with an error.")
    ] = 120.0

    # deciding, in event time
    decision_interval_s: Annotated[
        int, Field(ge=0, le=2_592_000, description="Least time between two decisions of an offer.")
    ] = 900
    review_interval_s: Annotated[
        int, Field(ge=1, le=31_536_000, description="A quiet offer is looked at again after this.")
    ] = 21_600
    acknowledgement_timeout_s: Annotated[
        int, Field(ge=1, le=31_536_000, description="An unanswered price change is sent again after this.")
    ] = 3600
    change_lifetime_s: Annotated[
        int, Field(ge=1, le=31_536_000, description="A price change says that it expires after this (wall clock).")
    ] = 3600
    decide_during_catch_up: Annotated[
        bool, Field(description="Decide while behind, too: for benchmarks and backfills.")
    ] = False
    tick_interval_s: Annotated[
        float, Field(ge=0, le=3600, description="Publish event time this often; 0: another system does.")
    ] = 5.0
    seed: Annotated[int, Field(ge=0, le=2**63 - 1, description="Seed of exploration.")] = 0
    model_path: Annotated[Path | None, Field(description="Model to price with; the shipped one if not set.")] = None
    model_name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9._-]{1,64}$",
            description="Model to follow: what `repricer models promote` makes live takes the place of the other.",
        ),
    ] = "default"

    # alarms, by the wall clock
    alarm_interval_s: Annotated[
        int, Field(ge=0, le=86_400, description="A shard says the same alarm again after this at the soonest.")
    ] = 900

    compilation_cache: Annotated[
        Path | None, Field(description="Folder where compiled functions are kept between starts; none if null.")
    ] = Field(default_factory=_cache_folder)

    # what others see of us
    http_host: Annotated[str, Field(min_length=1, description="Address of /livez, /readyz and /metrics.")] = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65_535, description="Their port; 0: any free one.")] = 6066
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"], Field(description="json: a line each, for machines; console: for people.")
    ] = "json"

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.heartbeat_interval_s * 3 > self.session_timeout_s:
            raise ValueError("heartbeat_interval_s must be at most a third of session_timeout_s")
        strangers = self.transactional_sources - {topic.name for topic in HOT_SOURCES}
        if strangers:
            raise ValueError(f"transactional_sources names no source topic: {', '.join(sorted(strangers))}")
        security.check(self)
        return self

    @property
    def transactional_id(self) -> str:
        """Transactional id of this worker: stable over restarts."""
        return f"{self.group}-{self.instance}"

    def client_config(self) -> dict[str, Any]:
        """Connection and security, for any librdkafka client. Its own log goes where ours goes.

        Raises:
            ConfigurationError: a secret's file cannot be read.
        """
        logger = logging.getLogger("librdkafka")
        return {"bootstrap.servers": self.bootstrap_servers, "logger": logger, **security.librdkafka_config(self)}

    def consumer_config(self) -> dict[str, Any]:
        """What every consumer of ours has: only committed records, no offsets committed by a timer."""
        return {
            **self.client_config(),
            "group.id": self.group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }

    def producer_config(self) -> dict[str, Any]:
        """What every producer of ours has: Java's placement of keys, acknowledged by all replicas, once.

        librdkafka's default placement differs from Java's, and an offer must be in one shard only.
        """
        return {
            **self.client_config(),
            "partitioner": "murmur2_random",
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
        }

    def faust_credentials(self) -> Any:
        """The same security for Faust's control plane; None if there is none.

        Raises:
            ConfigurationError: a secret's or certificate's file cannot be read.
        """
        return security.faust_credentials(self)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the process's environment; ``overrides`` win.

    Raises:
        ConfigurationError: an unknown name, or a value out of its range; one line for all faults.
    """
    _refuse_unknown(os.environ)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_say(fault) for fault in error.errors())) from None


def _refuse_unknown(names: Mapping[str, str]) -> None:
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    for name in sorted(names):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)[0]
            raise ConfigurationError(f"{name} is not a setting; did you mean {near}? (`repricer settings` lists all)")


def _say(fault: Any) -> str:
    """One line for a person. The value given is left out: it may be a secret put into the wrong variable."""
    where = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    return f"{PREFIX}{where.upper()}: {message}" if where else message
