"""`repricer learn-from-history`: a shop's files of known elasticities, files that are none, and a real supermarket."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from streams.errors import InputRefused
from streams.history.report import page
from streams.history.study import Files, read_past, study
from streams.replay.policy_file import read_policies

COMMAND = Path(sys.executable).with_name("repricer")
ELASTICITY = {"shoes": 1.7, "hats": 3.2}
OFFERS, WEEKS = 80, 16
COLUMNS = {
    "orders": "event_id,type,order_id,sku,channel,quantity,line_total,currency,occurred_at",
    "prices": "sku,channel,price,currency,applied_at",
    "stock": "event_id,sku,channel,on_hand,occurred_at",
    "policies": "sku,channel,version,currency,unit_cost,list_price,floor,ceiling,updated_at,category",
}


def day_of(number):
    return str(np.datetime64("2026-01-05") + number)


def write(folder, **files):
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join([COLUMNS[name], *lines]) + "\n", "utf-8")
    return Files(
        *(folder / f"{name}.csv" if name in files else None for name in ("orders", "prices", "policies", "stock"))
    )


def shop(*, empty_from=None, follows=0.0):
    """Two categories whose prices are set anew every week, a Monday; from a day on every fourth offer has no stock."""
    rng = np.random.default_rng(4)
    orders, prices, stock, policies = [], [], [], []
    for offer in range(OFFERS):
        category = list(ELASTICITY)[offer % 2]
        level, good = rng.lognormal(1.2, 0.5), 0.0
        policies.append(f"{offer},web,1,EUR,4.00,10.00,5.00,20.00,{day_of(0)},{category}")
        for day in range(7 * WEEKS):
            good = 0.9 * good + 0.1 * rng.normal()
            if day % 7 == 0:
                price = round(10.0 * float(np.exp(0.1 * rng.normal() + follows * good)), 2)
                prices.append(f"{offer},web,{price:.2f},EUR,{day_of(day)}")
            out = empty_from is not None and offer % 4 == 0 and day >= empty_from
            weekend = 1.5 if day % 7 > 4 else 1.0
            units = 0 if out else rng.poisson(level * weekend * np.exp(good) * (price / 10.0) ** -ELASTICITY[category])
            if out and day == empty_from:
                stock.append(f"s{offer},{offer},web,0,{day_of(day)}")
            if units:
                total = f"{units * price:.2f}"
                orders.append(
                    f"e{offer}-{day},placed,o{offer}-{day},{offer},web,{units},{total},EUR,{day_of(day)}T12:00:00Z"
                )
    return {"orders": orders, "prices": prices, "policies": policies} | ({"stock": stock} if stock else {})


def test_policies_come_out_with_what_the_past_lets_expect_and_can_be_published(tmp_path):
    files = write(tmp_path, **shop(empty_from=56))
    arguments = [str(files.orders), "--prices", files.prices, "--policies", files.policies, "--stock", files.stock]
    subprocess.run([COMMAND, "learn-from-history", *arguments, "--out", tmp_path / "out"], check=True, timeout=300)
    before, after = pl.read_csv(files.policies), pl.read_csv(tmp_path / "out" / "policies.csv")
    assert after.select(before.columns).equals(before)
    elasticity = {name: after.filter(pl.col("category") == name)["expected_elasticity_bp"] for name in ELASTICITY}
    for name, true in ELASTICITY.items():
        (said,) = elasticity[name].unique()
        assert abs(said / 10_000 - true) < 0.6
        assert abs(said / 10_000 - 2.5) < abs(true - 2.5) + 0.3
    orders = pl.read_csv(files.orders).group_by(pl.col("sku")).agg(pl.col("quantity").sum()).sort("sku")
    stocked = np.arange(OFFERS) % 4 > 0
    a_month = orders["quantity"].to_numpy()[stocked] / (7 * WEEKS) * 30
    said = after.sort("sku")["expected_monthly_units"].to_numpy()[stocked]
    assert np.abs(np.log(said / a_month)).max() < 0.4  # of the last 90 days, and at the list price
    policies = read_policies(tmp_path / "out" / "policies.csv", [])
    assert len(policies) == OFFERS
    assert {row["expected_elasticity_bp"][0] for row in policies.values()} == {s[0] for s in elasticity.values()}


def look_at(files, mapping=()):
    return study(read_past(files, list(mapping), None))


def of(found):
    return {one.name: one for one in found.categories}


@pytest.mark.parametrize("empty_from", [None, 56], ids=["always in stock", "stock-outs"])
def test_the_elasticity_of_each_category_is_covered(tmp_path, empty_from):
    found = look_at(write(tmp_path, **shop(empty_from=empty_from)))
    for name, true in ELASTICITY.items():
        one = of(found)[name]
        assert one.elasticity.lower < true < one.elasticity.upper
        assert one.elasticity.upper - one.elasticity.lower < 1.0
        assert abs(one.followed) < 3.0
    assert (found.days_without_stock > 0.1) == (empty_from is not None)
    assert found.weekdays["Sunday"] > 1.2
    assert found.weekdays["Monday"] < 1.0
    assert not found.prices_are_paid


def test_offers_that_were_taken_off_sale_teach_nothing_after_that(tmp_path):
    """At the end their prices were low, and then nobody bought: not because of the price."""
    files = shop()
    gone = {str(offer) for offer in range(OFFERS) if offer % 3 == 0}
    for name, sku, when in (("orders", 3, 8), ("prices", 0, 4)):
        kept = []
        for line in files[name]:
            fields = line.split(",")
            is_gone = fields[sku] in gone and fields[when][:10] >= day_of(70)
            kept += [] if is_gone else [line]
        files[name] = kept
    found = look_at(write(tmp_path, **files))
    assert found.days_off_sale == pytest.approx((1 / 3) * 42 / 112, abs=0.02)
    for name, true in ELASTICITY.items():
        assert of(found)[name].elasticity.lower < true < of(found)[name].elasticity.upper
    assert any("taken for gone" in warning for warning in found.warnings)


def test_an_offer_that_sells_seldom_or_not_at_another_price_is_still_on_sale(tmp_path):
    seldom = [f"e{day},placed,o{day},1,web,1,10.00,EUR,{day_of(day)}T12:00:00Z" for day in (0, 30, 60)]
    often = [f"f{day},placed,p{day},2,web,1,10.00,EUR,{day_of(day)}T12:00:00Z" for day in range(40)]
    last = [f"g,placed,q,3,web,1,10.00,EUR,{day_of(89)}T12:00:00Z"]
    prices = [f"{offer},web,10.00,EUR,{day_of(0)}" for offer in (1, 2, 3)] + [f"2,web,15.00,EUR,{day_of(40)}"]
    assert look_at(write(tmp_path, orders=seldom + often + last, prices=prices)).days_off_sale == 0.0


def test_prices_that_followed_demand_are_called_out(tmp_path):
    found = look_at(write(tmp_path, **shop(follows=0.6)))
    assert sum("rose after good days" in warning for warning in found.warnings) == 2


def test_prices_that_never_moved_teach_nothing_and_nothing_is_claimed(tmp_path):
    files = shop()
    first = [line for line in files["prices"] if line.endswith(day_of(0))]
    found = look_at(write(tmp_path, **files | {"prices": first}))
    assert all(one.elasticity is None and one.moved == 0 and "needed: 20" in one.obstacle for one in found.categories)
    assert "nothing is claimed" in page(found)


def test_without_a_file_of_prices_those_that_were_paid_stand_and_a_warning_says_so(tmp_path):
    files = shop()
    found = look_at(write(tmp_path, orders=files["orders"]))
    assert found.prices_are_paid
    assert any("give --prices" in warning for warning in found.warnings)


def test_a_day_on_which_the_price_changed_is_left_out(tmp_path):
    files = shop()
    midday = [f"{line}T13:00:00Z" for line in files["prices"]]
    found = look_at(write(tmp_path, **files | {"prices": midday}))
    assert found.days_of_two_prices == pytest.approx(1.0 / 7.0, abs=0.03)


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("orders", "x,placed,o,1,web,none,1.00,EUR,2026-01-05", "line 3: .*quantity"),
        ("orders", "x,placed,o,1,web,1,1.005,EUR,2026-01-05", "line 3: .*line_total"),
        ("prices", "1,web,0,EUR,2026-01-05", "line 3: "),
        ("prices", "1,web,9.00,JPY,2026-01-05", "several currencies|line 3: "),
        ("stock", "x,1,web,-1,2026-01-05", "line 3: .*on_hand"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path, name, line, says):
    good = {
        "orders": "e,placed,o,1,web,1,9.00,EUR,2026-01-05",
        "prices": "1,web,9.00,EUR,2026-01-05",
        "stock": "s,1,web,3,2026-01-05",
    }
    files = write(tmp_path, **{kind: [one, *([line] if kind == name else [])] for kind, one in good.items()})
    with pytest.raises(InputRefused, match=says):
        look_at(files)
    command = [COMMAND, "learn-from-history", files.orders, "--prices", files.prices, "--stock", files.stock]
    ended = subprocess.run([*command, "--out", tmp_path / "out"], capture_output=True, text=True, check=False)
    assert ended.returncode == 7
    assert not (tmp_path / "out").exists()


def test_a_mapping_names_its_file(tmp_path):
    files = write(tmp_path, orders=["e,placed,o,1,web,1,9.00,EUR,2026-01-05"])
    for wrong in ("sku=PRODUCT", "sales.sku=PRODUCT"):
        with pytest.raises(InputRefused, match=r"write FILE\.field=column"):
            look_at(files, [wrong])


@pytest.mark.timeout(580)
def test_a_backtest_of_files_is_an_opinion_and_says_so(tmp_path):
    files = write(tmp_path, **shop())
    command = [COMMAND, "backtest", files.orders, "--prices", files.prices]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert refused.returncode == 7
    assert "--policies" in refused.stderr
    command += ["--policies", files.policies, "--json"]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=500, check=True).stdout)
    assert said["evidence"].startswith("none")
    assert said["offers"] == OFFERS
    assert said["elasticity"] == pytest.approx(np.mean(list(ELASTICITY.values())), abs=0.35)
    assert said["lower"] < said["value"] < said["upper"]
    assert -0.5 < said["lower"] < said["upper"] < 0.5


@pytest.mark.timeout(580)
def test_a_real_supermarket_without_prices_is_read_whole_and_not_trusted(ta_feng, tmp_path):
    mapping = {
        "channel": "const:ta-feng",
        "currency": "const:TWD",
        "order_id": "CUSTOMER_ID",
        "sku": "PRODUCT_ID",
        "quantity": "AMOUNT",
        "line_total": "SALES_PRICE",
        "occurred_at": "TRANSACTION_DT",
    }
    maps = [part for field, column in mapping.items() for part in ("--map", f"orders.{field}={column}")]
    command = [COMMAND, "learn-from-history", ta_feng, "--out", tmp_path / "out", "--time-format", "%m/%d/%Y", "--json"]
    ended = subprocess.run([*command, *maps], capture_output=True, text=True, timeout=500, check=True)
    said = json.loads(ended.stdout)
    assert said == json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert (said["orders"], said["offers"]) == (817_741, 23_812)
    assert (said["first_day"], said["last_day"]) == ("2000-11-01", "2001-02-28")
    assert said["weekdays"]["Sunday"] > 1.3
    assert said["prices_are_paid"]
    (one,) = said["categories"]
    assert 10_000 < one["moved"] < one["offers"]
    assert 1.0 < one["elasticity"]["lower"] < one["elasticity"]["upper"] < 8.0
    assert any("not to be trusted" in warning for warning in said["warnings"])
