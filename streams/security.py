"""TLS and SASL, given once and said twice: to librdkafka (data plane) and to aiokafka through Faust (control plane)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.errors import ConfigurationError

if TYPE_CHECKING:  # settings.py calls us
    from streams.settings import Settings


def check(settings: Settings) -> None:
    """Refuse settings that contradict each other: half a login would be sent without protection.

    Raises:
        ValueError: what is missing, or would be ignored.
    """
    login = {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_username": settings.sasl_username,
        "sasl_password_file": settings.sasl_password_file,
    }
    tls = {
        "ssl_ca_file": settings.ssl_ca_file,
        "ssl_certificate_file": settings.ssl_certificate_file,
        "ssl_key_file": settings.ssl_key_file,
        "ssl_key_password_file": settings.ssl_key_password_file,
    }
    protocol = settings.security_protocol
    if uses_sasl(settings):
        missing = [name for name, value in login.items() if value is None]
        if missing:
            raise ValueError(f"security_protocol={protocol} needs {', '.join(missing)}")
    else:
        _refuse_set(login, f"security_protocol={protocol} does not use SASL")
    if not uses_tls(settings):
        _refuse_set(tls, f"security_protocol={protocol} does not use TLS")
    if (settings.ssl_certificate_file is None) != (settings.ssl_key_file is None):
        raise ValueError("ssl_certificate_file and ssl_key_file belong together")


def _refuse_set(values: dict[str, Any], why: str) -> None:
    given = [name for name, value in values.items() if value is not None]
    if given:
        raise ValueError(f"{', '.join(given)} set, but {why}")


def uses_tls(settings: Settings) -> bool:
    """Whether connections are encrypted."""
    return settings.security_protocol in {"SSL", "SASL_SSL"}


def uses_sasl(settings: Settings) -> bool:
    """Whether we log in with a name and a password."""
    return settings.security_protocol.startswith("SASL")


def librdkafka_config(settings: Settings) -> dict[str, Any]:
    """Security keys for any librdkafka client.

    Raises:
        ConfigurationError: a secret's file cannot be read.
    """
    config: dict[str, Any] = {"security.protocol": settings.security_protocol}
    if uses_sasl(settings):
        config["sasl.mechanism"] = settings.sasl_mechanism
        config["sasl.username"] = settings.sasl_username
        config["sasl.password"] = read_secret(settings.sasl_password_file)
    files = {
        "ssl.ca.location": settings.ssl_ca_file,
        "ssl.certificate.location": settings.ssl_certificate_file,
        "ssl.key.location": settings.ssl_key_file,
    }
    config.update({key: str(path) for key, path in files.items() if path is not None})
    if settings.ssl_key_password_file is not None:
        config["ssl.key.password"] = read_secret(settings.ssl_key_password_file)
    return config


def faust_credentials(settings: Settings) -> Any:
    """The same for Faust; None where the protocol is PLAINTEXT.

    Raises:
        ConfigurationError: a secret's or certificate's file cannot be read.
    """
    import faust  # noqa: PLC0415  # takes 0.5 s, and only the worker needs it

    context = _ssl_context(settings) if uses_tls(settings) else None
    if uses_sasl(settings):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=read_secret(settings.sasl_password_file),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    """A client's context that checks the broker's certificate and name, like librdkafka's default."""
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
        if settings.ssl_certificate_file is not None and settings.ssl_key_file is not None:
            secret = settings.ssl_key_password_file
            password = read_secret(secret) if secret is not None else None
            context.load_cert_chain(settings.ssl_certificate_file, settings.ssl_key_file, password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot use the TLS files: {error.strerror or error}") from error
    return context


def read_secret(path: Path | None) -> str:
    """Content of a secret's file without the line break that editors add.

    Raises:
        ConfigurationError: the file cannot be read or is empty. The message names the file, never its content.
    """
    if path is None:
        raise ConfigurationError("a secret is needed, and its file is not set")
    try:
        secret = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the secret in {path}: {type(error).__name__}") from None
    if not secret:
        raise ConfigurationError(f"the secret in {path} is empty")
    return secret
