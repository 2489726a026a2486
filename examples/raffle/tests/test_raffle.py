"""What only a raffle does; run with the example installed, see `examples/tests/test_examples.py`."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.test import Client

from core import clock
from core.ids import uuid7
from core.transactions import in_transaction
from examples.raffle.format import RAFFLE, RaffleRules
from examples.raffle.models import Entry, Raffle
from ledger import selectors as ledger_selectors
from ledger.errors import TransferConflict
from ledger.models import AccountKey, AccountKind
from sales import levers, plain, proof, stuck
from sales import services as sales
from sales.models import Sale, StuckRow
from tests.tools import shop
from tests.tools.contract import Asking, Stage, logged_in
from tests.tools.tamper import tamper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]


@pytest.fixture
def stage() -> Stage:
    return Stage(RAFFLE)


@pytest.fixture
def sale(stage: Stage) -> Sale:
    """One prize, 5.00 an entry."""
    return stage.publish()


def enter(stage: Stage, sale: Sale, fan_id: UUID) -> Any:
    stage.fan_id = fan_id
    return Asking(stage, RAFFLE.places[0], sale)()


def settle(stage: Stage, sale: Sale) -> None:
    sales.close_sale_early(seller_id=stage.shop.id, sale_id=sale.id, now=clock.now())
    sales.settle_to_the_end(sale.id)


def room(sale: Sale, client: Client | None = None) -> str:
    return (client or Client()).get(f"/sales/{sale.id}/").content.decode()


def broken(sale: Sale) -> list[str]:
    return [finding.check.name for finding in proof.prove_sale(sale, books=False).findings if not finding.holds]


def test_no_migration_is_missing():
    call_command("makemigrations", "raffle", check=True, dry_run=True, verbosity=0)


def test_the_seed_draws_the_winner_and_the_seller_has_what_was_paid(stage, sale):
    fans = shop.make_fans(5, funds=500)
    for fan_id in fans:
        assert enter(stage, sale, fan_id).json()["state"] == "in"
    seed = str(Raffle.objects.get().seed)
    assert hashlib.sha256(seed.encode()).hexdigest() in Client().get(f"/sales/{sale.id}/terms/").content.decode()
    assert seed not in room(sale)

    settle(stage, sale)

    winner = min(fans, key=lambda fan_id: hashlib.sha256(f"{seed}{fan_id}".encode()).digest())
    assert [entry.fan_id for entry in Entry.objects.filter(state="won")] == [winner]
    assert f"Drawn by the seed {seed}" in room(sale)
    assert {fan_id for fan_id in fans if "Your entry: won" in room(sale, logged_in(fan_id))} == {winner}
    proceeds = AccountKey(stage.shop.id, AccountKind.PROCEEDS, "EUR")
    assert (
        ledger_selectors.balance(ledger_selectors.account_ids([proceeds])[proceeds]).available_minor == 2_375
    )  # the house keeps 5 %


def test_a_raffle_that_nobody_entered_is_settled(stage, sale):
    settle(stage, sale)

    assert Sale.objects.get().state == "settled"


def test_a_free_raffle_needs_no_wallet(stage):
    Raffle.objects.filter(sale=(sale := stage.draft())).update(price_minor=0)
    sales.publish_sale(seller_id=stage.shop.id, sale_id=sale.id, now=clock.now())

    assert enter(stage, sale, shop.make_fan()).status_code == 201


def test_a_fan_is_in_once_whatever_the_key(stage, sale):
    first, second = (enter(stage, sale, stage.fan_id) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()


def test_a_fan_enters_by_the_button_of_the_room(stage, sale):
    fan = logged_in(stage.fan_id)
    assert f'action="/sales/{sale.id}/enter/"' in room(sale, fan)
    assert "Log in to enter" in room(sale)

    page, key = f"/sales/{sale.id}/enter/", str(uuid7())
    for _ in range(2):
        answer = fan.post(page, {"key": key}, follow=True)
        assert "That is done." in answer.content.decode()
        assert "1 in the draw for 1 prize" in answer.content.decode()
        assert "Your entry: in" in answer.content.decode()
    assert Entry.objects.count() == 1
    assert fan.get(page)["Location"] == f"/sales/{sale.id}/"
    assert fan.post(page, {}).status_code == 422
    assert logged_in(shop.make_fan()).post(page, {"key": key}).status_code == 409  # no money
    assert Client().post(page, {"key": key})["Location"].startswith("/accounts/login/")


def test_each_check_sees_what_was_tampered_with(stage, sale):
    for fan_id in shop.make_fans(3, funds=500):
        enter(stage, sale, fan_id)
    settle(stage, sale)
    assert broken(sale) == []

    with tamper("UPDATE raffle_entry SET state = 'won' WHERE state <> 'won'"):
        assert broken(sale) == ["by_the_seed"]
    with tamper("UPDATE raffle_entry SET state = 'in'"):
        assert broken(sale) == ["by_the_seed"]
    with tamper("UPDATE ledger_transfer SET amount_minor = amount_minor - 1 WHERE code = 'purchase'"):
        assert broken(sale) == ["each_entry_paid_for"]
    with tamper("UPDATE raffle_raffle SET seed = sale_id, prizes = 3", "UPDATE raffle_entry SET state = 'won'"):
        assert broken(sale) == ["terms_rule"]


def test_an_entry_that_cannot_be_given_back_holds_up_nobody_else(stage, sale, monkeypatch):
    fans = sorted(shop.make_fans(3, funds=500))
    for fan_id in fans:
        enter(stage, sale, fan_id)
    first, give_back = Entry.objects.get(fan_id=fans[0]), plain.give_back

    def fail_for_one(purchase_ids, **given):
        if first.id in purchase_ids:
            raise ValueError("a row that nobody can bear")
        give_back(purchase_ids, **given)

    monkeypatch.setattr(plain, "give_back", fail_for_one)
    now = clock.now()
    sales.cancel_sale(seller_id=stage.shop.id, sale_id=sale.id, now=now)
    while sales.unwind_step(sale_id=sale.id, now=now):
        pass

    (row,) = StuckRow.objects.all()
    assert row.row_id == first.id
    assert list(Entry.objects.order_by("fan_id").values_list("state", flat=True)) == ["in", "refunded", "refunded"]
    monkeypatch.setattr(plain, "give_back", give_back)
    stuck.set_free(ids=[row.id], now=now)
    while sales.unwind_step(sale_id=sale.id, now=now):
        pass
    assert {shop.wallet(fan_id, "EUR").available_minor for fan_id in fans} == {500}


def test_nobody_is_refunded_on_paper_alone(stage, sale, monkeypatch):
    (fan_id,) = shop.make_fans(1, funds=500)
    enter(stage, sale, fan_id)
    monkeypatch.setattr(plain.ledger, "do_transfers", lambda transfers: [TransferConflict() for _ in transfers])

    with pytest.raises(TransferConflict):
        in_transaction(lambda: plain.give_back([Entry.objects.get().id], now=clock.now()), name="test")


def test_what_was_passed_on_of_a_sale_that_is_called_off_while_it_is_settled_comes_back(stage, sale, monkeypatch):
    fans = shop.make_fans(3, funds=500)
    for fan_id in fans:
        enter(stage, sale, fan_id)
    settle = RaffleRules.settle_step
    # In two steps: half way all of it is the seller's already.
    monkeypatch.setattr(RaffleRules, "settle_step", lambda *args, **how: settle(*args, **how) or clock.now())
    now = clock.now()
    sales.close_sale_early(seller_id=stage.shop.id, sale_id=sale.id, now=now)
    sales.settle_step(sale_id=sale.id, now=now)

    levers.void_sale(sale_id=sale.id, staff_id=shop.make_fan(), reason="A fraud", now=now)
    while sales.unwind_step(sale_id=sale.id, now=now):
        pass

    assert {shop.wallet(fan_id, "EUR").available_minor for fan_id in fans} == {500}
    seller = AccountKey(stage.shop.id, AccountKind.PROCEEDS, "EUR")
    proceeds_id = ledger_selectors.account_ids([seller])[seller]
    assert ledger_selectors.balance(proceeds_id).available_minor == 0
