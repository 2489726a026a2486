"""What may be drafted: only what can be sold here, paid for and settled."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.management import CommandError, call_command
from msgspec.structs import replace

from core.errors import Invalid
from core.money import MINOR_MAX, SOLD_CURRENCIES, WORTH_MAX
from drops import services as drops
from drops.models import UNITS_MAX, Settlement
from ledger import selectors as ledger_selectors
from ledger.models import Account, AccountKind
from rallies import services as rallies
from rallies.models import CAP_MAX, Rally
from rallies.pricing import PriceTier
from sales import services as sales
from sales.errors import IdTaken
from sales.models import Sale, SaleState
from sellers.models import Seller
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
from tests.tools.truth import picture

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


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"cap_units": 9, "limit_per_fan": 2}, None),  # five fans at the least
        (
            {"cap_units": 8, "limit_per_fan": 2},
            "With 2 units for each fan the cap may be full with 4 fans, and the last tier asks for more.",
        ),
        ({"cap_units": 5, "limit_per_fan": 1}, None),
        ({"cap_units": 4, "limit_per_fan": 1}, "The last tier asks for more than the cap lets join."),
        ({"cap_units": 5, "limit_per_fan": 5, "basis": "units"}, None),
        ({"cap_units": 4, "limit_per_fan": 2, "basis": "units"}, "The last tier asks for more than the cap lets join."),
    ],
)
def test_a_rally_that_is_full_has_reached_its_last_tier(terms, message):
    """Of `TIERS`, whose last asks for five."""
    if message is None:
        assert rallies.draft_rally(**rally_terms(**terms)).cap_units == terms["cap_units"]
        return
    with pytest.raises(Invalid, match=message) as refusal:
        rallies.draft_rally(**rally_terms(**terms))
    assert refusal.value.data == {"field": "tiers"}
    assert Sale.objects.count() == 0


# Repeats

DRAFTS = pytest.mark.parametrize(
    ("draft", "terms_of"), [(drops.draft_drop, drop_terms), (rallies.draft_rally, rally_terms)], ids=["drop", "rally"]
)
LATER = NOW + dt.timedelta(hours=2)


@DRAFTS
def test_a_repeat_is_the_same_draft_also_later_and_after_the_fee_has_changed(draft, terms_of):
    terms = terms_of(seller=make_seller(fee_bps=500))
    first = draft(**terms)
    Seller.objects.update(fee_bps=900)
    later = replace(terms["draft"], now=NOW + dt.timedelta(minutes=1), title=f" {terms['draft'].title} ")
    again = draft(**terms | {"draft": later})

    assert (again.sale_id, again.fee_bps) == (first.sale_id, 500)
    assert Sale.objects.count() == 1


@DRAFTS
def test_a_draft_that_opens_at_once_is_repeated_later(draft, terms_of):
    terms = terms_of(opens_at=None)
    first = draft(**terms)
    again = draft(**terms | {"draft": replace(terms["draft"], now=NOW + dt.timedelta(minutes=1))})

    assert first.sale.opens_at == again.sale.opens_at == NOW


@DRAFTS
@pytest.mark.parametrize(
    "changes",
    [{"title": "Another"}, {"story": "Once"}, {"currency": "USD"}, {"opens_at": NOW}, {"closes_at": LATER}],
    ids=lambda changes: next(iter(changes)),
)
def test_an_id_that_was_used_for_another_draft_is_refused(draft, terms_of, changes):
    terms = terms_of()
    assert_taken(draft, terms, terms | {"draft": replace(terms["draft"], **changes)})


@pytest.mark.parametrize(
    ("draft", "terms_of", "changes"),
    [
        (drops.draft_drop, drop_terms, {"price_minor": 999}),
        (drops.draft_drop, drop_terms, {"units_total": 4}),
        (drops.draft_drop, drop_terms, {"limit_per_fan": 3}),
        (drops.draft_drop, drop_terms, {"hold_s": 60}),
        (drops.draft_drop, drop_terms, {"cancel_s": 60}),
        (rallies.draft_rally, rally_terms, {"tiers": [PriceTier(1, 10_000), PriceTier(3, 8_000)]}),
        (rallies.draft_rally, rally_terms, {"tiers": [PriceTier(1, 10_000), PriceTier(3, 8_000), PriceTier(5, 5_300)]}),
        (rallies.draft_rally, rally_terms, {"basis": "units"}),
        (rallies.draft_rally, rally_terms, {"minimum": 2}),
        (rallies.draft_rally, rally_terms, {"cap_units": 100}),
        (rallies.draft_rally, rally_terms, {"cap_units": 100, "late_joins": True}),
        (rallies.draft_rally, rally_terms, {"limit_per_fan": 4}),
        (rallies.draft_rally, rally_terms, {"audience": "invited"}),
        (rallies.draft_rally, rally_terms, {"repeats_every_days": 7, "repeats_left": 1}),
        (rallies.draft_rally, rally_terms, {"repeats_zone": "Europe/Berlin"}),
    ],
)
def test_a_repeat_with_other_terms_is_refused(draft, terms_of, changes):
    terms = terms_of()
    assert_taken(draft, terms, terms | changes)


def test_an_id_of_another_format_is_refused():
    seller = make_seller()
    drop = drop_terms(seller=seller, title="A lamp")
    drops.draft_drop(**drop)

    with pytest.raises(IdTaken):
        rallies.draft_rally(**rally_terms(seller=seller) | {"draft": drop["draft"]})
    assert Rally.objects.count() == 0


@DRAFTS
def test_an_id_of_another_shop_is_refused(draft, terms_of):
    terms = terms_of()
    assert_taken(draft, terms, terms | {"draft": replace(terms["draft"], seller_id=make_seller().id)})


def assert_taken(draft, first, second) -> None:
    made = draft(**first)
    before = picture(made.sale_id)
    with pytest.raises(IdTaken):
        draft(**second)
    assert picture(made.sale_id) == before
    assert draft(**first).sale_id == made.sale_id
    assert Sale.objects.count() == 1


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
    assert ledger_selectors.balance(proceeds.id).available_minor == 2 * MINOR_MAX * 9 // 10


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
