from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from core.money import EXPONENTS, MINOR_MAX, Money, MoneyError, amount_text, parse_money, share_bps, sold_in


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("0", "EUR", 0),
        ("10", "EUR", 1_000),
        ("10.5", "EUR", 1_050),
        ("10.50", "EUR", 1_050),
        ("0.01", "EUR", 1),
        ("19.99", "EUR", 1_999),
        ("1999", "JPY", 1_999),
        ("10000000000", "EUR", MINOR_MAX),
    ],
)
def test_plain_amounts_are_read(text, currency, minor):
    assert parse_money(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-1", "+1", "1e2", "1E2", "0x10", "1_000", "1,000", "1.000", "1.234,56", "1,234.56", "1 000", "1,", ",5", "1,5,0",
        "\uff11\uff12", "\u0663", " 7", "7 ", "7\n",
        "07", "00", ".5", "5.", "1.234", "NaN", "inf", "-0", "½", "1.2.3", "10000000000.01", "9" * 14, "1\x00", "true", "€1",
    ],
)  # fmt: skip
def test_everything_else_is_refused(text):
    with pytest.raises(MoneyError):
        parse_money(text, "EUR")


@pytest.mark.parametrize(("text", "minor"), [("10,50", 1_050), ("10,5", 1_050), ("0,05", 5), ("1234,56", 123_456)])
def test_a_comma_parts_the_cents_where_keypads_have_no_point(text, minor):
    assert parse_money(text, "EUR") == Money(minor, "EUR")


@pytest.mark.parametrize(("text", "currency"), [("1,0", "JPY"), ("1.0", "JPY"), ("1", "XXX"), ("1", "eur"), ("1", "")])
def test_an_amount_fits_its_currency(text, currency):
    with pytest.raises(MoneyError):
        parse_money(text, currency)


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(1_999, "EUR"), "€19.99"),
        (Money(-1, "EUR"), "-€0.01"),
        (Money(123_456_789, "USD"), "$1,234,567.89"),
        (Money(1_999, "JPY"), "¥1,999"),
        (Money(100, "PLAY"), "1.00 PLAY"),
    ],
)
def test_money_is_written_for_people(money, text):
    assert str(money) == text


@given(st.integers(0, MINOR_MAX), st.sampled_from(sorted(EXPONENTS)))
def test_what_is_written_is_read_back(minor, currency):
    assert parse_money(amount_text(minor, currency), currency) == Money(minor, currency)


@given(st.text())
def test_no_text_is_read_as_a_wrong_amount(text):
    try:
        money = parse_money(text, "EUR")
    except MoneyError:
        return
    assert text.isascii()
    assert 0 <= money.minor <= MINOR_MAX
    assert float(text) * 100 == pytest.approx(money.minor)


def test_currencies_never_mix():
    with pytest.raises(AssertionError):
        Money(1, "EUR") + Money(1, "PLAY")
    with pytest.raises(AssertionError):
        Money(1.0, "EUR")


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(0, 10_000))
def test_a_share_is_rounded_down_and_never_more_than_the_whole(totals, rate_bps):
    shares = [share_bps(total, rate_bps) for total in totals]

    assert all(0 <= share <= total for share, total in zip(shares, totals, strict=True))
    assert all(total * rate_bps - share * 10_000 < 10_000 for share, total in zip(shares, totals, strict=True))
    assert sum(shares) <= share_bps(sum(totals), rate_bps)


@pytest.mark.parametrize("currency", ["PLAY", "XXX", "", "eur"])
def test_goods_are_sold_for_money_that_is_money(currency):
    assert sold_in("JPY") == "JPY"
    with pytest.raises(Invalid) as refusal:
        sold_in(currency)
    assert refusal.value.data == {"field": "currency"}
