"""Every error that ends a command or a worker: one tree, each branch with its exit code.

::

    RepricerError                 1   something is wrong; the message says what and how to fix it
    ├── ConfigurationError        3   a setting is missing, unknown, out of range, or contradicts another
    ├── BrokerUnreachable         4   no broker answered in time
    ├── TopicMismatch             5   topics are missing or differ from what the worker needs
    ├── ModelRefused              6   the model file is damaged or was made for another version
    ├── InputRefused              7   a file that was given to a command cannot be read as what it should be
    ├── NotReady                  8   the worker was not ready before its deadline
    ├── WorkersRunning           17   a command needs all workers to be stopped
    ├── PromiseBroken            20   `repricer verify` or `sweep` found something to contradict what must hold
    ├── ReplayRefused            21   a dead letter cannot be replayed, or not without being told to
    ├── NotReproduced            22   `repricer replay` made decisions again, and they came out otherwise
    ├── NotPromoted              23   the gate does not let a model pass
    ├── Overtaken                24   what an act on a model rests on has changed meanwhile
    └── StreamFault               9   the worker stops rather than lose or double something
        ├── OffsetMismatch       10   the group's offsets differ from the shard record
        │   └── GroupReset       11   somebody reset the consumer group
        ├── OffsetGap            12   records of a source are missing
        ├── CutFailed            13   a transaction failed and could not be settled
        ├── ShardLost            14   a shard cannot be rebuilt
        ├── SourceUnreadable     15   a source topic cannot be read any more
        └── TopicRecreated       16   a topic is not the one that the state came from

Exit code 2 belongs to the command line (wrong usage), 0 to success.
"""

from __future__ import annotations

from typing import ClassVar


class RepricerError(Exception):
    """Root of all errors of this package. The message is one line for a person."""

    exit_code: ClassVar[int] = 1


class ConfigurationError(RepricerError):
    """A setting is missing, unknown, out of range, or contradicts another."""

    exit_code = 3


class BrokerUnreachable(RepricerError):
    """No broker answered in time."""

    exit_code = 4


class TopicMismatch(RepricerError):
    """Topics are missing or differ from what the worker needs."""

    exit_code = 5


class ModelRefused(RepricerError):
    """The model file is damaged or was made for another version."""

    exit_code = 6


class InputRefused(RepricerError):
    """A file that was given to a command cannot be read as what it should be."""

    exit_code = 7


class NotReady(RepricerError):
    """The worker was not ready before its deadline."""

    exit_code = 8


class WorkersRunning(RepricerError):
    """A command that rewrites what workers own needs all of them to be stopped."""

    exit_code = 17


class StreamFault(RepricerError):
    """The worker stops rather than lose or double something."""

    exit_code = 9


class OffsetMismatch(StreamFault):
    """The group's offsets differ from the shard record."""

    exit_code = 10


class GroupReset(OffsetMismatch):
    """Somebody reset the consumer group; only a person can say which position is meant."""

    exit_code = 11


class OffsetGap(StreamFault):
    """Records of a source are missing: retention or truncation removed them before they were read."""

    exit_code = 12


class CutFailed(StreamFault):
    """A transaction failed and could not be settled."""

    exit_code = 13


class ShardLost(StreamFault):
    """A shard cannot be rebuilt from its changelog."""

    exit_code = 14


class SourceUnreadable(StreamFault):
    """A source topic cannot be read any more: the broker refuses us, or librdkafka gave up."""

    exit_code = 15


class TopicRecreated(StreamFault):
    """A topic was deleted and created anew: the state and its offsets belong to the one that is gone."""

    exit_code = 16


class PromiseBroken(RepricerError):
    """`repricer verify` or `sweep` found something to contradict what must hold."""

    exit_code = 20


class ReplayRefused(RepricerError):
    """A dead letter cannot be replayed, or not without being told to."""

    exit_code = 21


class NotReproduced(RepricerError):
    """`repricer replay` made decisions again, and they came out otherwise."""

    exit_code = 22


class NotPromoted(RepricerError):
    """The gate does not let a model pass."""

    exit_code = 23


class Overtaken(RepricerError):
    """What an act on a model rests on has changed meanwhile: it must be judged again."""

    exit_code = 24
