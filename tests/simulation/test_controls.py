"""Every protection switched off, one at a time: the simulation must notice, or its silence would prove nothing."""

from __future__ import annotations

from dataclasses import replace

import confluent_kafka as ck
import pytest

from streams.controls import Controls
from streams.holdings import Holdings
from streams.keeping import Keeper
from streams.log_reader import Cancelled, Offsets
from streams.ownership import Ownership
from streams.takeover import Takeover
from streams.transaction import TransactionWriter
from tests.simulation import worker
from tests.simulation.checks import Violation
from tests.simulation.clients import Consumer
from tests.simulation.simulation import Simulation

SEEDS = range(400)


def offsets_need_not_be_stable(_simulation, patch):
    patch.setattr(Consumer, "require_stable", False)


def the_changelog_is_read_before_the_offsets_are_stable(_simulation, patch):
    def read_positions(self, partitions, fencer, cancelled):
        rows = self._read_changelog(partitions, fencer, cancelled)
        return self._positions(partitions, rows, self._stable_offsets(partitions, fencer, cancelled))

    patch.setattr(Takeover, "_read_positions", read_positions)


def offsets_that_move_are_called_a_reset(_simulation, patch):
    def read_positions(self, partitions, fencer, cancelled):
        committed = self._stable_offsets(partitions, fencer, cancelled)
        return self._positions(partitions, self._read_changelog(partitions, fencer, cancelled), committed)

    patch.setattr(Takeover, "_read_positions", read_positions)


class _Identity:
    """What a claim says of generation and member, asked when it is used."""

    def __init__(self, ask):
        self._ask = ask

    generation = property(lambda self: self._ask()[0])
    member = property(lambda self: self._ask()[1])


def _commit_as(patch, ask):
    commit = TransactionWriter.commit
    patch.setattr(TransactionWriter, "commit", lambda self, cut: commit(self, replace(cut, claim=_Identity(ask))))


def cuts_have_the_identity_of_nobody(_simulation, patch):
    _commit_as(patch, lambda: (-1, ""))


def cuts_have_the_identity_of_the_moment(simulation, patch):
    def identity():
        (alive,) = [one for one in simulation.workers.values() if one.process is simulation.world.running]
        return alive.generation, alive.member

    _commit_as(patch, identity)


def memory_is_kept_after_a_failed_cut(_simulation, patch):
    async def recover(_self, _error):
        pass

    patch.setattr(Ownership, "_recover", recover)


def the_producer_is_kept_after_a_failed_cut(_simulation, patch):
    patch.setattr(TransactionWriter, "_discard", lambda _self: None)


def batches_of_an_older_epoch_are_applied(_simulation, patch):
    patch.setattr(Holdings, "is_current", lambda self, batch: batch.partition in self.shards)


def shards_are_kept_whatever_the_log_says(_simulation, patch):
    def confirm(self, last_cuts, cancelled):
        try:
            return self._read_tail(Offsets(self._config), last_cuts, cancelled).controls
        except (ck.KafkaException, Cancelled):
            return {}

    patch.setattr(Keeper, "confirm", confirm)


def what_is_pending_survives_the_shards(_simulation, patch):
    patch.setattr(Ownership, "_drop", lambda self: self._holdings.drop())


def the_duplicate_window_is_not_read_back(_simulation, patch):
    patch.setattr(worker, "WINDOWED", ())


def a_run_mode_that_comes_during_a_takeover_is_dropped(_simulation, patch):
    hear = Controls.hear

    def hear_if_here(self, partition, *record):
        if partition in self._holdings.shards:
            hear(self, partition, *record)

    patch.setattr(Controls, "hear", hear_if_here)


DOUBLED = "positions went back|the sequence is|rows are|memory is"
REFUSED = "GroupReset|ShardLost"
NOTICED_BY = {
    offsets_need_not_be_stable: f"{REFUSED}|{DOUBLED}",
    the_changelog_is_read_before_the_offsets_are_stable: f"{REFUSED}|{DOUBLED}",
    offsets_that_move_are_called_a_reset: "GroupReset",
    cuts_have_the_identity_of_nobody: DOUBLED,
    cuts_have_the_identity_of_the_moment: DOUBLED,
    memory_is_kept_after_a_failed_cut: DOUBLED,
    the_producer_is_kept_after_a_failed_cut: "not settled",
    batches_of_an_older_epoch_are_applied: "came again|KeyError",
    shards_are_kept_whatever_the_log_says: DOUBLED,
    what_is_pending_survives_the_shards: "KeyError",
    the_duplicate_window_is_not_read_back: DOUBLED,
    a_run_mode_that_comes_during_a_takeover_is_dropped: "goes on as of control",
}


def run_all_seeds(mutation):
    for seed in SEEDS:
        Simulation(seed).run(mutation)


@pytest.mark.parametrize("mutation", NOTICED_BY, ids=lambda mutation: mutation.__name__)
def test_it_is_noticed_if(mutation):
    with pytest.raises(Violation, match=NOTICED_BY[mutation]):
        run_all_seeds(mutation)
