import csv
import time

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from schemas import examples as ex
from schemas.binary import BinaryArray
from schemas.codec import decoder_for
from schemas.currencies import CURRENCIES
from schemas.events import ClickRecorded, CompetitorPriceObserved, InventoryCounted, OrderRecorded
from schemas.money import Money
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms, parse_ms
from schemas.topics import ORDERS
from streams.embedded_broker import PARTITIONS, EmbeddedBroker
from streams.errors import BrokerUnreachable, InputRefused
from streams.partitioner import partition_of
from streams.publish.command import TARGETS, publish_csv
from streams.publish.convert import Converter
from streams.publish.csv_file import CsvFile
from streams.publish.delivery import Delivery, NotDelivered, Pace
from streams.publish.mapping import complete, fields_of, parse
from streams.settings import Settings

ORDER_MAPPING = ("type=const:placed", "channel=const:web", "currency=const:EUR", "order_id=ticket", "line_total=paid")
ORDER_FILE = """\
ticket,sku,quantity,paid,occurred_at
A1,SKU-1,2,25.98,2026-09-01T10:00:00Z
A2,SKU-2,1,7,2026-09-01
A3,SKU-1,1,0.5,2026-09-01 10:00:02
"""


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker("repricer") as server:
        yield server


@pytest.fixture
def settings(broker):
    return Settings(bootstrap_servers=broker.bootstrap_servers)


def written(tmp_path, text, name="orders.csv"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def converted(path, struct, mapping, time_format=None):
    """Records of a small file, and the decoded structs."""
    file = CsvFile(path)
    topic = next(topic for topic in TARGETS.values() if topic.type is struct)
    whole = complete(parse(mapping), struct, file.columns)
    convert = Converter(struct, whole, decoder_for(topic), file_digest=file.digest, time_format=time_format)
    (table,) = file.tables()
    records = convert(table, 2, ex.NOW)
    return records, [msgspec.json.decode(value, type=struct) for value in records.values]


def read_all(servers, topic):
    """Every record of a topic on the embedded broker."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    records, ended = [], 0
    while ended < PARTITIONS:
        for record in consumer.consume(1, 5.0):
            if record.error():
                ended += 1
            else:
                records.append(record)
    consumer.close()
    return records


def test_the_rows_of_a_file_arrive_as_events_where_java_would_put_them(broker, tmp_path):
    broker.create_topics(["fresh.orders"])
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix="fresh")
    published = publish_csv(settings, "orders", written(tmp_path, ORDER_FILE), ORDER_MAPPING, progress=False)
    assert (published.rows, published.delivered, published.rejects.count) == (3, 3, 0)

    records = read_all(settings.bootstrap_servers, "fresh.orders")
    for record in records:
        assert record.partition() == partition_of(record.key(), PARTITIONS)
        assert dict(record.headers())["ce_type"] == b"repricer.order-recorded.v1"
    keys, values = BinaryArray.of(r.key() for r in records), BinaryArray.of(r.value() for r in records)
    decoded = decoder_for(ORDERS)(keys, values, ex.NOW)
    assert decoded.rejects == []
    rows = zip(decoded.columns.keys, decoded.columns.quantity.tolist(), decoded.columns.amount.tolist(), strict=True)
    assert sorted(rows) == [(b"web:SKU-1", 1, 50), (b"web:SKU-1", 2, 2598), (b"web:SKU-2", 1, 700)]


def test_the_same_file_gives_the_same_event_ids_and_another_file_others(tmp_path):
    first, _ = converted(written(tmp_path, ORDER_FILE), OrderRecorded, ORDER_MAPPING)
    again, _ = converted(written(tmp_path, ORDER_FILE, "copy.csv"), OrderRecorded, ORDER_MAPPING)
    other, _ = converted(written(tmp_path, ORDER_FILE.replace("A1", "B1")), OrderRecorded, ORDER_MAPPING)
    assert first.event_ids == again.event_ids
    assert len(set(first.event_ids) | set(other.event_ids)) == 6


def test_bad_rows_are_listed_with_line_and_reason_and_the_others_go_on(settings, tmp_path):
    text = ORDER_FILE + (
        "A4,SKU-1,two,1.00,2026-09-01T10:00:00Z\n"
        "A5,SKU-1,1,1.005,2026-09-01T10:00:00Z\n"
        "A6,SKU-1,0,1.00,2026-09-01T10:00:00Z\n"
        "A7,,1,1.00,2026-09-01T10:00:00Z\n"
        "A8,SKU-1,1,1.00,1 September\n"
        "A9,SKU-1,1,1.00,2099-09-01T10:00:00Z\n"
    )
    path = written(tmp_path, text, "mixed.csv")
    published = publish_csv(settings, "orders", path, ORDER_MAPPING, progress=False)
    assert (published.rows, published.delivered) == (9, 3)
    assert [(line, reject.reason) for line, reject in published.rejects.first] == [
        (5, "schema_violation"),
        (6, "schema_violation"),
        (7, "schema_violation"),
        (8, "schema_violation"),
        (9, "invalid_timestamp"),
        (10, "future_timestamp"),
    ]
    with (tmp_path / "mixed.rejects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["ticket"] for row in rows] == ["A4", "A5", "A6", "A7", "A8", "A9"]
    assert rows[1]["detail"] == "line_total: '1.005' is not a plain decimal amount of the currency"


def test_a_clean_run_leaves_no_rejects_of_an_earlier_one(settings, tmp_path):
    path = written(tmp_path, ORDER_FILE)
    stale = tmp_path / "orders.rejects.csv"
    stale.write_text("line,reason,detail\n")
    publish_csv(settings, "orders", path, ORDER_MAPPING, progress=False)
    assert not stale.exists()


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.sampled_from(sorted(CURRENCIES))), min_size=1))
def test_amounts_of_every_currency_become_exact_minor_units(tmp_path_factory, amounts):
    lines = [str(Money(amount, code)).replace(" ", ",") for amount, code in amounts]
    path = written(tmp_path_factory.mktemp("money"), "line_total,currency\n" + "\n".join(lines))
    rest = ["type=const:placed", "order_id=const:1", "sku=const:S", "channel=const:c", "quantity=const:1"]
    records, orders = converted(path, OrderRecorded, [*rest, "occurred_at=const:2026-09-01"])
    assert [order.line_total for order in orders] == [amount for amount, _ in amounts if amount >= 0]
    assert [reject.index for reject in records.rejects] == [i for i, (amount, _) in enumerate(amounts) if amount < 0]


def test_clicks_need_a_currency_to_know_the_digits_of_their_price(tmp_path):
    text = "kind,sku,channel,price_shown,occurred_at\nimpression,SKU-1,web,1299,2026-09-01\n"
    path = written(tmp_path, text)
    with pytest.raises(InputRefused, match="currency"):
        converted(path, ClickRecorded, [])
    _, (click,) = converted(path, ClickRecorded, ["currency=const:JPY"])
    assert (click.price_shown, click.count) == (1299, 1)


def test_empty_cells_are_the_defaults_and_nulls_of_the_event(tmp_path):
    text = (
        "sku,channel,version,currency,unit_cost,list_price,floor,ceiling,updated_at,mode,min_margin_bp,"
        "prices_include_tax,cooldown_s\n"
        "SKU-1,web,1,EUR,7.00,12.99,9,19.99,2026-09-01,,,no,\n"
    )
    _, (policy,) = converted(written(tmp_path, text), OfferPolicy, [])
    assert (policy.unit_cost, policy.floor, policy.ceiling) == (700, 900, 1999)
    assert (policy.mode, policy.min_margin_bp, policy.prices_include_tax, policy.cooldown_s) == (
        "auto",
        None,
        False,
        3600,
    )


def test_competitors_of_a_policy_are_names_with_semicolons_between_them(tmp_path):
    text = "sku,competitors\nSKU-1,Müller;a\nSKU-2,\n"
    plain = {"version": 1, "unit_cost": 7, "list_price": 13, "floor": 9, "ceiling": 20, "updated_at": "2026-09-01"}
    mapping = [f"{name}=const:{value}" for name, value in plain.items()]
    _, policies = converted(written(tmp_path, text), OfferPolicy, [*mapping, "channel=const:web", "currency=const:EUR"])
    assert [policy.competitors for policy in policies] == [["Müller", "a"], None]


def test_times_of_other_forms_are_read_with_a_format(tmp_path):
    path = written(tmp_path, "sku,channel,on_hand,when\nSKU-1,web,3,9/1/2026 2:05 PM\nSKU-1,web,3,2026-09-01\n")
    mapping = ["on_hand=on_hand", "occurred_at=when"]
    records, (stock,) = converted(path, InventoryCounted, mapping, "%m/%d/%Y %I:%M %p")
    assert parse_ms(stock.occurred_at) == parse_ms("2026-09-01T14:05:00Z")
    assert records.rejects[0].detail == "occurred_at: '2026-09-01' is not a time of the given format"


def test_flags_are_read_as_people_write_them(tmp_path):
    rows = "".join(f"SKU-1,web,Rival,1,EUR,2026-09-01,{flag}\n" for flag in ("True", "0", "Yes", "n", "maybe", ""))
    path = written(tmp_path, f"sku,channel,competitor,price,currency,observed_at,in_stock\n{rows}")
    records, observed = converted(path, CompetitorPriceObserved, [])
    assert [event.in_stock for event in observed] == [True, False, True, False, True]  # an empty cell is the default
    assert [reject.index for reject in records.rejects] == [4]


@pytest.mark.parametrize(
    ("mapping", "complaint"),
    [
        (["type"], "write field=column"),
        (["type=a", "type=b"], "twice"),
        (["colour=ticket"], "no field colour"),
        (["type=const:placed", "order_id=nowhere"], "no column nowhere"),
        (["type=const:placed"], "nothing says what channel, currency, line_total, order_id is"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_with_what_is_wrong(settings, tmp_path, mapping, complaint):
    with pytest.raises(InputRefused, match=complaint):
        publish_csv(settings, "orders", written(tmp_path, ORDER_FILE), mapping, progress=False)


@pytest.mark.parametrize("content", [b"", b'a,b\n1,2,3\n"', b"sku,\xff\n"])
def test_a_file_that_is_no_csv_is_refused(settings, tmp_path, content):
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(InputRefused):
        publish_csv(settings, "orders", path, ORDER_MAPPING, progress=False)


def test_a_file_without_one_good_row_is_refused(settings, tmp_path):
    path = written(tmp_path, ORDER_FILE.splitlines()[0] + "\nA1,SKU-1,-1,1,2026-09-01\n")
    with pytest.raises(InputRefused, match=r"every row was rejected; line 2: schema_violation"):
        publish_csv(settings, "orders", path, ORDER_MAPPING, progress=False)


def test_event_time_passes_at_the_pace_that_was_asked_for():
    now = [100.0]
    pace = Pace(10.0, clock=lambda: now[0])
    assert pace.seconds_until(50_000) == 0
    now[0] = 101.0
    assert pace.seconds_until(80_000) == 2.0  # 30 s of events take 3 s, 1 of them is over
    assert pace.seconds_until(55_000) < 0  # late already: at once


def test_a_paced_file_takes_its_time(settings, tmp_path):
    began = time.monotonic()
    rows = "".join(f"A{i},SKU-1,1,1,{format_ms(ex.NOW + i * 1000)}\n" for i in range(4))
    path = written(tmp_path, ORDER_FILE.splitlines()[0] + "\n" + rows)
    publish_csv(settings, "orders", path, ORDER_MAPPING, pace=10.0, progress=False)
    assert time.monotonic() - began >= 0.3


def test_a_queue_that_is_full_makes_the_publisher_wait(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("streams.publish.delivery.QUEUE_MESSAGES", 10)
    rows = "".join(f"A{i},SKU-{i},1,1,2026-09-01\n" for i in range(500))
    path = written(tmp_path, ORDER_FILE.splitlines()[0] + "\n" + rows)
    assert publish_csv(settings, "orders", path, ORDER_MAPPING, progress=False).delivered == 500


def test_a_broker_that_goes_away_is_told_with_the_number_of_records_that_arrived(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.publish.delivery.GIVE_UP_MS", 1500)
    records, _ = converted(written(tmp_path, ORDER_FILE), OrderRecorded, ORDER_MAPPING)
    from schemas.cloud_events import ORDER_RECORDED

    broker = EmbeddedBroker("repricer")
    settings = Settings(bootstrap_servers=broker.bootstrap_servers)
    delivery = Delivery(settings, "repricer.orders", ORDER_RECORDED, "/csv/test")
    delivery.send(records)
    delivery.finish()
    broker.close()
    delivery.send(records)
    with pytest.raises(NotDelivered, match=r"3 records were delivered, 3 refused"):
        delivery.finish()


def test_no_broker_is_told_at_once(tmp_path):
    settings = Settings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(BrokerUnreachable):
        publish_csv(settings, "orders", written(tmp_path, ORDER_FILE), ORDER_MAPPING, progress=False)


def test_every_field_of_every_target_has_a_kind_and_money_is_told_by_its_type():
    money = {
        name for topic in TARGETS.values() for name, field in fields_of(topic.type).items() if field.kind == "money"
    }
    assert money == {
        *("line_total", "price_shown", "price", "shipping"),
        *("unit_cost", "list_price", "floor", "ceiling", "fixed_fee", "map_price"),
        *("emergency_price", "promotion_price", "salvage_value"),
    }
