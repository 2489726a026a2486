"""What staff can do to a sale, for every format: pause it, let it go on, call it off with all money back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils import translation

from accounts.models import Notification, User
from core import due_work
from core.errors import Busy, Invalid, NotAllowed, Refusal
from drops import services as drops
from drops.rules import OrderValue
from drops.settlement import DropRules
from rallies import services as rallies
from rallies.settlement import RallyRules
from sales import gates, levers, stuck, telling
from sales import services as sales
from sales.errors import Frozen, NotOpen, WrongState
from sales.models import Sale, SaleState, StaffAction
from sales.presenters import events
from sellers import selectors as seller_selectors
from tests.tools import shop
from tests.tools.shop import HOUR, NOW, buy, drop_terms, join, make_drop, make_fan, make_fans, make_rally, wallet
from tests.tools.truth import broken_checks

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = dt.timedelta(minutes=1)
FUNDS = 20_000


@pytest.fixture
def staff() -> UUID:
    return make_fan()


def make_bought_drop(fans: list[UUID], **terms: Any) -> UUID:
    drop = make_drop(units_total=5, **terms)
    for fan in fans:
        buy(drop, fan)
    return drop.sale_id


def make_joined_rally(fans: list[UUID]) -> UUID:
    rally = make_rally()
    for fan in fans:
        join(rally, fan)
    return rally.sale_id


each_format = pytest.mark.parametrize("make_sold", [make_bought_drop, make_joined_rally])


def freeze(sale_id: UUID, staff: UUID, at: dt.datetime = NOW) -> Sale:
    return levers.freeze_sale(sale_id=sale_id, staff_id=staff, reason="A doubt", now=at)


def resume(sale_id: UUID, staff: UUID, at: dt.datetime) -> Sale:
    return levers.resume_sale(sale_id=sale_id, staff_id=staff, reason="All is well", now=at)


def void(sale_id: UUID, staff: UUID, at: dt.datetime = NOW) -> Sale:
    return levers.void_sale(sale_id=sale_id, staff_id=staff, reason="A fraud", now=at)


def run_at(now: dt.datetime) -> None:
    while due_work.run_due(now=now):
        pass


def state_of(sale_id: UUID) -> str:
    return Sale.objects.get(id=sale_id).state


def told(fan: UUID) -> list[str]:
    return list(Notification.objects.filter(user_id=fan).order_by("made_at").values_list("title", flat=True))


def money(fan: UUID) -> tuple[int, int]:
    balance = wallet(fan)
    return balance.available_minor, balance.held_minor


# Pausing


@each_format
def test_nothing_is_bought_in_a_frozen_sale_and_all_of_it_afterwards(
    make_sold: Callable[..., UUID], staff: UUID
) -> None:
    first, second = make_fans(2, funds=FUNDS)
    sale_id = make_sold([first])
    buy_one = {"drop": buy, "rally": join}[Sale.objects.get(id=sale_id).format]
    format_row: Any = type("Row", (), {"sale_id": sale_id})

    freeze(sale_id, staff)
    with pytest.raises(Frozen):
        buy_one(format_row, second)
    resume(sale_id, staff, NOW + MINUTE)

    assert buy_one(format_row, second, at=NOW + 2 * MINUTE).fan_id == second
    assert broken_checks(sale_id) == []


@each_format
def test_a_frozen_sale_does_not_end_until_it_goes_on_and_then_later(
    make_sold: Callable[..., UUID], staff: UUID
) -> None:
    sale_id = make_sold(make_fans(2, funds=FUNDS))
    run_at(NOW)
    freeze(sale_id, staff, NOW + MINUTE)

    run_at(NOW + 3 * HOUR)
    assert state_of(sale_id) == SaleState.FROZEN
    resume(sale_id, staff, NOW + 3 * HOUR)
    moved_by = 3 * HOUR - MINUTE
    run_at(NOW + HOUR + moved_by - MINUTE)
    assert state_of(sale_id) == SaleState.LIVE

    run_at(NOW + HOUR + moved_by + MINUTE)
    assert state_of(sale_id) == SaleState.SETTLED
    assert broken_checks(sale_id) == []


def test_two_pauses_add_up(staff: UUID) -> None:
    drop = make_drop()
    for at in (NOW, NOW + 10 * MINUTE):
        freeze(drop.sale_id, staff, at)
        resume(drop.sale_id, staff, at + MINUTE)

    assert Sale.objects.get(id=drop.sale_id).moved_by == 2 * MINUTE


def test_a_pause_after_the_end_opens_nothing_again(staff: UUID) -> None:
    """The scheduler had not come by yet."""
    drop, fan = make_drop(), make_fan(funds=FUNDS)
    freeze(drop.sale_id, staff, NOW + HOUR)
    resume(drop.sale_id, staff, NOW + 5 * HOUR)

    with pytest.raises(NotOpen):
        buy(drop, fan, at=NOW + 5 * HOUR)


def test_a_hold_stays_in_a_pause_and_can_be_confirmed_as_long_after_it(staff: UUID) -> None:
    drop, fan = make_drop(hold_s=60), make_fan(funds=FUNDS)
    order = buy(drop, fan, hold=True)
    given = {"drop_id": drop.sale_id, "order_id": order.id, "fan_id": fan}

    freeze(drop.sale_id, staff, NOW + MINUTE / 2)
    run_at(NOW + 10 * MINUTE)
    with pytest.raises(Frozen):
        drops.confirm_order(**given, now=NOW + 10 * MINUTE)
    resume(drop.sale_id, staff, NOW + 10 * MINUTE)
    run_at(NOW + 10 * MINUTE + MINUTE / 4)

    assert drops.confirm_order(**given, now=NOW + 10 * MINUTE + MINUTE / 4).state == "paid"


@each_format
def test_its_seller_can_neither_end_nor_call_off_a_frozen_sale(make_sold: Callable[..., UUID], staff: UUID) -> None:
    sale_id = make_sold([])
    seller_id = freeze(sale_id, staff).seller_id

    for act in (sales.close_sale_early, sales.cancel_sale):
        with pytest.raises(Frozen):
            act(seller_id=seller_id, sale_id=sale_id, now=NOW)


def test_only_what_is_running_can_be_frozen(staff: UUID) -> None:
    drop = make_drop()
    sales.cancel_sale(seller_id=drop.sale.seller_id, sale_id=drop.sale_id, now=NOW)
    draft = drops.draft_drop(**drop_terms())

    for sale_id in (drop.sale_id, draft.sale_id):
        with pytest.raises(WrongState):
            freeze(sale_id, staff)
    with pytest.raises(WrongState):
        resume(make_drop().sale_id, staff, NOW)


def test_a_reason_is_asked_for_and_nothing_happens_without(staff: UUID) -> None:
    drop = make_drop()

    with pytest.raises(Invalid):
        levers.freeze_sale(sale_id=drop.sale_id, staff_id=staff, reason="  ", now=NOW)

    assert state_of(drop.sale_id) == SaleState.SCHEDULED


@each_format
def test_fans_are_told_why_each_time_and_the_proof_says_it(
    client: Client, make_sold: Callable[..., UUID], staff: UUID
) -> None:
    (fan,) = make_fans(1, funds=FUNDS)
    sale_id = make_sold([fan])
    title = Sale.objects.get(id=sale_id).title
    for minutes in (0, 10):
        freeze(sale_id, staff, NOW + minutes * MINUTE)
        freeze(sale_id, staff, NOW + minutes * MINUTE)  # pressed twice
        resume(sale_id, staff, NOW + (minutes + 1) * MINUTE)
        run_at(NOW + (minutes + 1) * MINUTE)

    assert sorted(told(fan)) == sorted([f"{title} is paused by staff", f"{title} goes on"] * 2)
    assert Notification.objects.filter(user_id=fan, text__contains="A doubt").count() == 2
    page = client.get(f"/proof/{sale_id}/").content.decode()
    assert page.count("Paused by staff") == 2
    assert "A doubt" in page


# Calling off after the end


@each_format
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_void_sale_gives_all_money_back_also_what_the_seller_had(
    make_sold: Callable[..., UUID], staff: UUID, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(DropRules, "settle_chunk", 1)
    monkeypatch.setattr(RallyRules, "settle_chunk", 1)
    fans = make_fans(3, funds=FUNDS)
    sale_id = make_sold(fans)
    shop.close_on_time(sale_id)
    after = NOW + HOUR + MINUTE
    for _ in range(steps):
        sales.settle_step(sale_id=sale_id, now=after)

    void(sale_id, staff, after)
    assert sales.settle_step(sale_id=sale_id, now=after) is None
    while sales.unwind_step(sale_id=sale_id, now=after + MINUTE):
        assert broken_checks(sale_id) == []

    assert [money(fan) for fan in fans] == [(FUNDS, 0)] * 3
    assert broken_checks(sale_id) == []
    run_at(after)
    title = Sale.objects.get(id=sale_id).title
    assert all(f"{title} was called off by staff" in told(fan) for fan in fans)


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_proof_says_once_who_called_a_sale_off(staff: UUID, language: str) -> None:
    voided, cancelled = make_drop().sale, make_drop().sale
    levers.void_sale(sale_id=voided.id, staff_id=staff, reason="It is a fake", now=NOW)
    sales.cancel_sale(seller_id=cancelled.seller_id, sale_id=cancelled.id, now=NOW)
    voided.refresh_from_db()
    cancelled.refresh_from_db()

    with translation.override(language):
        told = [[event.words for event in events(sale)] for sale in (voided, cancelled)]
    assert (
        told
        == {
            "en": [["Called off by staff"], ["Called off by the seller"]],
            "de": [["Abgesagt durch das Team"], ["Vom Verkäufer abgesagt"]],
        }[language]
    )


def test_a_settled_sale_stands(staff: UUID) -> None:
    drop = make_drop()
    shop.close_on_time(drop.sale_id)
    sales.settle_to_the_end(drop.sale_id)

    with pytest.raises(WrongState):
        void(drop.sale_id, staff)


def test_a_frozen_sale_can_be_called_off_by_staff(staff: UUID) -> None:
    (fan,) = make_fans(1, funds=FUNDS)
    sale_id = make_bought_drop([fan])
    freeze(sale_id, staff)

    void(sale_id, staff)
    void(sale_id, staff)  # a repeat
    run_at(NOW)

    assert (state_of(sale_id), money(fan)) == (SaleState.CANCELLED, (FUNDS, 0))
    assert StaffAction.objects.filter(sale_id=sale_id, kind="void").count() == 1


# The end, for sellers


@each_format
def test_a_seller_who_can_see_the_end_cannot_change_it(make_sold: Callable[..., UUID]) -> None:
    sale_id = make_sold([])
    seller_id = Sale.objects.get(id=sale_id).seller_id

    for act in (sales.close_sale_early, sales.cancel_sale):
        with pytest.raises(WrongState):
            act(seller_id=seller_id, sale_id=sale_id, now=NOW + HOUR)
    sales.close_sale_early(seller_id=seller_id, sale_id=sale_id, now=NOW + HOUR - dt.timedelta(milliseconds=1))


@each_format
def test_fans_are_told_when_a_sale_is_called_off(make_sold: Callable[..., UUID]) -> None:
    fans = make_fans(2, funds=FUNDS)
    sale = Sale.objects.get(id=make_sold(fans))

    sales.cancel_sale(seller_id=sale.seller_id, sale_id=sale.id, now=NOW)
    run_at(NOW)

    assert [told(fan) for fan in fans] == [[f"{sale.title} was called off"]] * 2


@pytest.mark.parametrize(("stop", "state"), [(freeze, SaleState.FROZEN), (void, SaleState.CANCELLED)])
def test_a_sale_that_sells_without_end_can_be_stopped(
    stop: Callable[..., Sale], state: str, staff: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often staff's transaction runs, a purchase gets ahead of it."""
    drop, fan = make_drop(units_total=500), make_fan(funds=1_000_000)
    note = levers._note

    def after_one_more(*given: Any, **more: Any) -> int:
        with ThreadPoolExecutor(1) as pool:
            assert isinstance(pool.submit(buy_or_refused, drop, fan).result(), OrderValue | Frozen)
        return note(*given, **more)

    monkeypatch.setattr(levers, "_note", after_one_more)

    stop(drop.sale_id, staff)

    assert state_of(drop.sale_id) == state
    run_at(NOW + MINUTE)
    assert broken_checks(drop.sale_id) == []


def buy_or_refused(drop: Any, fan: UUID) -> OrderValue | Refusal:
    try:
        return buy(drop, fan)
    except Refusal as refusal:
        return refusal
    finally:
        connection.close()


def test_a_sale_that_opens_later_after_a_pause_can_still_be_waited_for(staff: UUID) -> None:
    drop, fan = make_drop(opens_at=NOW + MINUTE), make_fan()
    freeze(drop.sale_id, staff)
    resume(drop.sale_id, staff, NOW + 10 * MINUTE)

    telling.remind(sale_id=drop.sale_id, fan_id=fan, now=NOW + 10 * MINUTE)

    run_at(NOW + 12 * MINUTE)
    assert told(fan) == ["A print is open"]


# A shop


def test_a_shop_that_is_switched_off_sells_settles_and_opens_nothing(staff: UUID) -> None:
    (fan,) = make_fans(1, funds=FUNDS)
    seller = shop.make_seller()
    running, closed = make_bought_drop([], seller=seller), make_bought_drop([fan], seller=seller)
    draft = drops.draft_drop(**drop_terms(seller=seller, title="One more"))
    shop.close_on_time(closed)
    given = {"seller_id": seller.id, "staff_id": staff, "now": NOW + 2 * MINUTE}

    assert levers.switch_shop_off(**given, reason="A doubt") == 1

    assert state_of(running) == SaleState.FROZEN
    run_at(NOW + 3 * HOUR)
    assert state_of(closed) == SaleState.CLOSED
    with pytest.raises(WrongState):
        sales.publish_sale(seller_id=seller.id, sale_id=draft.sale_id, now=NOW)
    owner = seller.members.get().user_id
    with pytest.raises(NotAllowed):
        seller_selectors.get_editor(owner, seller.handle)

    assert levers.switch_shop_on(**given, reason="All is well") == 1
    assert state_of(running) == SaleState.SCHEDULED
    run_at(NOW + 4 * HOUR)
    assert state_of(closed) == SaleState.SETTLED


def test_a_sale_that_was_frozen_by_itself_stays_so_when_its_shop_is_switched_on(staff: UUID) -> None:
    seller = shop.make_seller()
    alone, other = make_drop(seller=seller), make_drop(seller=seller)
    seller_id = seller.id
    freeze(alone.sale_id, staff)

    levers.switch_shop_off(seller_id=seller_id, staff_id=staff, reason="A doubt", now=NOW)
    levers.switch_shop_on(seller_id=seller_id, staff_id=staff, reason="All is well", now=NOW)

    assert state_of(alone.sale_id) == SaleState.FROZEN
    assert state_of(other.sale_id) == SaleState.SCHEDULED


def test_a_frozen_sale_does_not_go_on_in_a_shop_that_is_switched_off(staff: UUID) -> None:
    """Frozen by itself, it was no running sale when the shop was switched off."""
    drop = make_drop()
    freeze(drop.sale_id, staff)
    given = {"seller_id": drop.sale.seller_id, "staff_id": staff, "now": NOW + MINUTE}
    levers.switch_shop_off(**given, reason="A doubt")

    with pytest.raises(WrongState):
        resume(drop.sale_id, staff, NOW + 2 * MINUTE)

    assert state_of(drop.sale_id) == SaleState.FROZEN
    levers.switch_shop_on(**given, reason="All is well")
    assert resume(drop.sale_id, staff, NOW + 3 * MINUTE).state == SaleState.SCHEDULED


def test_each_sale_of_a_shop_is_paused_at_its_own_time(staff: UUID) -> None:
    """Hundreds take their time, and one that ends meanwhile must not be open again after the pause."""
    seller = shop.make_seller()
    for _ in range(2):
        make_drop(seller=seller)

    levers.switch_shop_off(seller_id=seller.id, staff_id=staff, reason="A doubt", now=NOW)

    first, second = Sale.objects.filter(seller=seller).order_by("frozen_at").values_list("frozen_at", flat=True)
    assert NOW <= first < second


def test_a_busy_sale_does_not_keep_the_others_of_its_shop_running(staff: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    seller = shop.make_seller()
    sale_ids = [make_drop(seller=seller).sale_id for _ in range(3)]
    busy = min(sale_ids)
    with_shop = levers._with_shop

    def but_for_one(act: Any, *, sale_id: UUID, **given: Any) -> bool:
        if sale_id == busy:
            raise Busy
        return with_shop(act, sale_id=sale_id, **given)

    monkeypatch.setattr(levers, "_with_shop", but_for_one)

    with pytest.raises(Busy):
        levers.switch_shop_off(seller_id=seller.id, staff_id=staff, reason="A doubt", now=NOW)

    assert [state_of(sale_id) == SaleState.FROZEN for sale_id in sale_ids] == [sale_id != busy for sale_id in sale_ids]


@pytest.mark.parametrize("end", [resume, void])
def test_whoever_was_asked_before_a_pause_and_came_after_it_is_recorded_after_it(
    end: Callable[..., Sale], staff: UUID
) -> None:
    """A request that waited for the pause has an earlier time, as has one of a process with a slow clock."""
    drop = make_drop()
    freeze(drop.sale_id, staff, NOW + MINUTE)

    sale = end(drop.sale_id, staff, NOW)

    assert sale.moved_by >= dt.timedelta(0)
    assert next(action.kind for action in sale.staff_actions.order_by("at")) == "freeze"
    assert broken_checks(sale.id) == []


def test_a_sale_that_was_closed_while_staff_called_it_off_is_called_off_after_it(staff: UUID) -> None:
    drop = make_drop()
    sales.close_sale_early(seller_id=drop.sale.seller_id, sale_id=drop.sale_id, now=NOW + MINUTE)

    sale = void(drop.sale_id, staff, NOW)

    run_at(NOW + MINUTE)
    assert broken_checks(sale.id) == []


# Staff's pages


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("staff@example.org", "secret"))
    return client


def test_staff_pause_a_sale_in_the_admin_once_they_have_said_why(admin: Client) -> None:
    drop = make_drop()
    url, chosen = "/staff/sales/sale/", {"action": "pause", "_selected_action": str(drop.sale_id)}

    asked = admin.post(url, chosen)
    assert "Everybody can read it" in asked.content.decode()
    assert state_of(drop.sale_id) == SaleState.SCHEDULED
    done = admin.post(url, chosen | {"reason": "A doubt"}, follow=True)

    assert "A print: done." in done.content.decode()
    assert state_of(drop.sale_id) == SaleState.FROZEN


def test_a_refusal_is_shown_to_staff(admin: Client) -> None:
    drop = make_drop()
    chosen = {"action": "let_go_on", "_selected_action": str(drop.sale_id), "reason": "Why not"}

    done = admin.post("/staff/sales/sale/", chosen, follow=True)

    assert "This sale is not paused." in done.content.decode()


def test_staff_who_may_only_look_are_offered_no_lever(client: Client) -> None:
    user = User.objects.create_user("looks@example.org", "secret")
    User.objects.filter(id=user.id).update(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_sale"))
    client.force_login(User.objects.get(id=user.id))
    drop = make_drop()

    client.post("/staff/sales/sale/", {"action": "pause", "_selected_action": str(drop.sale_id), "reason": "A doubt"})

    assert state_of(drop.sale_id) == SaleState.SCHEDULED


def test_staff_switch_a_shop_off_in_the_admin(admin: Client) -> None:
    drop = make_drop()
    seller_id = drop.sale.seller_id
    chosen = {"action": "switch_off_and_pause_all_its_sales", "_selected_action": str(seller_id), "reason": "A doubt"}

    admin.post("/staff/sellers/seller/", chosen)

    assert state_of(drop.sale_id) == SaleState.FROZEN


# What is done to one fan


def test_a_fan_is_told_once_of_a_refund_or_a_removal() -> None:
    one, two = make_fans(2, funds=FUNDS)
    drop, rally = make_drop(), make_rally()
    order = buy(drop, one)
    join(rally, two)

    for _ in range(2):
        drops.refund_order(drop_id=drop.sale_id, order_id=order.id, now=NOW)
        rallies.remove_fan(rally_id=rally.sale_id, fan_id=two, now=NOW)

    assert (told(one), told(two)) == (
        ["A print: your order was given back"],
        ["A lamp: the seller removed you"],
    )


def run_all(step: Callable[..., Any], sale_id: UUID) -> None:
    while step(sale_id=sale_id, now=NOW):
        pass


@pytest.mark.parametrize("end", ["close early", "call off", "void"])
def test_no_end_waits_for_purchases_that_never_pause(end: str, staff: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """They pass the gate all the time, so whoever wants all of its rows is busy. Purchases are refused at once all the same."""
    fan, drop = make_fans(1, funds=FUNDS)[0], make_drop()
    buy(drop, fan)
    meet = gates.meet_purchases

    def busy(sale_id: UUID) -> None:
        raise Busy

    monkeypatch.setattr(gates, "meet_purchases", busy)
    if end == "void":
        levers.void_sale(sale_id=drop.sale_id, staff_id=staff, reason="A doubt", now=NOW)
    else:
        service = sales.cancel_sale if end == "call off" else sales.close_sale_early
        service(seller_id=drop.sale.seller_id, sale_id=drop.sale_id, now=NOW)

    with pytest.raises(NotOpen):
        buy(drop, fan)
    step = sales.settle_step if end == "close early" else sales.unwind_step
    # Whoever was under way may still commit, so nothing is said to be over; due work comes back, also after a kill.
    with pytest.raises(Busy):
        run_all(step, drop.sale_id)
    assert due_work.DueWork.objects.filter(
        subject_id=drop.sale_id, kind__in=[sales.SETTLE, sales.UNWIND], done_at=None
    ).exists()
    monkeypatch.setattr(gates, "meet_purchases", meet)
    run_all(step, drop.sale_id)
    assert money(fan) == (FUNDS if end != "close early" else FUNDS - 1_000, 0)
    assert broken_checks(drop.sale_id) == []


def test_in_a_paused_drop_nothing_moves_for_the_fan_or_the_seller(staff: UUID) -> None:
    fan, other = make_fans(2, funds=FUNDS)
    drop = make_drop(hold_s=60, cancel_s=60)
    held, paid = buy(drop, fan, hold=True), buy(drop, other)
    freeze(drop.sale_id, staff)

    for order, fan_id in ((held, fan), (paid, other)):
        with pytest.raises(Frozen):
            drops.cancel_order(drop_id=drop.sale_id, order_id=order.id, fan_id=fan_id, now=NOW)
        with pytest.raises(Frozen):
            shop.refund(drop.sale, order.id, order.total_minor)
    assert (money(fan), money(other)) == ((FUNDS - 1_000, 1_000), (FUNDS - 1_000, 0))


def test_the_api_says_the_times_as_a_pause_has_moved_them(client: Client) -> None:
    fan, owner = make_fan(funds=FUNDS), make_fan()
    seller = shop.make_seller(owner_id=owner)
    drop = make_drop(seller=seller, hold_s=60)
    order = buy(drop, fan, hold=True)
    shop.pause(drop.sale_id, 100)
    moved = dt.timedelta(seconds=100)

    def times(path: str, as_user: UUID, *names: str) -> list[dt.datetime]:
        client.force_login(User.objects.get(id=as_user))
        body = client.get(f"/api/v1{path}").json()
        return [dt.datetime.fromisoformat(body[name]) for name in names]

    sealed = [drop.sale.opens_at, drop.sale.closes_at]
    for path in (f"/sales/{drop.sale_id}", f"/sellers/{seller.handle}/drops/{drop.sale_id}"):
        assert times(path, owner, "opens_at", "closes_at") == [at + moved for at in sealed]
    assert times(f"/orders/{order.id}", fan, "expires_at") == [NOW + 60 * dt.timedelta(seconds=1) + moved]


def test_money_that_waits_for_staff_is_counted(staff: UUID) -> None:
    drop = make_drop()
    buy(drop, make_fan(funds=FUNDS))
    now = shop.close_on_time(drop.sale_id)
    levers.switch_shop_off(seller_id=drop.sale.seller_id, staff_id=staff, reason="A doubt", now=now)
    sales.settle_step(sale_id=drop.sale_id, now=now)

    assert list(stuck.waiting_for_staff(now=now + 23 * HOUR)) == []
    assert list(stuck.waiting_for_staff(now=now + 25 * HOUR)) == [drop.sale]
