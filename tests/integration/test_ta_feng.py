"""Four months of a real supermarket through the worker: every unit and every amount must be there at the end.

The data: Ta Feng, Taiwan, November 2000 to February 2001; 817,741 lines with quantity (AMOUNT), cost (ASSET) and
SALES_PRICE in New Taiwan dollars. Its SALES_PRICE is what the whole line costs, not one piece, and so is ASSET:
the first test shows it.
"""

import signal
import uuid

import numpy as np
import polars as pl
import pytest

from schemas.topics import CHANGELOG, DEAD_LETTERS, ORDERS
from streams.changelog import SHARD_KEY
from streams.publish.command import publish_csv
from streams.settings import Settings
from streams.topic_admin import TopicAdmin
from tests.integration.recomputation import check_log, latest
from tests.integration.worker_process import read_committed, running_worker, wait_until_read

ROWS, SKUS = 817_741, 23_812
MINOR_UNITS = 100  # of a New Taiwan dollar
MAPPING = (
    "type=const:placed",
    "channel=const:ta-feng",
    "currency=const:TWD",
    "order_id=CUSTOMER_ID",
    "sku=PRODUCT_ID",
    "quantity=AMOUNT",
    "line_total=SALES_PRICE",
    "occurred_at=TRANSACTION_DT",
)


def test_the_sales_price_is_of_the_line_and_not_of_a_piece(ta_feng):
    lines = pl.read_csv(ta_feng)
    single = lines.filter(pl.col("AMOUNT") == 1).group_by("PRODUCT_ID").agg(piece=pl.col("SALES_PRICE").median())
    several = lines.filter(pl.col("AMOUNT") > 1).join(single, on="PRODUCT_ID")
    ratios = several.group_by("AMOUNT").agg(ratio=(pl.col("SALES_PRICE") / pl.col("piece")).median(), lines=pl.len())
    for amount, ratio, _ in ratios.filter(pl.col("lines") > 1000).rows():
        assert ratio == pytest.approx(amount, rel=0.05)


@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_every_line_of_the_supermarket_is_in_the_state_to_the_last_unit(kafka, ta_feng, tmp_path):
    name = f"tafeng{uuid.uuid4().hex[:8]}"
    settings = Settings(bootstrap_servers=kafka, topic_prefix=name, group=name, instance="a", partitions=4)
    TopicAdmin(settings).apply()
    published = publish_csv(settings, "orders", ta_feng, MAPPING, time_format="%m/%d/%Y", progress=False)
    assert (published.rows, published.delivered, published.rejects.count) == (ROWS, ROWS, 0)

    with running_worker(settings, tmp_path / "worker.log") as worker:
        wait_until_read(worker, settings, ORDERS, deadline_s=300)
        assert worker.end(signal.SIGTERM) == 0

    assert read_committed(settings, DEAD_LETTERS) == []
    in_the_state, in_the_file = totals_in_the_state(settings), totals_in_the_file(ta_feng)
    assert len(in_the_file) == SKUS
    assert in_the_state == in_the_file
    check_log(settings)


def totals_in_the_file(path):
    """Units, revenue in minor units, and rows of every SKU, straight from the file."""
    lines = pl.read_csv(path, schema_overrides={"PRODUCT_ID": pl.String})  # some begin with zeros
    sums = lines.group_by("PRODUCT_ID").agg(pl.col("AMOUNT").sum(), pl.col("SALES_PRICE").sum() * MINOR_UNITS, pl.len())
    return {f"ta-feng:{sku}".encode(): (units, revenue, rows) for sku, units, revenue, rows in sums.rows()}


def totals_in_the_state(settings):
    """The same from the last state row of every offer in the changelog."""
    from pricing_core.state import ROW, TOTALS

    records = read_committed(settings, CHANGELOG)
    rows = latest((record.key(), record.value()) for record in records if record.key() != SHARD_KEY)
    totals = np.frombuffer(b"".join(rows.values()), ROW)["totals"]
    wanted = totals[:, [TOTALS.index(total) for total in ("units_placed", "amount_placed", "order_rows")]]
    return dict(zip(rows, map(tuple, wanted.tolist()), strict=True))
