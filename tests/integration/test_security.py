"""One definition of TLS and SASL, tried on both planes against a broker that demands both."""

from __future__ import annotations

import asyncio
import subprocess

import pytest
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from schemas.topics import ORDERS, TOPICS
from streams.errors import BrokerUnreachable
from streams.settings import Settings
from streams.topic_admin import TopicAdmin
from tests.integration.conftest import skip, started
from tests.integration.kafka_server import KafkaServer, free_port, missing_tools

pytestmark = pytest.mark.kafka

LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_worker="s3cret";'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key store for the broker, and its self-signed certificate for clients."""
    if reason := missing_tools():
        skip(reason)
    folder = tmp_path_factory.mktemp("tls")
    store, certificate = folder / "broker.p12", folder / "ca.pem"
    with_store = ["-keystore", store, "-storepass", "changeit", "-alias", "broker"]
    name = ["-dname", "CN=broker", "-ext", "SAN=IP:127.0.0.1", "-keyalg", "EC", "-validity", "2"]
    subprocess.run(["keytool", "-genkeypair", *with_store, "-storetype", "PKCS12", *name], check=True)
    subprocess.run(["keytool", "-exportcert", "-rfc", *with_store, "-file", certificate], check=True)
    return store, certificate


@pytest.fixture(scope="module")
def secure(certificate, tmp_path_factory):
    """Address of the listener that wants TLS and a login. The plain one is left for the server's own check."""
    port, secure_port, controller = free_port(), free_port(), free_port()
    properties = {
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure_port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure_port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secure.plain.sasl.jaas.config": LOGIN,
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(certificate[0]),
        "ssl.keystore.password": "changeit",
    }
    with started(KafkaServer(tmp_path_factory.mktemp("secure"), port, properties)):
        yield f"127.0.0.1:{secure_port}"


def settings_for(address, certificate, password_file, password):
    password_file.write_text(password + "\n")
    return Settings(
        bootstrap_servers=address,
        partitions=2,
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="worker",
        sasl_password_file=password_file,
        ssl_ca_file=certificate[1],
    )


async def topics_by_aiokafka(settings):
    """As Faust's control plane connects."""
    auth = credentials_to_aiokafka_auth(settings.faust_credentials())
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, **auth)
    await consumer.start()
    try:
        return await consumer.topics()
    finally:
        await consumer.stop()


def test_both_planes_log_in_with_the_same_settings(secure, certificate, tmp_path):
    settings = settings_for(secure, certificate, tmp_path / "password", "s3cret")

    assert len(TopicAdmin(settings).apply()) == len(TOPICS)
    assert ORDERS.full_name("repricer") in asyncio.run(topics_by_aiokafka(settings))


def test_a_wrong_password_is_said_and_not_shown(secure, certificate, tmp_path):
    settings = settings_for(secure, certificate, tmp_path / "password", "wrong-s3cret")

    with pytest.raises(BrokerUnreachable, match=r"(?i)authentication fail") as refusal:
        TopicAdmin(settings)
    assert "wrong-s3cret" not in str(refusal.value)


def test_a_broker_with_an_unknown_certificate_is_refused(secure, certificate, tmp_path):
    settings = settings_for(secure, certificate, tmp_path / "password", "s3cret")

    with pytest.raises(BrokerUnreachable, match=r"(?i)certificate"):
        TopicAdmin(settings.model_copy(update={"ssl_ca_file": None}))
