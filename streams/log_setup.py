"""Logging: one JSON object a line through orjson, or readable lines for a person; ours and the libraries' alike.

Logs go to stderr: stdout belongs to a command's answer. `set_up_logging` is called once, by a verb of the
command line; modules take ``structlog.get_logger()`` and bind their context early.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from streams.settings import Settings, load_settings

CHATTY = ("faust", "mode", "aiokafka", "aiohttp.access", "jax", "absl")
"""Libraries whose INFO is about themselves; they speak from WARNING on, unless we debug."""


def set_up_logging(settings: Settings, stream: TextIO | None = None, **context: Any) -> None:
    """Route structlog, stdlib logging and warnings to ``stream`` (default: stderr).

    Args:
        settings: ``log_level`` and ``log_format`` are of interest.
        stream: where lines go.
        context: bound to every line, e.g. ``instance``.
    """
    target = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        _with_context(context),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    structlog.configure(
        processors=[*shared, *_renderers(settings.log_format, target)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    _configure_stdlib(threshold, shared, settings.log_format, target)


def _with_context(context: dict[str, Any]) -> Processor:
    """Add what is true of the whole process; context variables would be empty in other threads."""

    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**event, **context}

    return add


def _renderers(format_: str, target: TextIO) -> list[Processor]:
    if format_ == "console":
        return [structlog.dev.ConsoleRenderer(colors=target.isatty())]
    # without local variables: they hold whole batches, and may hold a password
    transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(transform), _render_json]


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """What orjson does not know is written as its ``repr``: a log line must never raise."""
    return orjson.dumps(event, default=repr, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode()


def _configure_stdlib(threshold: int, shared: list[Processor], format_: str, target: TextIO) -> None:
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(format_, target)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    logging.captureWarnings(capture=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(threshold if threshold <= logging.DEBUG else max(threshold, logging.WARNING))


def quiet_settings(component: str) -> Settings:
    """Settings for a command whose answer is on stdout: of the log, only what is wrong."""
    settings = load_settings()
    set_up_logging(settings.model_copy(update={"log_level": "warning"}), component=component)
    return settings
