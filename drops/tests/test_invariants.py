"""Each check of a drop is seen to fail when the rows it watches are tampered with."""

from __future__ import annotations

import pytest

from drops.invariants import CHECKS
from sales import proof
from sales import services as sales
from tests.tools.shop import NOW, make_drop, make_fan, make_fans, make_seller
from tests.tools.tamper import tamper

pytestmark = pytest.mark.django_db(transaction=True)

TAMPERINGS = {
    "sold_is_stock_or_demand": ["UPDATE drops_bucket SET units_left = units_left + 1"],
    "oversold": ["UPDATE drops_drop SET units_total = 1"],
    "one_order_per_key": [
        "ALTER TABLE drops_order DROP CONSTRAINT one_order_per_fan_and_key",
        "UPDATE drops_order SET fan_id = id, idempotency_key = id",
        "UPDATE drops_order SET fan_id = drop_id, idempotency_key = drop_id",
    ],
    "limit_per_fan": ["UPDATE drops_drop SET limit_per_fan = 1"],
    "one_sealed_price": ["UPDATE drops_order SET unit_price_minor = unit_price_minor - 1 WHERE state = 'paid'"],
    "terms_rule": ["UPDATE drops_drop SET cancel_s = 61"],
    "stands_where_it_says": ["UPDATE sales_sale SET closed_at = closes_at"],
    "pauses": ["UPDATE sales_sale SET frozen_ms = 1"],
    "gates": ["DELETE FROM sales_gate WHERE number = 63"],
    "in_time": ["UPDATE drops_order SET placed_at = placed_at - interval '61 seconds'"],
    "paid_by_its_fan": [
        "UPDATE ledger_transfer SET debit_account_id = (SELECT max(id::text)::uuid FROM ledger_account WHERE kind = 'wallet') "
        "WHERE code = 'purchase'"
    ],
    "ended_for_its_fan": [
        "UPDATE ledger_transfer SET expires_at = expires_at + interval '1 second' WHERE code = 'hold'"
    ],
    "settlements_add_up": ["UPDATE drops_settlement SET orders = orders + 1"],
    "paid_to_its_seller": [
        "UPDATE sales_sale SET seller_id = (SELECT id FROM sellers_seller WHERE id <> seller_id LIMIT 1)"
    ],
    "none_set_aside": [
        "INSERT INTO sales_stuckrow (id, sale_id, row_id, error, made_at) SELECT gen_random_uuid(), drop_id, transfer_id, '', "
        "now() FROM drops_order"
    ],
    "rows_in_order": ["UPDATE drops_bucket SET number = 1"],
    "terms_hash": ["UPDATE sales_sealedterms SET text = text || ' '"],
    "each_order_paid_once": ["UPDATE drops_order SET state = 'cancelled' WHERE state = 'paid'"],
    "paid_afterwards": ["UPDATE drops_order SET state = 'refunded' WHERE state = 'settled'"],
    "refunds": [
        """INSERT INTO sales_refund (purchase_id, number, sale_id, fan_id, amount_minor, fee_minor, paid_minor, refunded_minor,
                                     reason, made_by_id, at)
           SELECT id, 2, drop_id, fan_id, 1, 0, 1000, 1, '', fan_id, changed_at FROM drops_order WHERE state = 'settled' LIMIT 1"""
    ],
    "seller_credited": ["UPDATE ledger_transfer SET amount_minor = amount_minor + 1 WHERE code = 'proceeds'"],
    "nothing_stays_behind": ["UPDATE ledger_transfer SET amount_minor = amount_minor - 1 WHERE code = 'purchase'"],
    "nothing_unsettled": ["UPDATE sales_sale SET state = 'settled'"],
    "orphans": ["DELETE FROM accounts_user WHERE email LIKE 'fan-%'"],
}
# The others are broken in a running sale.
OF_WHAT_IS_SETTLED = ("paid_afterwards", "refunds", "seller_credited", "paid_to_its_seller", "settlements_add_up")


@pytest.fixture
def drop(buy):
    """A sale in the middle of its life: orders paid, held, given back."""
    drop = make_drop(units_total=9, limit_per_fan=3, hold_s=60, cancel_s=60)
    one, two = make_fans(2, funds=9_000)
    buy(drop, one, 3)
    buy(drop, two, 2)
    buy(drop, two, hold=True)
    return drop


@pytest.fixture
def settled(buy):
    seller = make_seller()
    drop = make_drop(seller=seller)
    buy(drop, make_fan(funds=9_000), 2)
    sales.close_sale_early(seller_id=seller.id, sale_id=drop.sale_id, now=NOW)
    while sales.settle_step(sale_id=drop.sale_id, now=NOW):
        pass
    return drop


def broken(drop) -> set[str]:
    found = proof.prove_sale(drop.sale, books=False).findings
    assert len(found) == len(CHECKS)
    return {finding.check.name for finding in found if not finding.holds}


def test_every_check_has_its_tampering():
    assert set(TAMPERINGS) == {check.name for check in CHECKS}


def test_a_sale_that_is_right_holds(drop, settled):
    assert broken(drop) == broken(settled) == set()


@pytest.mark.tampers
@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_check_fails_when_its_rows_are_tampered_with(drop, settled, name):
    watched = settled if name in OF_WHAT_IS_SETTLED else drop

    with tamper(*TAMPERINGS[name]):
        assert name in broken(watched)
    assert broken(watched) == set()


def test_a_check_without_an_answer_does_not_hold(drop):
    drop.sale.id = drop.sale.seller_id  # of which there is no sale

    assert {"oversold", "sold_is_stock_or_demand", "terms_hash"} <= broken(drop)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_printed_sql_can_be_pasted(drop, check):
    from django.db import connection

    (finding,) = [f for f in proof.prove_sale(drop.sale, books=False).findings if f.check is check]
    with connection.cursor() as cursor:
        cursor.execute(finding.sql)
        assert tuple(map(int, cursor.fetchone())) == (finding.expected, finding.found)
