"""What may be drafted: only what can be sold here, paid for and settled."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from core.errors import Invalid
from core.money import MINOR_MAX, SOLD_CURRENCIES, WORTH_MAX
from drops import services as drops
from drops.models import UNITS_MAX, Settlement
from ledger import selectors as ledger
from ledger.models import Account, AccountKind
from rallies import services as rallies
from rallies.models import CAP_MAX
from rallies.pricing import PriceTier
from sales import services as sales
from sales.models import Sale, SaleState
from tests.tools.shop import (
    NOW,
    buy,
    drop_terms,
    join,
    make_drop,
    make_fans,
    make_rally,
    make_seller,
    rally_terms,
    wallet,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

NOT_SOLD = ["PLAY", "XXX", "", "eur"]


def refused_field(draft, terms) -> str:
    with pytest.raises(Invalid) as refusal:
        draft(**terms)
    assert Sale.objects.count() == 0
    return refusal.value.data["field"]


@pytest.mark.parametrize("currency", NOT_SOLD)
def test_nothing_is_sold_for_play_money_or_for_what_is_no_money(currency):
    assert refused_field(drops.draft_drop, drop_terms(currency=currency)) == "currency"
    assert refused_field(rallies.draft_rally, rally_terms(currency=currency)) == "currency"


@pytest.mark.parametrize("currency", ["PLAY", "XXX"])
def test_commands_sell_for_nothing_else_either(currency):
    shop = ["--seller", make_seller().handle, "--currency", currency]

    with pytest.raises(CommandError):
        call_command("open_drop", *shop, "--units", "3", "--price", "10.00")
    with pytest.raises(CommandError):
        call_command("open_rally", *shop, "--tiers", "1:10.00")
    assert Sale.objects.count() == 0


def test_everything_that_has_limits_of_payment_is_sold_in():
    for currency in SOLD_CURRENCIES:
        drops.draft_drop(**drop_terms(currency=currency))
        rallies.draft_rally(**rally_terms(currency=currency))
    assert Sale.objects.count() == 2 * len(SOLD_CURRENCIES)


@pytest.mark.parametrize(
    ("price_minor", "limit_per_fan", "units_total"),
    [
        (MINOR_MAX + 1, 1, 1),
        (MINOR_MAX // 2 + 1, 2, 10),
        (MINOR_MAX // 2 + 1, None, 2),  # no limit: an order may take all there is,
        (MINOR_MAX // 1_000 + 1, None, 5_000),  # up to what a request may ask for
        (WORTH_MAX // UNITS_MAX + 1, 1, UNITS_MAX),
    ],
)
def test_a_drop_whose_orders_could_not_be_paid_is_refused(price_minor, limit_per_fan, units_total):
    terms = drop_terms(price_minor=price_minor, limit_per_fan=limit_per_fan, units_total=units_total)

    assert refused_field(drops.draft_drop, terms) == "price_minor"


@pytest.mark.parametrize(
    ("price_minor", "limit_per_fan", "cap_units"),
    [(MINOR_MAX + 1, 1, None), (MINOR_MAX // 5 + 1, 5, None), (WORTH_MAX // CAP_MAX + 1, 1, CAP_MAX)],
)
def test_a_rally_whose_joins_could_not_be_held_is_refused(price_minor, limit_per_fan, cap_units):
    terms = rally_terms(tiers=[PriceTier(1, price_minor)], limit_per_fan=limit_per_fan, cap_units=cap_units)

    assert refused_field(rallies.draft_rally, terms) == "tiers"


def test_the_dearest_drop_there_may_be_is_sold_and_settled():
    seller = make_seller(fee_bps=1_000)
    drop = make_drop(seller=seller, price_minor=MINOR_MAX // 1_000, units_total=3_000)
    fans = make_fans(2, funds=MINOR_MAX)
    for fan_id in fans:
        buy(drop, fan_id, 1_000)

    sales.close_sale_early(seller_id=seller.id, sale_id=drop.sale_id, now=NOW)
    while sales.settle_step(sale_id=drop.sale_id, now=NOW):
        pass

    assert Sale.objects.get().state == SaleState.SETTLED
    assert Settlement.objects.get().gross_minor == 2 * MINOR_MAX
    proceeds = Account.objects.get(kind=AccountKind.PROCEEDS, owner_id=seller.id)
    assert ledger.balance(proceeds.id).available_minor == 2 * MINOR_MAX * 9 // 10


def test_the_dearest_rally_there_may_be_is_joined_and_settled():
    seller = make_seller()
    rally = make_rally(seller=seller, tiers=[PriceTier(1, MINOR_MAX // 5)], limit_per_fan=5)
    fans = make_fans(3, funds=MINOR_MAX)
    for fan_id in fans:
        join(rally, fan_id, 5)

    sales.close_sale_early(seller_id=seller.id, sale_id=rally.sale_id, now=NOW)
    while sales.settle_step(sale_id=rally.sale_id, now=NOW):
        pass

    assert Sale.objects.get().state == SaleState.SETTLED
    assert {wallet(fan_id).available_minor for fan_id in fans} == {0}
