"""`repricer demo` as a newcomer runs it: separate processes on the embedded broker."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(240)

MARK = "DEMO_UNDER_TEST"
START_S = 90
"""Three times what a loaded machine needs to compile everything."""


@contextmanager
def demo(*arguments):
    """A running demo, and the value of an environment variable that all of its processes have."""
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "streams.cli", "demo", "--json", *arguments]
    environment, pipe = {**os.environ, MARK: mark}, subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process, mark
        finally:
            for pid in processes(mark):
                os.kill(pid, signal.SIGKILL)


def processes(mark):
    """Process ids whose environment holds the mark, each with its verb."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
            except OSError:  # ended meanwhile, or not ours
                continue
            if f"{MARK}={mark}".encode() in environment:
                found[int(folder.name)] = command.decode().split("\0")
    return found


def wait_for(found):
    deadline = time.monotonic() + START_S
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return result


def wait_for_child(mark, verb):
    """Process id of the child that runs the verb, once it is there."""
    return wait_for(lambda: next((pid for pid, command in processes(mark).items() if verb in command), None))


def option(pid, name):
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return words[words.index(name) + 1]


def test_half_a_minute_of_the_demo_earns_more_than_simple_rules_and_breaks_none():
    with demo("--seconds", "30") as (process, mark):
        output, errors = process.communicate(timeout=200)
        left = processes(mark)
    assert process.returncode == 0, errors
    result = json.loads(output.splitlines()[-1])
    assert list(result) == [
        "events", "decisions", "price_changes", "applied", "rejected", "out_of_bounds", "dead_letters", "pending",
        "profit", "profit_hold", "profit_match_cheapest", "profit_optimum", "seconds",
    ]  # fmt: skip
    assert result["events"] > 10_000
    assert result["price_changes"] > 100
    assert result["out_of_bounds"] == result["dead_letters"] == 0
    assert result["applied"] + result["rejected"] + result["pending"] == result["price_changes"]
    assert result["pending"] <= result["price_changes"] / 100
    assert result["profit"] > max(result["profit_hold"], result["profit_match_cheapest"])
    assert left == {}


def test_ctrl_c_closes_the_market_and_tells_what_came_of_it():
    with demo("--seconds", "600") as (process, mark):
        account = Path(option(wait_for_child(mark, "simulate"), "--truth"))
        wait_for(lambda: account.exists() and json.loads(account.read_text())["events"] > 1000)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
        assert json.loads(output.splitlines()[-1])["pending"] == 0
        assert processes(mark) == {}
        assert not account.parent.exists()


def test_ctrl_c_before_the_market_opens_leaves_nothing_behind():
    with demo("--seconds", "600") as (process, mark):
        wait_for_child(mark, "simulate")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
        assert "stopped before the market had opened" in errors
        assert processes(mark) == {}


def test_a_child_that_dies_ends_the_demo_with_its_last_words():
    with demo("--seconds", "600") as (process, mark):
        os.kill(wait_for_child(mark, "catalog"), signal.SIGKILL)
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 1
        assert "the catalog was ended by SIGKILL" in errors
        assert processes(mark) == {}
