from __future__ import annotations

import stat

import pytest
from pydantic import ValidationError

from streams.errors import ConfigurationError
from streams.settings import PREFIX, Settings, load_settings


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    path.chmod(stat.S_IRUSR)
    return path


def test_every_field_says_what_it_means_and_bounds_its_numbers():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        if field.annotation in (int, float):
            bounds = {type(bound).__name__ for bound in field.metadata}
            assert bounds & {"Ge", "Gt"}, name
            assert "Le" in bounds, name


def test_variables_are_read_and_arguments_win(monkeypatch):
    monkeypatch.setenv("REPRICER_GROUP", "shop")
    monkeypatch.setenv("REPRICER_PARTITIONS", "4")
    monkeypatch.setenv("REPRICER_TRANSACTIONAL_SOURCES", "orders, clicks")
    monkeypatch.setenv("REPRICER_MODEL_PATH", "")  # compose files pass unset variables as empty ones

    settings = load_settings(partitions=6, instance="a")

    assert (settings.partitions, settings.transactional_id, settings.model_path) == (6, "shop-a", None)
    assert settings.transactional_sources == {"orders", "clicks"}


def test_an_unknown_variable_is_refused_with_the_name_that_was_meant(monkeypatch):
    monkeypatch.setenv("REPRICER_BOOTSTRAP_SERVER", "kafka:9092")

    with pytest.raises(ConfigurationError, match="did you mean REPRICER_BOOTSTRAP_SERVERS"):
        load_settings()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"partitions": "0"}, "REPRICER_PARTITIONS: .*greater than or equal to 1"),
        ({"bootstrap_servers": "kafka"}, "REPRICER_BOOTSTRAP_SERVERS"),  # no port
        ({"topic_prefix": "a b"}, "REPRICER_TOPIC_PREFIX"),
        ({"heartbeat_interval_s": "5"}, "heartbeat_interval_s must be at most a third"),
        ({"security_protocol": "SASL_SSL"}, "needs sasl_mechanism, sasl_username, sasl_password_file"),
        ({"sasl_username": "me"}, "sasl_username set, but security_protocol=PLAINTEXT does not use SASL"),
        ({"ssl_ca_file": "ca.pem"}, "ssl_ca_file set, but security_protocol=PLAINTEXT does not use TLS"),
        ({"security_protocol": "SSL", "ssl_key_file": "k.pem"}, "ssl_certificate_file and ssl_key_file belong"),
        ({"transactional_sources": "order"}, "names no source topic: order"),
    ],
)
def test_values_out_of_range_or_at_odds_are_refused_by_name(monkeypatch, values, says):
    for name, text in values.items():
        monkeypatch.setenv(PREFIX + name.upper(), text)

    with pytest.raises(ConfigurationError, match=says):
        load_settings()


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        Settings().group = "other"


def test_one_definition_of_security_serves_both_planes_and_never_shows_the_password(password_file):
    settings = Settings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="worker",
        sasl_password_file=password_file,
    )

    config, credentials = settings.client_config(), settings.faust_credentials()

    assert config["sasl.password"] == credentials.password == "hunter2"
    assert (config["security.protocol"], credentials.protocol.value) == ("SASL_SSL", "SASL_SSL")
    assert (config["sasl.mechanism"], credentials.mechanism.value) == ("SCRAM-SHA-512", "SCRAM-SHA-512")
    assert "hunter2" not in repr(settings)


def test_a_secret_that_cannot_be_read_is_named_by_its_file(tmp_path):
    settings = Settings(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username="worker",
        sasl_password_file=tmp_path / "absent",
    )

    with pytest.raises(ConfigurationError, match=r"absent.*FileNotFoundError"):
        settings.client_config()


def test_producers_place_keys_like_java_and_consumers_read_only_what_is_committed():
    settings = Settings()

    assert settings.producer_config()["partitioner"] == "murmur2_random"
    assert settings.consumer_config()["isolation.level"] == "read_committed"
    assert settings.consumer_config()["enable.auto.commit"] is False
