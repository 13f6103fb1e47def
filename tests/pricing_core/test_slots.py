import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing_core.grouping import Grouper
from pricing_core.slots import NO_SLOT, SlotTable
from schemas.binary import BinaryArray


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([0, 1, 2]), st.lists(st.integers(0, 12), max_size=6), st.booleans()), max_size=20
    )
)
def test_every_key_of_every_shard_has_a_row_of_its_own_while_there_are_any(steps):
    table, known = SlotTable(10), {shard: {} for shard in range(3)}
    for shard in known:
        table.open(shard)
    for shard, names, drop in steps:
        keys = [b"web:%d" % name for name in names]
        asked = BinaryArray.of(keys)
        assert table.known(shard, asked).tolist() == [known[shard].get(key, NO_SLOT) for key in keys]
        slots, created = table.find(shard, asked)
        new = dict(zip(keys, slots.tolist(), strict=True))
        assert set(created.tolist()) == {s for k, s in new.items() if k not in known[shard] and s != NO_SLOT}
        assert all(known[shard].get(key, slot) == slot for key, slot in new.items())
        known[shard] |= {key: slot for key, slot in new.items() if slot != NO_SLOT}
        if NO_SLOT in new.values():
            assert table.free == 0
        if drop:
            assert sorted(table.drop(shard).tolist()) == sorted(known[shard].values())
            known[shard] = {}
            table.open(shard)
    taken = [slot for of_shard in known.values() for slot in of_shard.values()]
    assert len(set(taken)) == len(taken) == 10 - table.free
    for shard, rows in known.items():
        assert list(table.keys(np.array(list(rows.values()), np.int64))) == list(rows)
        assert set(np.flatnonzero(table.owner == shard).tolist()) == set(rows.values())


def test_a_shard_is_opened_once():
    table = SlotTable(4)
    table.open(7)
    with pytest.raises(ValueError, match="shard 7 is open already"):
        table.open(7)


@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 3)), min_size=1, max_size=30),
)
def test_groups_agree_with_a_dictionary(rows):
    slots = np.array([slot for slot, _ in rows])
    values = np.array([value for _, value in rows])
    groups = Grouper(6)(slots)
    by_slot = {}
    for row, (slot, value) in enumerate(rows):
        by_slot.setdefault(slot, []).append((value, row))
    assert sorted(groups.touched.tolist()) == sorted(by_slot)
    assert groups.touched[groups.inverse].tolist() == slots.tolist()
    found = zip(
        groups.touched.tolist(),
        groups.sum(values.astype(float)).tolist(),
        groups.largest(values).tolist(),
        groups.smallest(values).tolist(),
        groups.first().tolist(),
        groups.latest(values).tolist(),
        strict=True,
    )
    for slot, total, largest, smallest, first, latest in found:
        of_slot = by_slot[slot]
        assert total == sum(value for value, _ in of_slot)
        assert (largest, smallest) == (max(of_slot)[0], min(of_slot)[0])
        assert (first, latest) == (of_slot[0][1], max(of_slot)[1])
