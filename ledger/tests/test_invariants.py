"""Each check of the books is seen to fail, by itself, when the row it watches is tampered with."""

from __future__ import annotations

import datetime as dt

import psycopg
import pytest
from django.db.models import F

from core import clock
from ledger import services as ledger
from ledger.invariants import CHECKS, NEWS_CHECKS
from ledger.models import Account, BooksCheckpoint, Transfer
from sales import proof
from tests.tools.shop import NOW, Process, make_drop, make_fan, purchase
from tests.tools.tamper import tamper

pytestmark = pytest.mark.django_db(transaction=True)

TAMPERINGS = {
    "wallets_never_negative": [
        "ALTER TABLE ledger_account DROP CONSTRAINT account_available_never_negative",
        "UPDATE ledger_account SET available_minor = -1 WHERE kind = 'wallet'",
    ],
    "only_wallets_keep_balances": ["UPDATE ledger_account SET keeps_balance = FALSE WHERE kind = 'wallet'"],
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


@pytest.fixture
def checked_once(busy_books) -> None:
    """Books whose transfers are of an hour ago and were all checked; the checkpoint is behind them."""
    Transfer.objects.update(recorded_at=F("recorded_at") - dt.timedelta(hours=1))
    assert proof.prove_books().holds


def broken(found: proof.Proof) -> set[str]:
    return {finding.check.name for finding in found.findings if not finding.holds}


@pytest.mark.tampers
@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_check_fails_when_its_rows_are_tampered_with(busy_books, name):
    with tamper(*TAMPERINGS[name]):
        found = proof.prove_books()

    assert name in broken(found)
    assert not found.holds


@pytest.mark.tampers
@pytest.mark.parametrize("name", TAMPERINGS)
def test_the_same_check_of_what_is_new_fails_too(busy_books, name):
    BooksCheckpoint.objects.create(until=proof.EVER, collected_minor=0)

    assert proof.prove_books_since().holds
    with tamper(*TAMPERINGS[name]):
        assert name in broken(proof.prove_books_since())


def test_the_checks_of_what_is_new_are_the_same_promises():
    assert [(check.name, check.sentence) for check in NEWS_CHECKS] == [(check.name, check.sentence) for check in CHECKS]


def test_a_checkpoint_holds_what_stood_on_collecting_accounts_before_it(checked_once):
    checkpoint = BooksCheckpoint.objects.get()

    in_wallets = sum(account.available_minor + account.held_minor for account in Account.objects.all())
    assert checkpoint.collected_minor == -in_wallets < 0
    assert checkpoint.until > Transfer.objects.latest("recorded_at").recorded_at


def test_later_runs_read_what_is_new_and_move_the_checkpoint_on(checked_once):
    before = BooksCheckpoint.objects.get()
    drop = make_drop()
    Process(drop).do(purchase(make_fan(funds=1_000)))

    found = proof.prove_books_since()

    assert found.holds
    assert found.since == before.until
    assert BooksCheckpoint.objects.get().until > before.until


@pytest.mark.tampers
@pytest.mark.parametrize("table", ["ledger_checkpoint", "ledger_bookscheckpoint"])
def test_a_sum_that_spares_work_is_summed_again_by_a_run_over_everything(checked_once, table):
    assert ledger.checkpoint_accounts(now=clock.now()) > 0
    column = "available_minor" if table == "ledger_checkpoint" else "collected_minor"

    assert proof.prove_books().holds
    with tamper(f"UPDATE {table} SET {column} = {column} + 1"):
        assert broken(proof.prove_books()) == {"checkpoints_add_up"}


@pytest.mark.tampers
def test_what_was_checked_is_read_again_only_by_a_run_over_everything(checked_once):
    with tamper("UPDATE ledger_transfer SET currency = 'USD' WHERE code = 'purchase'"):
        assert broken(proof.prove_books_since()) == set()
        assert broken(proof.prove_books()) == {"currencies_never_mix"}


@pytest.mark.tampers
def test_a_wallet_is_compared_with_the_checkpoint_even_when_nothing_of_it_is_new(checked_once):
    with tamper("UPDATE ledger_account SET available_minor = available_minor + 1 WHERE kind = 'wallet'"):
        assert broken(proof.prove_books_since()) == {"drift_in_total"}


def test_a_broken_check_leaves_the_checkpoint_where_it_was(checked_once):
    before = BooksCheckpoint.objects.get().until
    Account.objects.filter(kind="wallet").update(available_minor=F("available_minor") + 1)

    assert not proof.prove_books_since().holds
    assert BooksCheckpoint.objects.get().until == before
    Account.objects.filter(kind="wallet").update(available_minor=F("available_minor") - 1)


@pytest.mark.tampers  # the sums are made up
def test_a_checkpoint_never_goes_back():
    later, earlier = NOW, NOW - dt.timedelta(hours=1)

    ledger.checkpoint_books(until=later, collected_minor=-2)
    ledger.checkpoint_books(until=earlier, collected_minor=-1)

    assert BooksCheckpoint.objects.get().until == later


def test_the_proof_reads_and_never_writes(busy_books):
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), proof.read() as reader:
        reader.connection.execute("UPDATE ledger_account SET available_minor = 0")
    assert proof.prove_books().holds
