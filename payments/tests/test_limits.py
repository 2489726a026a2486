"""How much one payment may be, and what pages say of it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from django.template import Context, Template

from core.money import SOLD_CURRENCIES
from ledger.errors import InsufficientFunds
from payments.forms import TopUpForm
from payments.limits import LIMITS, missing


@pytest.mark.parametrize(
    ("minor", "currency", "amount_minor", "payments"),
    [
        (1, "EUR", 100, 1),
        (100, "EUR", 100, 1),
        (1_234, "GBP", 1_234, 1),
        (100_000, "EUR", 100_000, 1),
        (100_001, "EUR", 100_000, 2),
        (232_000, "EUR", 100_000, 3),
        (50, "JPY", 100, 1),
        (150_000, "JPY", 150_000, 1),
        (400_000, "JPY", 150_000, 3),
    ],
)
def test_a_missing_sum_becomes_payments_that_are_taken(minor, currency, amount_minor, payments):
    assert missing(minor, currency) == (amount_minor, payments)


def test_every_currency_we_sell_in_can_be_paid_in():
    assert set(LIMITS) == set(SOLD_CURRENCIES)
    assert all(0 < lowest < highest for lowest, highest in LIMITS.values())


def rendered(template: str, **context) -> str:
    return Template("{% load top_up %}" + template).render(Context(context))


LINK = "{% top_up_url refusal '/here/' %} {% top_up_words refusal %}"


@pytest.mark.parametrize(
    ("missing_minor", "currency", "amount", "words"),
    [
        (50, "JPY", "100", "Add the missing money"),
        (1_950, "EUR", "19.50", "Add the missing money"),
        (232_000, "EUR", "1000.00", "Add the missing money in 3 payments"),
    ],
)
def test_the_link_asks_for_what_one_payment_may_be(missing_minor, currency, amount, words):
    refusal = InsufficientFunds(available_minor=50, needed_minor=50 + missing_minor, currency=currency)

    url, _, said = rendered(LINK, refusal=refusal).replace("&amp;", "&").partition(" ")

    assert said == words
    assert parse_qs(urlsplit(url).query) == {"amount": [amount], "currency": [currency], "next": ["/here/"]}


def test_missing_play_money_is_not_offered_for_sale():
    refusal = InsufficientFunds(available_minor=0, needed_minor=500, currency="PLAY")

    assert rendered(LINK, refusal=refusal) == "/wallet/ See your wallet"
    assert rendered("{% top_up_data 'PLAY' %}") == 'data-exponent="2"'


def test_a_form_that_costs_money_says_what_its_script_needs():
    assert rendered("{% top_up_data 'JPY' %}") == (
        'data-exponent="0" data-top-up-url="/pay/" data-top-up-min="100" data-top-up-max="150000"'
    )


def test_the_form_to_top_up_says_the_limits():
    assert TopUpForm().fields["amount"].help_text.startswith("1.00 to 1,000.00 (JPY 100 to 150,000) at a time")
