"""Money from outside that is not a paid top-up is seen, in all of the books and in what is new of them."""

from __future__ import annotations

import pytest

from core import clock
from ledger.models import BooksCheckpoint
from payments.invariants import CHECKS
from sales import proof
from tests.tools.shop import make_fans
from tests.tools.tamper import tamper

pytestmark = pytest.mark.django_db(transaction=True)


def broken(found: proof.Proof) -> set[str]:
    return {finding.check.name for finding in found.findings if not finding.holds}


@pytest.mark.tampers
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments_topup SET state = 'failed'",
        "UPDATE payments_topup SET amount_minor = amount_minor + 1",
        "UPDATE payments_topup SET transfer_id = NULL",
        "DELETE FROM payments_topup",
        "DELETE FROM ledger_transfer",
        "UPDATE ledger_transfer SET code = 'gift'",
        "UPDATE ledger_account SET kind = 'fees' WHERE kind = 'funding'",
        "UPDATE ledger_account SET owner_id = id WHERE kind = 'wallet'",
    ],
)
def test_money_that_nobody_has_paid_is_seen(statement: str) -> None:
    make_fans(2, funds=500, now=clock.now())
    BooksCheckpoint.objects.create(until=proof.EVER, collected_minor=0)

    assert proof.prove_books_since().holds
    with tamper(statement):
        (check,) = CHECKS
        assert check.name in broken(proof.prove_books_since())
        assert check.name in broken(proof.prove_books())
