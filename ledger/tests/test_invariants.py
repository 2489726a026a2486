"""Each check of the books is seen to fail, by itself, when the row it watches is tampered with."""

from __future__ import annotations

import pytest
from django.db import connection

from ledger.invariants import CHECKS
from sales import proof
from tests.tools.shop import Process, make_drop, make_fan, purchase
from tests.tools.tamper import tamper

pytestmark = pytest.mark.django_db(transaction=True)

TAMPERINGS = {
    "wallets_never_negative": [
        "ALTER TABLE ledger_account DROP CONSTRAINT account_available_never_negative",
        "UPDATE ledger_account SET available_minor = -1 WHERE kind = 'wallet'",
    ],
    "drift_per_account": ["UPDATE ledger_account SET available_minor = available_minor + 1 WHERE kind = 'wallet'"],
    "drift_in_total": ["UPDATE ledger_transfer SET amount_minor = amount_minor + 1 WHERE code = 'top_up'"],
    "currencies_never_mix": ["UPDATE ledger_transfer SET currency = 'USD' WHERE code = 'purchase'"],
    "holds_end_once": [
        """INSERT INTO ledger_transfer
                (id, journal_id, kind, debit_account_id, credit_account_id, amount_minor, held_minor, currency, code,
                 subject_id, pending_id, at, recorded_at)
           SELECT gen_random_uuid(), journal_id, 'voided', debit_account_id, credit_account_id, 0, -held_minor, currency,
                  'release', subject_id, id, at, recorded_at
             FROM ledger_transfer, generate_series(1, 2) WHERE kind = 'pending'"""
    ],
}


@pytest.fixture
def busy_books() -> None:
    """A wallet with a payment, and with a hold that goes on."""
    drop = make_drop(hold_s=60)
    fan = make_fan(funds=5_000)
    Process(drop).do(purchase(fan))
    Process(drop).do(purchase(fan, 2, hold=True))


def test_every_check_has_its_tampering():
    assert set(TAMPERINGS) == {check.name for check in CHECKS}


def test_books_that_are_right_hold(busy_books):
    assert proof.prove_books().holds


@pytest.mark.tampers
@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_check_fails_when_its_rows_are_tampered_with(busy_books, name):
    with tamper(*TAMPERINGS[name]):
        found = proof.prove_books()

    assert name in {finding.check.name for finding in found.findings if not finding.holds}
    assert not found.holds


def test_the_proof_reads_and_never_writes(busy_books):
    with pytest.raises(Exception, match="read-only transaction"), proof._read_only(), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_account SET available_minor = 0")
    assert proof.prove_books().holds
