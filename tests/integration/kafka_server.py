"""A real Apache Kafka for the integration tests: the server's jars from Maven, one KRaft node on loopback.

Also a command, for trying things by hand::

    python tests/integration/kafka_server.py --data DIR --port 19092

It prints its address and runs until Ctrl-C. The same DIR and port bring the same topics back. With ``--run COMMAND …``
it runs a command against itself (the address is in REPRICER_BOOTSTRAP_SERVERS) and ends with it.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CACHE = HERE.parents[1] / ".kafka"
JAVA_OPTIONS = ("-Xms128m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
NEEDED_JAVA = 17

# after a SIGKILL the controller waits for the session of the dead broker, by default 9 s, before it lets it in again
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}/log
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=33554432
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


class KafkaUnavailable(RuntimeError):
    """No real Kafka can be had here; the message says what is missing."""


class KafkaFailed(RuntimeError):
    """The server was there and did not start; the message ends with its last words."""


def missing_tools() -> str | None:
    """Say why no server can be started on this machine; None if it can."""
    absent = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if absent:
        return f"{' and '.join(absent)} not found"
    answer = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', answer)
    if version is None or int(version[1]) < NEEDED_JAVA:
        return f"Java {NEEDED_JAVA} or newer is needed, found: {answer.splitlines()[0] if answer else 'none'}"
    return None


def fetch_jars() -> Path:
    """Folder of the server's jars; downloaded on first use and whenever pom.xml changes.

    Raises:
        KafkaUnavailable: a tool is missing or Maven failed.
    """
    reason = missing_tools()
    if reason is not None:
        raise KafkaUnavailable(reason)
    lib, stamp = CACHE / "lib", CACHE / "pom.sha256"
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once download once
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(lib, ignore_errors=True)
            _run_maven(lib)
            stamp.write_text(wanted)
    return lib


def _run_maven(lib: Path) -> None:
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={lib}"]
    result = subprocess.run([*command, "-DincludeScope=runtime"], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise KafkaUnavailable(f"Maven could not fetch the jars: {(result.stdout + result.stderr)[-600:]}")


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class KafkaServer:
    """One Kafka node. `kill` and `start` keep the data and the address, as fault tests need.

    Attributes:
        data: folder of configuration, records and ``server.log``.
        bootstrap_servers: ``127.0.0.1:port``.
    """

    def __init__(self, data: Path, port: int = 0, properties: dict[str, str] | None = None) -> None:
        """``properties`` win over ours, e.g. ``{"group.min.session.timeout.ms": "1000"}``."""
        self.data = data.resolve()
        self.port = port or free_port()
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self._properties = properties or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started, and not stopped or killed since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Process id, for signals."""
        return self._running().pid

    def start(self, timeout_s: float = 60.0) -> None:
        """Format the data folder if it is new, start, and wait until the broker answers.

        Raises:
            KafkaUnavailable: tools are missing or the jars cannot be fetched.
            KafkaFailed: the server ended or did not answer in time.
        """
        if self._process is not None:
            raise RuntimeError("already started")
        lib = fetch_jars()
        config = self._write_config()
        if not (self.data / "log" / "meta.properties").exists():
            self._format(lib, config)
        with (self.data / "server.log").open("ab") as log:
            command = ["java", *JAVA_OPTIONS, "-cp", f"{lib}/*", "kafka.Kafka", str(config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait_until_ready(timeout_s)
        except BaseException:  # Ctrl-C, too, must not leave a server behind
            self.kill()
            raise

    def stop(self, timeout_s: float = 30.0) -> None:
        """Stop cleanly; after ``timeout_s`` kill."""
        process = self._running()
        self._process = None
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """SIGKILL: what a power cut leaves, but for the disk's cache."""
        process = self._running()
        self._process = None
        process.kill()
        process.wait()

    def pause(self) -> None:
        """SIGSTOP: a broker that hangs."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.running:
            self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("not started")
        return self._process

    def _write_config(self) -> Path:
        self.data.mkdir(parents=True, exist_ok=True)
        text = PROPERTIES.format(port=self.port, controller_port=free_port(), data=self.data)
        text += "".join(f"{key}={value}\n" for key, value in self._properties.items())
        path = self.data / "server.properties"
        path.write_text(text)
        return path

    def _format(self, lib: Path, config: Path) -> None:
        cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        # with "=", because every 64th id begins with a dash
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", str(config)]
        result = subprocess.run(
            ["java", *JAVA_OPTIONS, "-cp", f"{lib}/*", *tool], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise KafkaFailed(f"cannot format {self.data}: {(result.stdout + result.stderr)[-600:]}")

    def _wait_until_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            process = self._running()
            if process.poll() is not None or time.monotonic() > deadline:
                tail = (self.data / "server.log").read_text(errors="replace")[-1500:]
                raise KafkaFailed(f"Kafka did not start (exit code {process.poll()}):\n{tail}")

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        # a new client each time: one that met a closed port waits longer and longer between tries
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=0.5).brokers)
        except KafkaException:
            return False


def main() -> None:
    """Run one server until Ctrl-C or SIGTERM, or until a command against it has ended."""
    parser = argparse.ArgumentParser(description="Run a real Apache Kafka on loopback until Ctrl-C.")
    parser.add_argument("--data", type=Path, help="data folder (default: a temporary one)")
    parser.add_argument("--port", type=int, default=0, help="port (default: any free one)")
    parser.add_argument("--run", nargs=argparse.REMAINDER, metavar="COMMAND", help="run a command, then stop")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the server below is stopped, too
    with contextlib.ExitStack() as stack:
        data = arguments.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-")))
        try:
            server = stack.enter_context(KafkaServer(data, arguments.port))
        except (KafkaUnavailable, KafkaFailed) as error:
            sys.exit(f"kafka_server: {error}")
        if arguments.run:
            address = {"REPRICER_BOOTSTRAP_SERVERS": server.bootstrap_servers, "KAFKA_BROKER_PID": str(server.pid)}
            sys.exit(subprocess.run(arguments.run, env={**os.environ, **address}, check=False).returncode)
        print(server.bootstrap_servers, flush=True)  # noqa: T201  # a command's answer
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
