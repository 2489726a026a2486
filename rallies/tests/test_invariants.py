"""Each check of a rally is seen to fail when the rows it watches are tampered with."""

from __future__ import annotations

import pytest
from django.db import connection

from rallies.invariants import CHECKS
from rallies.models import Join
from rallies.values import LeaveRally
from sales import proof
from sales import services as sales
from tests.tools.shop import (
    NOW,
    RallyProcess,
    close_on_time,
    join,
    join_late,
    make_fans,
    make_rally,
    make_seller,
    refund,
)
from tests.tools.tamper import tamper

pytestmark = pytest.mark.django_db(transaction=True)

# (what is tampered with, the statements): "open" is a rally in the middle of its life, "settled" one at its end.
TAMPERINGS = {
    "one_price": (
        "settled",
        "UPDATE ledger_transfer SET amount_minor = amount_minor + 1 WHERE id = (SELECT id FROM ledger_transfer "
        "WHERE kind = 'posted' LIMIT 1)",
    ),
    "joiners": ("open", "UPDATE rallies_bucket SET joiners = joiners + 1 WHERE number = 5"),
    "units": ("open", "UPDATE rallies_bucket SET units = units + 1 WHERE number = 5"),
    "joins_with_a_limit": ("open", "UPDATE rallies_limitedcount SET joiners = joiners + 1"),
    "double_joins": (
        "open",
        "ALTER TABLE rallies_join DROP CONSTRAINT rallies_join_pkey",
        "UPDATE rallies_join SET fan_id = rally_id",
    ),
    "price_of_the_tier": ("settled", "UPDATE rallies_outcome SET price_minor = 10000"),
    "outcome": ("settled", "UPDATE rallies_rally SET minimum = 4"),
    "terms_rule": ("open", "DELETE FROM rallies_tier WHERE level = 2"),
    "terms_agreed": ("settled", "UPDATE rallies_latejoin SET terms_sha256 = ''"),
    "stands_where_it_says": ("settled", "UPDATE sales_sale SET closed_at = NULL"),
    "pauses": ("open", "UPDATE sales_sale SET frozen_ms = 1"),
    "gates": ("open", "DELETE FROM sales_gate WHERE number = 63"),
    "in_time": ("settled", "UPDATE rallies_latejoin SET joined_at = joined_at + interval '7 days'"),
    "paid_by_its_fan": ("settled", "UPDATE rallies_latejoin SET quantity = quantity + 1"),
    "ended_for_its_fan": (
        "open",
        "UPDATE ledger_transfer SET debit_account_id = (SELECT max(id::text)::uuid FROM ledger_account WHERE kind = 'wallet') "
        "WHERE kind = 'voided'",
    ),
    "settlements_add_up": ("settled", "UPDATE rallies_settlement SET released = released + 1"),
    "paid_to_its_seller": ("settled", "UPDATE ledger_transfer SET code = 'tip' WHERE code = 'fee'"),
    "paid_afterwards": (
        "settled",
        "UPDATE ledger_transfer SET amount_minor = amount_minor + 1 WHERE code = 'late_fee'",
    ),
    "refunds": ("settled", "UPDATE sales_refund SET number = 3 WHERE number = 2"),
    "none_set_aside": (
        "open",
        "INSERT INTO sales_stuckrow (id, sale_id, row_id, error, made_at) SELECT gen_random_uuid(), rally_id, fan_id, '', now() "
        "FROM rallies_join",
    ),
    "rows_in_order": ("open", "UPDATE rallies_bucket SET number = 200 WHERE number = 5"),
    "terms_hash": ("open", "UPDATE sales_sealedterms SET text = text || ' '"),
    "double_charges": (
        "settled",
        "INSERT INTO ledger_transfer (id, journal_id, kind, debit_account_id, credit_account_id, amount_minor, held_minor, "
        "currency, code, subject_id, pending_id, expires_at, at, recorded_at) "
        "SELECT gen_random_uuid(), journal_id, kind, debit_account_id, credit_account_id, amount_minor, held_minor, "
        "currency, code, subject_id, pending_id, expires_at, at, recorded_at "
        "FROM ledger_transfer WHERE kind = 'posted' LIMIT 1",
    ),
    "held_captured_released": (
        "settled",
        "UPDATE ledger_transfer SET held_minor = held_minor + 1 WHERE kind = 'voided'",
    ),
    "limit_kept": ("settled", "UPDATE rallies_join SET state = 'paid' WHERE state = 'released'"),
    "limit_per_fan": ("open", "UPDATE rallies_rally SET limit_per_fan = 1"),
    "cap": ("open", "UPDATE rallies_bucket SET units_left = units_left + 1 WHERE number = 5"),
    "seller_credited": (
        "settled",
        "UPDATE ledger_transfer SET amount_minor = amount_minor + 1 WHERE code = 'proceeds'",
    ),
    "nothing_stays_behind": (
        "settled",
        "UPDATE ledger_transfer SET amount_minor = amount_minor - 1 WHERE code = 'capture'",
    ),
    "nothing_unsettled": ("open", "UPDATE sales_sale SET state = 'settled'"),
    "orphans": ("open", "DELETE FROM accounts_user WHERE email LIKE 'fan-%'"),
}


@pytest.fixture
def rallies():
    """ "open": joined, with a limit, left, invited. "settled": at 80.00 with one who went free, a refund and a late join."""
    seller = make_seller()
    terms = {"seller": seller, "cap_units": 200, "late_joins": True}
    opened, settled = make_rally(**terms), make_rally(**terms)
    one, two, three, four, five = make_fans(5, funds=90_000)
    first = join(opened, one, 2)
    join(opened, two, only=5_200, invite=first.invite_code)
    join(opened, three)
    RallyProcess(opened).do(LeaveRally(three, NOW))

    for fan in (one, two, three):
        join(settled, fan)
    join(settled, four, 2, only=5_200)
    close_on_time(settled.sale_id)
    while sales.settle_step(sale_id=settled.sale_id, now=NOW):
        pass
    paid = Join.objects.get(rally_id=settled.sale_id, fan_id=one)
    refund(settled.sale, paid.id, 3_333, at=NOW)
    refund(settled.sale, paid.id, 4_667, number=2, at=NOW)
    join_late(settled, five, 2)
    return {"open": opened, "settled": settled}


def broken(rally) -> set[str]:
    found = proof.prove_sale(rally.sale, books=False).findings
    assert len(found) == len(CHECKS)
    return {finding.check.name for finding in found if not finding.holds}


def test_every_check_has_its_tampering():
    assert set(TAMPERINGS) == {check.name for check in CHECKS}


def test_rallies_that_are_right_hold(rallies):
    assert [broken(rally) for rally in rallies.values()] == [set(), set()]


@pytest.mark.tampers
@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_check_fails_when_its_rows_are_tampered_with(rallies, name):
    which, *statements = TAMPERINGS[name]

    with tamper(*statements):
        assert name in broken(rallies[which])
    assert broken(rallies[which]) == set()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_printed_sql_can_be_pasted(rallies, check):
    rally = rallies["settled"]
    (finding,) = [f for f in proof.prove_sale(rally.sale, books=False).findings if f.check is check]
    with connection.cursor() as cursor:
        cursor.execute(finding.sql)
        assert tuple(map(int, cursor.fetchone())) == (finding.expected, finding.found)
