"""Commits that fail, and commits whose answer is lost: the same rows, the same outcome and one effect, as if all had gone well."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command

from core.errors import Busy
from core.ids import uuid7
from core.money import Money
from drops import services as drops
from drops import settlement
from drops.models import Order, OrderState
from dsql import faults, transactions
from payments import services as payments
from payments.providers import Simulated
from sales import services as sales
from tests.tools.shop import NOW, drop_terms, make_drop, make_fan, make_fans, make_seller, purchase
from tests.tools.truth import picture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_pauses")]

Step = Callable[[], Any]
Fault = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Story:
    """Steps that are each retried whole, and the sale whose rows tell how it ended."""

    sale_id: UUID
    steps: list[Step]


def buying() -> Story:
    drop, fan = make_drop(limit_per_fan=2), make_fan(funds=5_000)
    request = purchase(fan, 2)
    return Story(drop.sale_id, [lambda: drops.place_order(drop.sale_id, request)])


def being_refused() -> Story:
    drop, fan = make_drop(units_total=1), make_fan(funds=5_000)
    request = purchase(fan, 2)
    return Story(drop.sale_id, [lambda: drops.place_order(drop.sale_id, request)])


def holding_and_confirming() -> Story:
    drop, fan = make_drop(hold_s=60), make_fan(funds=1_000)
    request = purchase(fan, hold=True)
    order = {"order_id": request.order_id, "fan_id": fan, "drop_id": drop.sale_id}
    return Story(
        drop.sale_id,
        [lambda: drops.place_order(drop.sale_id, request), lambda: drops.confirm_order(**order, now=NOW)],
    )


def giving_back() -> Story:
    drop, fan = make_drop(cancel_s=60, limit_per_fan=1), make_fan(funds=1_000)
    bought = drops.place_order(drop.sale_id, purchase(fan))
    order = {"order_id": bought.id, "fan_id": fan, "drop_id": drop.sale_id}
    return Story(drop.sale_id, [lambda: drops.cancel_order(**order, now=NOW)])


def topping_up() -> Story:
    fan, top_up_id = make_fan(), uuid7()

    def start() -> Any:
        return payments.start_top_up(top_up_id=top_up_id, user_id=fan, amount=Money(500, "EUR"), now=NOW)

    def complete() -> Any:
        event = Simulated().decided(payments.get_top_up_of_user(fan, top_up_id), is_paid=True)
        return payments.complete_top_up(event=event, now=NOW)

    return Story(uuid7(), [start, complete])


def publishing() -> Story:
    terms = drop_terms(units_total=120, hold_s=60)
    draft = terms["draft"]
    sale = {"sale_id": draft.sale_id, "seller_id": draft.seller_id, "now": NOW}
    return Story(draft.sale_id, [lambda: drops.draft_drop(**terms).sale, lambda: sales.publish_sale(**sale)])


def closing_and_settling() -> Story:
    seller = make_seller()
    drop = make_drop(seller=seller)
    for fan in make_fans(3, funds=1_000):
        drops.place_order(drop.sale_id, purchase(fan))

    def settle() -> None:
        while sales.settle_step(sale_id=drop.sale_id, now=NOW):
            pass

    close = {"sale_id": drop.sale_id, "seller_id": seller.id, "now": NOW}
    return Story(drop.sale_id, [lambda: sales.close_sale_early(**close), settle])


def calling_off() -> Story:
    seller = make_seller()
    drop = make_drop(seller=seller, hold_s=60)
    for number, fan in enumerate(make_fans(3, funds=1_000)):
        drops.place_order(drop.sale_id, purchase(fan, hold=number == 0))

    def unwind() -> None:
        while sales.unwind_step(sale_id=drop.sale_id, now=NOW):
            pass

    call_off = {"sale_id": drop.sale_id, "seller_id": seller.id, "now": NOW}
    return Story(drop.sale_id, [lambda: sales.cancel_sale(**call_off), unwind])


STORIES = [
    buying, being_refused, holding_and_confirming, giving_back, topping_up, publishing, closing_and_settling, calling_off,
]  # fmt: skip


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    # Of one: a settling step gets smaller with every conflict, and a smaller one leaves other settlements behind.
    monkeypatch.setattr(settlement.DropRules, "settle_chunk", 1)
    monkeypatch.setattr(settlement.DropRules, "unwind_chunk", 2)
    monkeypatch.setattr(settlement, "GIVE_BACK_CHUNK_ORDERS", 2)


def play(story: Story, fault: Fault, sent_frames: list[Any]) -> tuple[list[Any], list[int]]:
    """Each step under the fault: what each gave, without ids, and how often each had viewers told."""
    outcomes, told = [], []
    for step in story.steps:
        sent_frames.clear()
        with fault():
            outcomes.append(seen(step))
        told.append(len(sent_frames))
    return outcomes, told


def seen(step: Step) -> Any:
    try:
        outcome = step()
    except Exception as refusal:  # a refusal is an outcome like any other
        return getattr(refusal, "code", repr(refusal)), getattr(refusal, "data", None)
    return type(outcome).__name__, str(getattr(outcome, "state", outcome)), getattr(outcome, "quantity", None)


_undisturbed: dict[str, tuple[list[Any], list[int], dict[str, Any]]] = {}


def undisturbed(tell: Callable[[], Story], sent_frames: list[Any]) -> tuple[list[Any], list[int], dict[str, Any]]:
    """The story's outcomes, frames and rows when nothing fails. Played once, then remembered; leaves no rows."""
    if tell.__name__ not in _undisturbed:
        story = tell()
        outcomes, told = play(story, nullcontext, sent_frames)
        _undisturbed[tell.__name__] = outcomes, told, picture(story.sale_id)
        call_command("flush", interactive=False, verbosity=0)
    return _undisturbed[tell.__name__]


@pytest.mark.parametrize("failures", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("tell", STORIES)
def test_failed_commits_change_nothing(tell, failures, sent_frames):
    outcomes, told, rows = undisturbed(tell, sent_frames)
    story = tell()

    assert play(story, lambda: faults.fail_commits(failures), sent_frames) == (outcomes, told)
    assert picture(story.sale_id) == rows


@pytest.mark.parametrize("losses", [1, 2])
@pytest.mark.parametrize("tell", STORIES)
def test_lost_answers_change_nothing(tell, losses, sent_frames):
    outcomes, told, rows = undisturbed(tell, sent_frames)
    story = tell()

    outcomes_then, told_then = play(story, lambda: faults.lose_commit_answers(losses), sent_frames)

    assert outcomes_then == outcomes
    assert picture(story.sale_id) == rows
    # Viewers hear of a change even when we did not hear that it was made.
    assert [bool(times) for times in told_then] == [bool(times) for times in told]


@pytest.mark.parametrize("tell", [buying, holding_and_confirming, giving_back, topping_up, publishing])
def test_past_the_deadline_the_caller_is_told_and_nothing_has_happened(tell, sent_frames, fast_clock):
    story = tell()
    before = picture(story.sale_id)
    sent_frames.clear()

    with faults.fail_commits(10_000) as injection, pytest.raises(Busy):
        story.steps[0]()

    assert injection.injected > 5
    assert picture(story.sale_id) == before
    assert sent_frames == []


def test_a_repeat_after_busy_buys_once(sent_frames, fast_clock):
    drop, fan = make_drop(), make_fan(funds=3_000)
    request = purchase(fan)
    with faults.fail_commits(10_000), pytest.raises(Busy):
        drops.place_order(drop.sale_id, request)
    with faults.lose_commit_answers(10_000), pytest.raises(Busy):
        drops.place_order(drop.sale_id, request)

    order = drops.place_order(drop.sale_id, purchase(fan, key=request.idempotency_key))

    assert order.id == request.order_id  # bought by the second try, whose answer nobody heard
    assert Order.objects.get().state == OrderState.PAID


@pytest.mark.parametrize("nth", [1, 2, 3])  # the terms, the state, and all that is written
def test_a_conflict_at_any_statement_of_a_purchase_is_run_again(nth, sent_frames):
    drop, fan = make_drop(limit_per_fan=1), make_fan(funds=1_000)
    sent_frames.clear()

    with faults.fail_statement(nth, "40001") as injection:
        order = drops.place_order(drop.sale_id, purchase(fan))

    assert injection.injected == 1
    assert (order.state, Order.objects.count()) == ("paid", 1)
    assert sent_frames == [drop.sale_id]


def test_a_purchase_whose_connection_dies_midway_is_run_again(sent_frames):
    drop, fan = make_drop(), make_fan(funds=1_000)

    with faults.fail_statement(3, "57P01", "terminating connection due to administrator command"):
        order = drops.place_order(drop.sale_id, purchase(fan))

    assert (order.state, Order.objects.count()) == ("paid", 1)


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses take no time, but the clock by which the deadline goes believes in them."""

    class Time:
        now_s = 1_000.0

        def monotonic(self) -> float:
            return self.now_s

        def sleep(self, pause_s: float) -> None:
            self.now_s += pause_s

    time = Time()
    monkeypatch.setattr(transactions, "time", time)
    monkeypatch.setattr(transactions, "sleep", time.sleep)
