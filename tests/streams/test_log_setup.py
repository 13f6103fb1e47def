from __future__ import annotations

import io
import json
import logging
import threading
import warnings

import pytest
import structlog

from streams.log_setup import set_up_logging
from streams.settings import Settings


@pytest.fixture
def lines():
    """Configures logging to a buffer and gives its lines back; what pytest had is put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level

    def read():
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    set_up_logging(Settings(), stream, instance="w1")
    yield read
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_every_line_is_json_with_level_time_and_bound_context(lines):
    structlog.get_logger().bind(shard=3).info("cut", rows=10)

    (line,) = lines()
    assert line["at"].endswith("Z")
    assert {name: line[name] for name in line if name != "at"} == {
        "event": "cut",
        "level": "info",
        "instance": "w1",
        "shard": 3,
        "rows": 10,
    }


def test_lines_of_other_threads_carry_the_context_of_the_process(lines):
    thread = threading.Thread(target=structlog.get_logger().info, args=("cut",))
    thread.start()
    thread.join()

    assert lines()[0]["instance"] == "w1"


def test_libraries_and_warnings_take_the_same_way(lines):
    logging.getLogger("aiokafka.consumer").warning("lost %s", "it")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)

    assert [(line["logger"], line["level"], line["instance"]) for line in lines()] == [
        ("aiokafka.consumer", "warning", "w1"),
        ("py.warnings", "warning", "w1"),
    ]


def test_below_the_level_and_chatter_of_libraries_are_not_logged(lines):
    structlog.get_logger().debug("detail")
    logging.getLogger("faust.app").info("about me")

    assert lines() == []


def test_what_json_cannot_say_is_written_as_its_repr_and_exceptions_with_their_stack(lines):
    try:
        {}["x"]
    except KeyError:
        structlog.get_logger().exception("broken", key=b"\xff")

    (line,) = lines()
    assert line["key"] == repr(b"\xff")
    assert line["exception"][0]["exc_type"] == "KeyError"
