from __future__ import annotations

from functools import partial

import pytest
from django.db import IntegrityError
from django.urls import reverse

from core.errors import Invalid
from core.ids import uuid7
from core.money import Money
from ledger.models import Transfer
from ledger.rules import Balance
from payments import providers, services
from payments.errors import AmountOutOfRange, NoProvider, TopUpConflict, TopUpNotFound
from payments.models import TopUp
from payments.providers import PaymentEvent, Simulated
from tests.tools.shop import NOW, wallet

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fan(make_fan):
    return make_fan()


def start(fan, minor=2_500, top_up_id=None, currency="EUR") -> TopUp:
    return services.start_top_up(top_up_id=top_up_id or uuid7(), user_id=fan, amount=Money(minor, currency), now=NOW)


def complete(top_up: TopUp, *, is_paid: bool = True) -> TopUp:
    return services.complete_top_up(event=Simulated().decided(top_up, is_paid=is_paid), now=NOW)


def test_paid_money_is_in_the_wallet_once(fan):
    top_up = start(fan)
    assert wallet(fan) == Balance(0, 0)

    assert complete(top_up).state == "paid"
    assert complete(top_up).state == "paid"

    assert wallet(fan) == Balance(2_500, 0)
    transfer = Transfer.objects.get()
    assert transfer.subject_id == top_up.id
    assert transfer.id == TopUp.objects.get().transfer_id


def test_the_ledgers_key_is_not_the_id_that_the_fan_chose(fan):
    top_up = start(fan)

    complete(top_up)

    assert not Transfer.objects.filter(id=top_up.id).exists()


def test_a_provider_that_tells_it_many_times_at_once_pays_once(fan, race):
    top_up = start(fan)

    results = race(*[partial(complete, top_up)] * 6)

    assert [result.state for result in results] == ["paid"] * 6
    assert wallet(fan) == Balance(2_500, 0)


def test_news_in_any_order_ends_the_same_way(fan):
    for order in ([False, True], [True, False], [False, False, True], [True, True, False]):
        top_up = start(fan, 100)
        before = wallet(fan).available_minor
        for is_paid in order:
            complete(top_up, is_paid=is_paid)
        assert TopUp.objects.get(id=top_up.id).state == "paid", order
        assert wallet(fan).available_minor == before + 100


def test_a_payment_that_failed_brings_nothing(fan):
    assert complete(start(fan), is_paid=False).state == "failed"
    assert wallet(fan) == Balance(0, 0)


def test_paid_and_failed_at_once_is_paid(fan, race):
    top_up = start(fan)

    race(*[partial(complete, top_up, is_paid=is_paid) for is_paid in (True, False) * 3])

    assert TopUp.objects.get().state == "paid"
    assert wallet(fan) == Balance(2_500, 0)


def test_a_repeat_starts_one_payment(fan, race):
    top_up_id = uuid7()

    results = race(*[partial(start, fan, top_up_id=top_up_id)] * 6)

    assert {result.id for result in results} == {top_up_id}
    assert TopUp.objects.count() == 1


def test_an_id_is_one_users_and_one_amount(fan, make_fan):
    top_up = start(fan)

    for other in (partial(start, fan, 2_501), partial(start, make_fan()), partial(start, fan, currency="USD")):
        with pytest.raises(TopUpConflict):
            other(top_up_id=top_up.id)
    assert TopUp.objects.count() == 1


@pytest.mark.parametrize(
    ("minor", "currency"), [(0, "EUR"), (99, "EUR"), (100_001, "EUR"), (99, "JPY"), (150_001, "JPY")]
)
def test_amounts_have_bounds(fan, minor, currency):
    with pytest.raises(AmountOutOfRange):
        start(fan, minor, currency=currency)
    assert TopUp.objects.count() == 0


@pytest.mark.parametrize(("minor", "currency"), [(100, "EUR"), (100_000, "CHF"), (100, "JPY"), (150_000, "JPY")])
def test_amounts_at_the_bounds_are_taken(fan, minor, currency):
    assert start(fan, minor, currency=currency).amount_minor == minor


def test_play_money_is_not_bought(fan):
    with pytest.raises(Invalid) as refusal:
        start(fan, currency="PLAY")
    assert refusal.value.data == {"field": "currency"}

    assert TopUp.objects.count() == 0


def test_a_payment_in_play_money_that_was_started_before_this_rule_brings_nothing(fan):
    top_up = TopUp.objects.create(user_id=fan, amount_minor=500, currency="PLAY", created_at=NOW)

    with pytest.raises(Invalid):
        complete(top_up)
    with pytest.raises(IntegrityError):  # whatever the service let through
        TopUp.objects.update(transfer_id=uuid7())

    assert complete(top_up, is_paid=False).state == "failed"
    assert wallet(fan, "PLAY") == Balance(0, 0)


@pytest.mark.parametrize("change", [{"amount_minor": 9_999}, {"currency": "USD"}])
def test_a_provider_that_speaks_of_another_amount_is_not_believed(fan, change):
    top_up = start(fan)
    facts = {"top_up_id": top_up.id, "is_paid": True, "amount_minor": 2_500, "currency": "EUR", "provider_ref": "x"}

    with pytest.raises(TopUpConflict):
        services.complete_top_up(event=PaymentEvent(**(facts | change)), now=NOW)
    assert wallet(fan) == Balance(0, 0)


def test_a_payment_nobody_started_is_missing(fan, make_fan):
    with pytest.raises(TopUpNotFound):
        services.complete_top_up(event=PaymentEvent(uuid7(), True, 100, "EUR", "x"), now=NOW)
    with pytest.raises(TopUpNotFound):
        services.get_top_up_of_user(make_fan(), start(fan).id)


def test_without_a_provider_nothing_is_started(fan, settings):
    settings.PAYMENT_PROVIDER = ""

    with pytest.raises(NoProvider):
        start(fan)
    assert TopUp.objects.count() == 0


def test_the_simulated_provider_sends_the_fan_to_our_own_page(fan):
    top_up = start(fan)

    assert providers.current().checkout_url(top_up) == reverse("payments:simulated", args=[top_up.id])
    assert providers.current().read_event(b"{}", {}) is None


def test_currencies_have_wallets_of_their_own(fan):
    complete(start(fan, 500))
    complete(start(fan, 700, currency="USD"))

    assert (wallet(fan, "EUR"), wallet(fan, "USD")) == (Balance(500, 0), Balance(700, 0))
