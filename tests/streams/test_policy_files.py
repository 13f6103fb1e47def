"""Policies as CSV: what is written is read back, and what would change is said before it does."""

import csv

import pytest
from msgspec.structs import replace

from schemas.examples import POLICY
from streams.errors import InputRefused
from streams.operate.policy_export import FIELDS, write_policies
from streams.operate.policy_import import plan, require_sound

OTHER = replace(POLICY, sku="SKU-2", channel="shop", currency="JPY", competitors=["a", "Müller"], version=9)
KNOWN = {"web:SKU-1": POLICY, "shop:SKU-2": OTHER}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "policies.csv"


def write(file, header, *lines):
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header.split(","), *(line.split(",") for line in lines)])
    return file


def test_what_was_exported_changes_nothing_when_it_is_imported(file):
    assert write_policies(file, KNOWN.values()) == 2
    found = plan(file, KNOWN)
    assert (found.edits, found.faults, found.unchanged) == ([], [], 2)


def test_what_was_exported_makes_the_same_policies_where_there_are_none(file):
    write_policies(file, [replace(POLICY, version=0), replace(OTHER, version=0)])
    made = {edit.policy.sku: edit.policy for edit in plan(file, {}).edits}
    for policy in KNOWN.values():
        assert made[policy.sku] == replace(policy, version=1, updated_at=made[policy.sku].updated_at)


def test_a_column_that_is_not_there_leaves_the_field_as_it_is_and_the_version_grows(file):
    write(file, "sku,channel,currency,floor,map_price", "SKU-1,web,EUR,9.50,", "SKU-2,shop,JPY,900,")
    found = plan(file, KNOWN)
    assert found.unchanged == 1
    (edit,) = found.edits
    assert edit.policy == replace(POLICY, floor=950, version=4, updated_at=edit.policy.updated_at)
    assert edit.before == POLICY


FAULTS = {
    "SKU-1,web,EUR,nine,19.99,3": "floor: 'nine' is not a plain decimal amount",
    "SKU-1,web,EUR,9.999,19.99,3": "floor: '9.999' is not a plain decimal amount",
    "SKU-1,web,EUR,20.00,19.99,3": "floor 2000 is above ceiling 1999",
    "SKU-1,web,EUR,9.50,19.99,2": "in force is 3: export again",
    "SKU-9,web,EUR,9.50,19.99,0": "needs the columns unit_cost, list_price",
    "SKU-1,web,XQZ,9.50,19.99,3": "unknown_currency",
    "SKU-1,web,USD,9.50,19.99,3": "is in EUR: amounts in USD need the columns unit_cost, list_price",
    "SKU-1,web,EUR,-1,19.99,3": "schema_violation",
}


@pytest.mark.parametrize("line", FAULTS)
def test_a_line_that_cannot_be_imported_is_named_and_nothing_of_the_file_is(file, line):
    write(file, "sku,channel,currency,floor,ceiling,version", "SKU-2,shop,JPY,901,1999,9", line)
    found = plan(file, KNOWN)
    ((number, what),) = found.faults
    assert number == 3
    assert FAULTS[line] in what
    with pytest.raises(InputRefused, match="1 lines cannot be imported, so none is"):
        require_sound(file, found)


def test_an_offer_on_two_lines_is_a_fault_of_the_second(file):
    write(file, "sku,channel,currency,floor", "SKU-1,web,EUR,9.50", "SKU-1,web,EUR,9.60")
    found = plan(file, KNOWN)
    assert [fault.line for fault in found.faults] == [3]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("sku,channel,currency,flor", "no field is called flor"),
        ("sku,channel,floor", "no column currency"),
    ],
)
def test_columns_of_nothing_are_refused(file, header, says):
    write(file, header, ",".join("1" for _ in header.split(",")))
    with pytest.raises(InputRefused, match=says):
        plan(file, KNOWN)


def test_names_that_a_cell_cannot_say_are_not_written_as_others(file):
    with pytest.raises(InputRefused, match="a cell cannot say"):
        write_policies(file, [replace(POLICY, competitors=["a;b"])])


def test_every_field_of_a_policy_is_a_column(file):
    write_policies(file, [POLICY])
    with file.open(encoding="utf-8") as written:
        assert next(csv.reader(written)) == list(FIELDS) == list(POLICY.__struct_fields__)
