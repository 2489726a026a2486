from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from accounts.models import Notification
from core.errors import NotFound
from drops.models import Order
from ledger.models import HOUSE, AccountKey, AccountKind
from ledger.selectors import account_ids, balance
from rallies.models import Join, LateJoin
from sales import prover
from sales import services as sales
from sales.errors import CannotRefund, RefundChanged
from sales.models import Refund, Sale
from sales.presenters import events
from sales.refunds import refund as refund_of_seller
from tests.tools.shop import (
    NOW,
    buy,
    close_on_time,
    join,
    join_late,
    make_drop,
    make_fan,
    make_rally,
    make_seller,
    refund,
    wallet,
)
from tests.tools.truth import broken_checks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

FUNDS_MINOR = 50_000


def proceeds_and_fees(sale: Sale) -> tuple[int, int]:
    keys = [AccountKey(sale.seller_id, AccountKind.PROCEEDS, "EUR"), AccountKey(HOUSE, AccountKind.FEES, "EUR")]
    ids = account_ids(keys)
    return balance(ids[keys[0]]).available_minor, balance(ids[keys[1]]).available_minor


def settled(kind: str) -> tuple[Sale, UUID, UUID, int]:
    """A settled sale, a fan, the fan's purchase in it and what was paid for that."""
    fan, seller = make_fan(funds=FUNDS_MINOR), make_seller(fee_bps=333)
    terms: Any
    if kind == "order":
        terms = make_drop(seller=seller, price_minor=777)
        buy(terms, fan, 2)
    else:
        terms = make_rally(seller=seller, cap_units=200, late_joins=True)
        join(terms, fan if kind == "join" else make_fan(funds=FUNDS_MINOR))
    close_on_time(terms.sale_id)
    sales.settle_to_the_end(terms.sale_id)
    if kind == "late join":
        join_late(terms, fan)
    model: Any = {"order": Order, "join": Join, "late join": LateJoin}[kind]
    return (
        Sale.objects.get(id=terms.sale_id),
        fan,
        model.objects.get(fan_id=fan).id,
        FUNDS_MINOR - wallet(fan).available_minor,
    )


@pytest.mark.parametrize("kind", ["order", "join", "late join"])
def test_parts_add_up_to_the_whole_to_the_cent(kind: str) -> None:
    sale, fan, purchase_id, paid_minor = settled(kind)
    before = proceeds_and_fees(sale)

    for number, part in enumerate([1, 100, paid_minor - 101], start=1):
        for _ in range(2):
            refund(sale, purchase_id, part, number=number)
        assert broken_checks(sale.id) == []

    assert wallet(fan).available_minor == FUNDS_MINOR
    fee_minor = paid_minor * 333 // 10_000
    after = proceeds_and_fees(sale)
    assert (before[0] - after[0], before[1] - after[1]) == (paid_minor - fee_minor, fee_minor)
    assert Notification.objects.filter(user_id=fan, title__contains="refunded you").count() == 3
    with pytest.raises(CannotRefund) as refused:
        refund(sale, purchase_id, 1, number=4)
    assert refused.value.data == {"paid_minor": paid_minor, "refunded_minor": paid_minor, "next_number": 4}


def test_what_is_not_right_is_refused_and_moves_nothing() -> None:
    sale, fan, purchase_id, paid_minor = settled("order")
    for amount_minor, number, refusal in (
        (0, 1, CannotRefund), (-5, 1, CannotRefund), (paid_minor + 1, 1, CannotRefund),
        (1, 2, RefundChanged), (1, 0, RefundChanged),
    ):  # fmt: skip
        with pytest.raises(refusal):
            refund(sale, purchase_id, amount_minor, number=number)
    refund(sale, purchase_id, 5)
    with pytest.raises(RefundChanged):
        refund(sale, purchase_id, 6)
    with pytest.raises(NotFound):
        refund_of_seller(
            seller_id=make_seller().id, sale_id=sale.id, purchase_id=purchase_id, number=2, amount_minor=1, reason="",
            made_by=fan, now=NOW,
        )  # fmt: skip
    assert wallet(fan).available_minor == FUNDS_MINOR - paid_minor + 5
    assert Refund.objects.count() == 1


def test_nothing_is_refunded_before_the_sale_is_settled_but_all_of_an_order() -> None:
    fan, other = make_fan(funds=FUNDS_MINOR), make_fan(funds=FUNDS_MINOR)
    drop, rally = make_drop(), make_rally()
    order, joined = buy(drop, fan, 2), join(rally, other)
    for sale, purchase_id, amount_minor in ((drop.sale, order.id, 1), (rally.sale, joined.id, 1)):
        with pytest.raises(CannotRefund):
            refund(sale, purchase_id, amount_minor)
    for _ in range(2):
        refund(drop.sale, order.id, order.total_minor)
    assert wallet(fan).available_minor == FUNDS_MINOR
    assert Refund.objects.count() == 0
    assert broken_checks(drop.sale_id) == []


def test_a_reason_is_for_the_fan_and_not_for_the_proof() -> None:
    sale, fan, purchase_id, _ = settled("order")
    refund_of_seller(
        seller_id=sale.seller_id, sale_id=sale.id, purchase_id=purchase_id, number=1, amount_minor=1, reason="For Ada",
        made_by=fan, now=NOW,
    )  # fmt: skip

    assert [
        (event.words.partition(" refunded")[0], event.reason) for event in events(sale) if "refund" in event.words
    ] == [("€0.01 of €15.54", "")]
    assert "Ada" in Notification.objects.get(user_id=fan).text


def test_a_purchase_is_cut_into_so_many_parts_and_then_only_the_rest_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sales.refunds.PARTS_MAX", 2)
    sale, fan, purchase_id, paid_minor = settled("order")
    for number in (1, 2):
        refund(sale, purchase_id, 1, number=number)

    with pytest.raises(CannotRefund):
        refund(sale, purchase_id, 1, number=3)
    refund(sale, purchase_id, paid_minor - 2, number=3)

    assert wallet(fan).available_minor == FUNDS_MINOR


def test_the_proof_is_run_again_after_a_refund() -> None:
    sale, _, purchase_id, _ = settled("order")
    prover.prove_now(sale)

    refund(sale, purchase_id, 1)

    run = prover.find_run(sale.id)
    assert run is not None
    assert run.asked_at is not None
