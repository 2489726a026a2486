from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection

from core.errors import Invalid
from core.ids import uuid7
from core.transactions import in_transaction
from ledger import rules, selectors, services
from ledger.errors import AlreadyResolved, InsufficientFunds, TransferConflict
from ledger.models import HOUSE, Account, AccountKey, AccountKind, Checkpoint
from ledger.models import Transfer as TransferRow
from ledger.rules import Balance, Transfer
from tests.tools.race import outcomes
from tests.tools.shop import NOW, make_fan, wallet
from tests.tools.truth import rows

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def fan() -> UUID:
    return make_fan(funds=1_000)


@pytest.fixture
def fees() -> UUID:
    return open_account(HOUSE, AccountKind.FEES)


def open_account(owner_id: UUID, kind: AccountKind, currency: str = "EUR") -> UUID:
    key = AccountKey(owner_id, kind, currency)
    return in_transaction(lambda: services.open_accounts([key])[key], name="test")


def account_of(fan: UUID) -> UUID:
    return selectors.wallets([fan], "EUR")[fan].account_id


def payment(fan: UUID, to: UUID, amount_minor: int = 300, **changes: Any) -> Transfer:
    terms = {
        "id": uuid7(), "debit": account_of(fan), "credit": to, "amount_minor": amount_minor, "currency": "EUR",
        "code": "purchase", "subject_id": uuid7(), "at": NOW,
    }  # fmt: skip
    return rules.pay(**(terms | changes))


def hold(fan: UUID, to: UUID, amount_minor: int = 300) -> Transfer:
    return rules.hold(
        id=uuid7(), debit=account_of(fan), credit=to, amount_minor=amount_minor, currency="EUR", code="hold",
        subject_id=uuid7(), at=NOW, expires_at=NOW + 60 * SECOND,
    )  # fmt: skip


def make(*transfers: Transfer) -> Any:
    """The outcome of one transfer, or of each."""
    made = services.transfer_batch(transfers)
    return made[0] if len(transfers) == 1 else made


def test_a_batch_pays_in_order_as_long_as_there_is_money(fan, fees):
    transfers = [payment(fan, fees, 400), payment(fan, fees, 700), payment(fan, fees, 600)]

    first, second, third = make(*transfers)

    assert (first, third) == (transfers[0], transfers[2])
    assert isinstance(second, InsufficientFunds)
    assert second.data == {"available_minor": 600, "needed_minor": 700, "currency": "EUR"}
    assert wallet(fan) == Balance(0, 0)
    assert selectors.balance(fees) == Balance(1_000, 0)


def test_many_threads_on_one_wallet_spend_exactly_what_is_there(fan, fees, race):
    payments = [payment(fan, fees, 300) for _ in range(10)]

    results = race(*[partial(make, transfer) for transfer in payments])

    refused = [result for result in results if isinstance(result, InsufficientFunds)]
    assert len(refused) == 7
    assert [result for result in results if result not in refused and result not in payments] == []
    assert wallet(fan) == Balance(100, 0)


def test_a_repeat_returns_the_first_outcome(fan, fees):
    first = payment(fan, fees)
    later = rules.replace(first, at=NOW + SECOND)

    assert make(first) == first
    assert make(later) == first
    assert make(first, later) == [first, first]
    assert wallet(fan) == Balance(700, 0)


def test_a_repeat_at_the_same_instant_moves_once(fan, fees, race):
    transfer = payment(fan, fees)

    assert race(*[partial(make, transfer)] * 6) == [transfer] * 6
    assert wallet(fan) == Balance(700, 0)


@pytest.mark.parametrize("change", [{"amount_minor": 301}, {"code": "other"}, {"subject_id": UUID(int=1)}])
def test_the_same_id_with_other_content_is_refused(fan, fees, change):
    first = payment(fan, fees)
    make(first)

    assert isinstance(make(rules.replace(first, **change)), TransferConflict)
    assert wallet(fan) == Balance(700, 0)


def test_part_of_a_hold_is_captured_and_the_rest_comes_back(fan, fees):
    pending = hold(fan, fees, 300)
    make(pending)
    assert wallet(fan) == Balance(700, 300)

    make(rules.post(pending, amount_minor=120, code="capture", at=NOW))

    assert wallet(fan) == Balance(880, 0)
    assert selectors.balance(fees) == Balance(120, 0)


def test_a_hold_ends_once_one_way_or_the_other(fan, fees):
    pending = hold(fan, fees)
    posted = rules.post(pending, amount_minor=300, code="capture", at=NOW)
    make(pending)
    make(posted)

    assert make(posted) == posted  # a repeat
    assert isinstance(make(rules.void(pending, code="release", at=NOW)), AlreadyResolved)
    assert isinstance(make(rules.post(pending, amount_minor=1, code="capture", at=NOW)), AlreadyResolved)
    assert wallet(fan) == Balance(700, 0)


def test_a_hold_that_ran_out_is_free_again_and_cannot_be_captured(fan, fees):
    pending = hold(fan, fees)
    make(pending)

    make(rules.expire(pending, at=NOW + 60 * SECOND))

    assert wallet(fan) == Balance(1_000, 0)
    assert isinstance(make(rules.post(pending, amount_minor=300, code="capture", at=NOW)), AlreadyResolved)


def test_capture_and_release_racing_for_one_hold_give_one(fan, fees, race):
    pending = hold(fan, fees)
    make(pending)
    endings = [rules.post(pending, amount_minor=300, code="capture", at=NOW), rules.void(pending, code="x", at=NOW)]

    results = race(*[partial(make, ending) for ending in endings * 3])

    won = [result for result in results if isinstance(result, Transfer)]
    assert len(won) == 3  # the winner and its repeats
    assert len(set(won)) == 1
    assert wallet(fan) == (Balance(700, 0) if won[0].kind == rules.POSTED else Balance(1_000, 0))


def test_held_money_cannot_be_spent(fan, fees):
    make(hold(fan, fees, 800))

    assert isinstance(make(payment(fan, fees, 201)), InsufficientFunds)
    assert wallet(fan) == Balance(200, 800)


def test_a_payment_is_reversed_once(fan, fees):
    paid = payment(fan, fees)
    make(paid)
    back = rules.reverse(paid, code="refund", at=NOW)

    assert make(back, back) == [back, back]
    assert make(back) == back
    assert wallet(fan) == Balance(1_000, 0)


def test_a_batch_that_gives_back_what_it_took_moves_nothing(fan, fees):
    paid = payment(fan, fees)

    assert make(paid, rules.reverse(paid, code="refund", at=NOW)) == [paid, rules.reverse(paid, code="refund", at=NOW)]
    assert wallet(fan) == Balance(1_000, 0)
    assert TransferRow.objects.filter(journal_id=paid.journal_id).count() == 2


def test_the_row_refuses_what_the_rules_missed(fan, fees):
    def write_unasked() -> None:
        services.write_transfers([payment(fan, fees, 1_001)])

    with pytest.raises(IntegrityError, match="account_available_never_negative"):
        in_transaction(write_unasked, name="test")
    assert wallet(fan) == Balance(1_000, 0)


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "plain", "amount_minor": 0, "held_minor": 0},
        {"kind": "plain", "amount_minor": 1, "held_minor": 1},
        {"kind": "pending", "amount_minor": 1, "held_minor": 1},
        {"kind": "posted", "amount_minor": 1, "held_minor": -1},  # of which hold?
        {"kind": "voided", "amount_minor": 1, "held_minor": -1, "pending_id": UUID(int=1)},
        {"kind": "gift", "amount_minor": 1, "held_minor": 0},
        {"kind": "plain", "amount_minor": -1, "held_minor": 0},
    ],
)
def test_a_row_that_means_nothing_is_refused(fan, fees, values):
    row = TransferRow(
        id=uuid7(), journal_id=uuid7(), debit_account_id=account_of(fan), credit_account_id=fees, currency="EUR", code="x",
        subject_id=uuid7(), at=NOW, recorded_at=NOW, **values,
    )  # fmt: skip

    with pytest.raises(IntegrityError):
        row.save(force_insert=True)


def test_an_account_is_opened_once_by_any_number_of_callers(race):
    owner = uuid7()

    ids = race(*[partial(open_account, owner, AccountKind.PROCEEDS)] * 6)

    assert len(set(ids)) == 1
    assert Account.objects.filter(owner_id=owner).count() == 1


def test_opening_accounts_keeps_kinds_and_currencies_apart():
    owner = uuid7()
    keys = [AccountKey(owner, kind, currency) for kind in ("wallet", "proceeds") for currency in ("EUR", "PLAY")]

    opened = in_transaction(lambda: services.open_accounts([*keys, *keys]), name="test")

    assert len(set(opened.values())) == 4
    kept = Account.objects.filter(owner_id=owner, keeps_balance=True)
    assert {(row.kind, row.currency) for row in kept} == {("wallet", "EUR"), ("wallet", "PLAY")}


def test_a_statement_shows_each_line_with_the_balance_after_it(fan, fees):
    make(payment(fan, fees, 100, at=NOW + SECOND))
    pending = hold(fan, fees, 300)
    make(rules.replace(pending, at=NOW + 2 * SECOND))
    make(rules.post(pending, amount_minor=120, code="capture", at=NOW + 3 * SECOND))

    lines = selectors.statement(account_of(fan)).rows[::-1]

    assert [(line.code, line.amount_minor, line.held_minor, line.balance_minor) for line in lines] == [
        ("top_up", 1_000, 0, 1_000),
        ("purchase", -100, 0, 900),
        ("hold", -300, 300, 600),
        ("capture", 180, -300, 780),
    ]
    assert lines[-1].balance_minor == wallet(fan).available_minor
    later = selectors.statement(account_of(fan), since=NOW + SECOND, until=NOW + 3 * SECOND).rows[::-1]
    assert [(line.code, line.balance_minor) for line in later] == [("purchase", 900), ("hold", 600)]

    pages, cursor = [], ""
    while cursor is not None:
        page = selectors.statement(account_of(fan), cursor=cursor, limit=1)
        pages += page.rows
        cursor = page.next
    assert pages == list(lines[::-1])
    with pytest.raises(Invalid):
        selectors.statement(account_of(fan), cursor="yesterday")


def test_a_balance_as_of_a_date_counts_what_was_dated_before_it(fan, fees):
    make(payment(fan, fees, 100, at=NOW + SECOND))
    make(payment(fan, fees, 10, at=NOW + 2 * SECOND))

    account = account_of(fan)
    assert selectors.balance(account, at=NOW) == Balance(0, 0)
    assert selectors.balance(account, at=NOW + SECOND) == Balance(1_000, 0)
    assert selectors.balance(account, at=NOW + 2 * SECOND) == Balance(900, 0)
    assert selectors.balance(account) == Balance(890, 0)


def test_a_checkpoint_and_what_came_since_equal_the_whole_sum(fan, fees):
    make(payment(fan, fees, 100))
    make(payment(fan, fees, 20))
    age_transfers(11)
    now = dt.datetime.now(dt.UTC)

    moved = services.checkpoint_accounts(now=now)
    make(payment(fan, fees, 3))

    assert moved == 2  # the fees, and the outside world the fan's money came from
    assert services.checkpoint_accounts(now=now) == 0
    assert Checkpoint.objects.get(account_id=fees).available_minor == 120
    assert selectors.balance(fees) == Balance(123, 0)
    Checkpoint.objects.all().delete()
    assert selectors.balance(fees) == Balance(123, 0)


def test_checkpoints_made_at_the_same_time_are_made_once(fan, fees, race):
    make(payment(fan, fees, 100))
    age_transfers(11)
    now = dt.datetime.now(dt.UTC)

    race(*[partial(services.checkpoint_accounts, now=now)] * 4)

    assert Checkpoint.objects.filter(account_id=fees).count() == 1
    assert selectors.balance(fees) == Balance(100, 0)


def test_a_checkpoint_leaves_out_what_may_still_be_joined_by_others(fan, fees):
    make(payment(fan, fees, 100))

    # Everything is younger than a transaction may be old, so nothing is certain to be complete.
    assert services.checkpoint_accounts(now=dt.datetime.now(dt.UTC)) == 0
    assert Checkpoint.objects.count() == 0


def test_checkpoints_move_forward_and_each_is_used_for_its_time(fan, fees):
    make(payment(fan, fees, 100))
    age_transfers(11)
    services.checkpoint_accounts(now=dt.datetime.now(dt.UTC))
    make(payment(fan, fees, 20))
    age_transfers(9.5, recorded_after=dt.datetime.now(dt.UTC) - 60 * SECOND)
    services.checkpoint_accounts(now=dt.datetime.now(dt.UTC) + 60 * SECOND)

    sums = Checkpoint.objects.filter(account_id=fees).order_by("until").values_list("available_minor", flat=True)
    assert list(sums) == [100, 120]
    assert selectors.balance(fees) == Balance(120, 0)


def age_transfers(minutes: float, recorded_after: dt.datetime = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)) -> None:
    """As if they had been recorded so much earlier."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ledger_transfer SET recorded_at = recorded_at - %s WHERE recorded_at > %s",
            [dt.timedelta(minutes=minutes), recorded_after],
        )


def test_accountants_see_two_entries_of_each_move_and_none_of_a_hold(fan, fees):
    paid = payment(fan, fees, 100)
    pending = hold(fan, fees, 300)
    make(paid, pending)

    entries = rows("SELECT account_id, amount_minor FROM ledger_entry WHERE journal_id = %s", paid.journal_id)

    assert entries == sorted([(account_of(fan), -100), (fees, 100)], key=repr)
    assert rows("SELECT count(*) FROM ledger_entry WHERE journal_id = %s", pending.journal_id) == [(0,)]


def test_writing_needs_an_open_transaction(fan, fees):
    with pytest.raises(AssertionError):
        services.write_transfers([payment(fan, fees)])
    assert outcomes([make(payment(fan, fees))]) == {"ok": 1}
