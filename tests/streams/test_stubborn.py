"""What counts as a failure at the same place."""

from streams.stubborn import StubbornPlaces
from streams.transport.partition import Partition

ORDERS, TICKS = Partition("orders", 0), Partition("ticks", 0)


def test_a_place_is_stubborn_though_others_move_on_between_its_failures():
    places = StubbornPlaces()
    assert [places.note({ORDERS: 7, TICKS: tick}) for tick in range(5)] == [1, 2, 3, 4, 5]


def test_a_place_that_moves_on_begins_anew():
    places = StubbornPlaces()
    assert [places.note({ORDERS: offset}) for offset in (7, 7, 8, 8, 8)] == [1, 2, 1, 2, 3]


def test_two_places_that_fail_in_turn_are_both_counted():
    places = StubbornPlaces()
    assert [places.note({tp: 7}) for tp in (ORDERS, TICKS, ORDERS, TICKS)] == [1, 1, 2, 2]
