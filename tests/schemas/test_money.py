from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import (
    ALPHA_CODES,
    CURRENCIES,
    CurrencyMismatch,
    Money,
    UnknownCurrency,
    divide_down,
    divide_half_even,
    divide_up,
    ending_at_or_above,
    ending_at_or_below,
    parse_major,
)

AMOUNTS = st.integers(-(10**13), 10**13)
CODES = st.sampled_from(sorted(CURRENCIES))


def test_every_currency_has_its_own_numeric_code():
    assert len(CURRENCIES) == len(ALPHA_CODES) > 150


@pytest.mark.parametrize(
    ("code", "numeric", "exponent"),
    [("EUR", 978, 2), ("JPY", 392, 0), ("KWD", 414, 3), ("CLF", 990, 4), ("ALL", 8, 2)],
)
def test_currency_table_agrees_with_iso_4217(code, numeric, exponent):
    assert CURRENCIES[code] == (code, numeric, exponent)


@given(AMOUNTS, AMOUNTS, CODES)
def test_money_adds_and_compares_like_its_minor_units(a, b, code):
    assert Money(a, code) + Money(b, code) == Money(a + b, code)
    assert Money(a, code) - Money(b, code) == Money(a - b, code)
    assert (Money(a, code) < Money(b, code)) == (a < b)


@given(AMOUNTS, CODES)
def test_money_survives_its_own_text(amount, code):
    money = Money(amount, code)
    assert Money.parse(str(money).removesuffix(f" {code}"), code) == money


def test_different_currencies_never_mix():
    for operation in ("__add__", "__sub__", "__lt__"):
        with pytest.raises(CurrencyMismatch):
            getattr(Money(1, "EUR"), operation)(Money(1, "USD"))
    assert Money(1, "EUR") != Money(1, "USD")


@pytest.mark.parametrize("number", [1.0, float("nan"), True, np.int64(1), "1", None])
def test_only_whole_minor_units_are_money(number):
    with pytest.raises(TypeError):
        Money(number, "EUR")
    with pytest.raises(TypeError):
        Money(1, "EUR") * number
    with pytest.raises(TypeError):
        Money(1, "EUR") + number


@pytest.mark.parametrize("code", ["EURO", "eur", "", "XXX", "XAU", "ZZZ"])
def test_unknown_currencies_are_refused(code):
    with pytest.raises(UnknownCurrency):
        Money(1, code)


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**20))
def test_rounding_does_what_its_name_says(numerator, denominator):
    exact = Fraction(numerator, denominator)
    assert divide_down(numerator, denominator) == exact.__floor__()
    assert divide_up(numerator, denominator) == exact.__ceil__()
    assert divide_half_even(numerator, denominator) == round(exact)  # Fraction rounds half to even


@pytest.mark.parametrize(("numerator", "rounded"), [(5, 0), (15, 2), (25, 2), (-5, 0), (-15, -2), (26, 3), (24, 2)])
def test_a_tie_goes_to_the_even_neighbour(numerator, rounded):
    assert divide_half_even(numerator, 10) == rounded


@given(st.lists(st.tuples(AMOUNTS, st.integers(1, 10**13)), min_size=1))
def test_rounding_of_arrays_equals_rounding_of_integers(pairs):
    numerators, denominators = np.array(pairs, np.int64).T
    for divide in (divide_down, divide_up, divide_half_even):
        rounded = divide(numerators, denominators)
        assert rounded.dtype == np.int64
        assert rounded.tolist() == [divide(n, d) for n, d in pairs]


@given(st.integers(0, 10**13), st.integers(0, 4), st.data())
def test_endings_are_the_nearest_prices_that_end_so(price, digits, data):
    modulus = 10**digits
    ending = data.draw(st.integers(0, modulus - 1))
    above, below = ending_at_or_above(price, ending, modulus), ending_at_or_below(price, ending, modulus)
    assert above % modulus == below % modulus == ending
    assert price <= above < price + modulus
    assert price - modulus < below <= price


def test_endings_work_on_columns_where_some_rows_have_none():
    prices, endings, moduli = (np.array(c, np.int64) for c in ([1234, 1299, 1234], [99, 99, -1], [100, 100, 1]))
    assert ending_at_or_above(prices, endings, moduli).tolist() == [1299, 1299, 1234]
    assert ending_at_or_below(prices, endings, moduli).tolist() == [1199, 1299, 1234]


@pytest.mark.parametrize(
    ("text", "exponent", "minor"),
    [
        ("12.99", 2, 1299),
        ("12.9", 2, 1290),
        ("12", 2, 1200),
        ("12.", 2, 1200),
        ("12.9900", 2, 1299),  # zeros beyond the exponent say nothing
        (" 7 ", 0, 7),
        ("-0.01", 2, -1),
        ("+3.001", 3, 3001),
        ("90071992547409.93", 2, 9007199254740993),  # a double would lose the last digit
    ],
)
def test_decimal_text_becomes_exact_minor_units(text, exponent, minor):
    assert parse_major(text, exponent) == minor


@pytest.mark.parametrize("text", ["", ".", ".5", "1,99", "1e3", "nan", "12.999", "١٢", "1 000", "0x1", "1" * 40])
def test_anything_but_a_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="decimal"):
        parse_major(text, 2)
