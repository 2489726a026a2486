"""The ledger's arithmetic, by properties: any sequence of transfers, in any order, right or wrong."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import uuid7
from core.money import MINOR_MAX
from ledger import rules
from ledger.errors import InsufficientFunds
from ledger.rules import Balance, Transfer
from tests.tools.shop import NOW

WALLETS = [UUID(int=n) for n in range(1, 4)]  # keep a balance, and may not fall below zero
COLLECTING = [UUID(int=n) for n in range(11, 13)]  # only collect

accounts = st.sampled_from(WALLETS + COLLECTING)
amounts = st.integers(1, 1_000)
# (kind, debit, credit, amount, which of the earlier transfers, how much of a hold in percent)
moves = st.tuples(
    st.sampled_from(["pay", "hold", "post", "void", "reverse"]), accounts, accounts, amounts, st.integers(0, 50),
    st.integers(1, 100),
)  # fmt: skip


def play(sequence: list[Any]) -> tuple[dict[UUID, Balance], list[Transfer]]:
    """Apply what the rules allow of a sequence: the balances kept, and the transfers made."""
    balances = {wallet: Balance(1_000, 0) for wallet in WALLETS}
    made: list[Transfer] = []
    for kind, debit, credit, amount, which, percent in sequence:
        transfer = build(kind, debit, credit, amount, which, percent, made)
        if transfer is None or transfer.id in {earlier.id for earlier in made}:
            continue  # the primary key admits it once
        before = dict(balances)
        try:
            rules.apply(balances, transfer)
        except InsufficientFunds:
            assert balances == before  # a refusal changes nothing
        else:
            made.append(transfer)
    return balances, made


def build(kind: str, debit: UUID, credit: UUID, amount: int, which: int, percent: int, made: Any) -> Transfer | None:
    terms = {"currency": "EUR", "subject_id": uuid7(), "at": NOW}
    if kind in ("pay", "hold"):
        if debit == credit:
            return None
        terms |= {"id": uuid7(), "debit": debit, "credit": credit, "amount_minor": amount, "code": kind}
        return rules.pay(**terms) if kind == "pay" else rules.hold(**terms, expires_at=NOW)
    candidates = [
        t for t in made if (t.kind == rules.PENDING) == (kind != "reverse") and (kind != "reverse" or t.amount_minor)
    ]
    if not candidates:
        return None
    earlier = candidates[which % len(candidates)]
    if kind == "post":
        return rules.post(earlier, amount_minor=max(1, earlier.held_minor * percent // 100), code="capture", at=NOW)
    return (
        rules.void(earlier, code="release", at=NOW) if kind == "void" else rules.reverse(earlier, code="refund", at=NOW)
    )


sequences = st.lists(moves, max_size=40)


@given(sequences)
def test_no_balance_is_ever_negative(sequence):
    balances, _ = play(sequence)

    assert all(balance.available_minor >= 0 and balance.held_minor >= 0 for balance in balances.values())


@given(sequences)
def test_the_balances_kept_equal_the_sum_of_the_transfers(sequence):
    balances, made = play(sequence)
    summed = rules.changes(made)

    for wallet, balance in balances.items():
        available, held = summed.get(wallet, (0, 0))
        assert balance == Balance(1_000 + available, held)


@given(sequences)
def test_all_changes_sum_to_zero(sequence):
    _, made = play(sequence)

    assert sum(available + held for available, held in rules.changes(made).values()) == 0


@given(sequences)
def test_a_hold_ends_once_and_whole(sequence):
    _, made = play(sequence)
    holds = {t.id: t.held_minor for t in made if t.kind == rules.PENDING}
    endings = [(t.pending_id, -t.held_minor) for t in made if t.pending_id]

    assert len({pending for pending, _ in endings}) == len(endings)
    assert all(holds[pending] == amount for pending, amount in endings)
    still_held = sum(amount for id, amount in holds.items() if id not in dict(endings))
    assert still_held == sum(held for _, held in rules.changes(made).values())


@given(sequences)
def test_a_transfer_is_reversed_at_most_once(sequence):
    _, made = play(sequence)
    reversible = {rules.reverse(t, code="refund", at=NOW).id for t in made if t.amount_minor}
    reversals = [t.id for t in made if t.code == "refund"]

    assert len(set(reversals)) == len(reversals)
    assert set(reversals) <= reversible


def hold(amount_minor: int = 100) -> Transfer:
    return rules.hold(
        id=uuid7(), debit=WALLETS[0], credit=COLLECTING[0], amount_minor=amount_minor, currency="EUR", code="hold",
        subject_id=uuid7(), at=NOW, expires_at=NOW + dt.timedelta(seconds=60),
    )  # fmt: skip


def test_part_of_a_hold_can_be_captured_and_the_rest_is_free_again():
    pending = hold(100)
    balances = {WALLETS[0]: Balance(100, 0)}

    rules.apply(balances, pending)
    assert balances[WALLETS[0]] == Balance(0, 100)
    rules.apply(balances, rules.post(pending, amount_minor=30, code="capture", at=NOW))
    assert balances[WALLETS[0]] == Balance(70, 0)


def test_capturing_and_releasing_a_hold_have_one_id():
    pending = hold()
    posted, voided = rules.post(pending, amount_minor=1, code="capture", at=NOW), rules.void(pending, code="x", at=NOW)

    assert posted.id == voided.id == rules.resolution_id(pending.id)
    assert not posted.same_content(voided)


def test_a_repeat_may_come_later_but_not_with_other_content():
    first = hold()
    later = rules.replace(first, at=NOW + dt.timedelta(seconds=9), expires_at=NOW + dt.timedelta(seconds=99))

    assert first.same_content(later)
    for change in ({"held_minor": 1}, {"currency": "USD"}, {"subject_id": uuid7()}, {"code": "other"}):
        assert not first.same_content(rules.replace(first, **change))


def test_a_hold_expires_only_after_its_time():
    pending = hold()

    with pytest.raises(AssertionError):
        rules.expire(pending, at=NOW + dt.timedelta(seconds=59))
    assert rules.expire(pending, at=NOW + dt.timedelta(seconds=60)).kind == rules.VOIDED


@pytest.mark.parametrize("amount", [0, -1, MINOR_MAX + 1])
def test_amounts_that_no_rule_asks_for_are_a_bug_of_the_caller(amount):
    with pytest.raises(AssertionError):
        hold(amount)
    with pytest.raises(AssertionError):
        rules.post(hold(100), amount_minor=amount, code="capture", at=NOW)


def test_what_many_orders_come_to_goes_over_in_one_transfer():
    terms = {
        "id": uuid7(), "debit": COLLECTING[0], "credit": COLLECTING[1], "currency": "EUR", "code": "proceeds",
        "subject_id": uuid7(), "at": NOW,
    }  # fmt: skip

    assert rules.pay(**terms, amount_minor=1_000 * MINOR_MAX).amount_minor == 1_000 * MINOR_MAX
    for amount in (0, -1, 2**63):
        with pytest.raises(AssertionError):
            rules.pay(**terms, amount_minor=amount)


def test_only_holds_end_and_only_moved_money_goes_back():
    pending = hold()
    posted = rules.post(pending, amount_minor=100, code="capture", at=NOW)

    with pytest.raises(AssertionError):
        rules.post(posted, amount_minor=1, code="capture", at=NOW)
    with pytest.raises(AssertionError):
        rules.void(posted, code="release", at=NOW)
    with pytest.raises(AssertionError):
        rules.reverse(pending, code="refund", at=NOW)
