from __future__ import annotations

import pytest

from streams.metrics import CUT_SECONDS, EVENTS, HOLDS, LAG_RECORDS, METRICS, RESENDS, Metric, Metrics


def test_counters_end_in_total_and_the_others_do_not():
    assert all(metric.name.endswith("_total") == (metric.kind == "counter") for metric in METRICS)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_what_was_recorded_is_read_back_and_rendered():
    metrics = Metrics()
    metrics.add(EVENTS, 1000, "orders")
    metrics.add(RESENDS)
    metrics.add_each(HOLDS, {"cooldown": 2, "no_policy": 3})
    metrics.set(LAG_RECORDS, 12, "orders", "3")
    metrics.observe(CUT_SECONDS, 0.011)

    page = metrics.render().decode()

    assert 'repricer_events_total{topic="orders"} 1000.0' in page
    assert 'repricer_cut_seconds_bucket{le="0.02"} 1.0' in page
    assert [metrics.value(HOLDS, reason) for reason in ("cooldown", "no_policy", "floor")] == [2, 3, 0]
    assert metrics.value(CUT_SECONDS) == 1


def test_a_partition_given_up_has_no_lag():
    metrics = Metrics()
    metrics.set(LAG_RECORDS, 12, "orders", "3")
    metrics.forget(LAG_RECORDS, "orders", "3")

    assert b'partition="3"' not in metrics.render()


def test_a_metric_outside_the_list_is_refused():
    with pytest.raises(KeyError):
        Metrics().add(Metric("repricer_new_total", "counter", "things", "Not in the list."))
