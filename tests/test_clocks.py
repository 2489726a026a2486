"""A process whose own clock is wrong: commands are held against the database's clock, inside their transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from core import clock, due_work
from core.transactions import DEADLINE_S
from sales import services as sales
from sales.errors import NotOpen, WrongState
from sales.lanes import RECEIVED_AGE_MAX, believable
from sales.models import Sale
from tests.tools.shop import HOUR, NOW, buy, join, make_drop, make_fan, make_rally, purchase, wallet
from tests.tools.truth import picture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

MINUTE = dt.timedelta(minutes=1)
FORMATS = pytest.mark.parametrize(("make", "take"), [(make_drop, buy), (make_rally, join)], ids=["drop", "rally"])


@pytest.fixture
def clock_off_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[dt.timedelta], None]:
    """From now on this process' clock is ahead by so much, and nobody measures it again."""
    return lambda ahead: monkeypatch.setattr(clock, "_offset_s", clock._offset_s + ahead.total_seconds())


def assert_not_open(take: Callable[..., Any], sale: Any, fan: UUID) -> None:
    before = picture(sale.sale_id)
    with pytest.raises(NotOpen):
        take(sale, fan, at=clock.now())
    assert (picture(sale.sale_id), wallet(fan).available_minor) == (before, 50_000)


@pytest.mark.database_clock
@FORMATS
def test_a_fast_clock_sells_nothing_before_the_opening(make, take, clock_off_by):
    now, fan = clock.now(), make_fan(funds=50_000)
    sale = make(opens_at=now + HOUR, closes_at=now + 4 * HOUR, now=now)
    clock_off_by(HOUR + MINUTE)

    assert_not_open(take, sale, fan)


@pytest.mark.database_clock
@FORMATS
def test_a_slow_clock_sells_nothing_after_the_close(make, take, clock_off_by):
    """Although nobody has closed it yet: whether it is open is decided by the clock."""
    now, fan = clock.now(), make_fan(funds=50_000)
    sale = make(opens_at=now - HOUR, closes_at=now - MINUTE / 2, now=now - HOUR)
    clock_off_by(-MINUTE)

    assert_not_open(take, sale, fan)


@pytest.mark.database_clock
@FORMATS
def test_a_right_clock_sells(make, take):
    sale, fan = make(now=clock.now()), make_fan(funds=50_000)

    assert take(sale, fan, at=clock.now()).quantity == 1


@pytest.mark.database_clock
def test_what_is_believed_lies_between_the_longest_wait_and_now():
    """A command waits for its batch for as long as a batch is tried, and no longer."""
    assert dt.timedelta(seconds=2 * DEADLINE_S) == RECEIVED_AGE_MAX
    tick = dt.timedelta(microseconds=1)
    oldest = NOW - RECEIVED_AGE_MAX
    batch = [purchase(UUID(int=n), at=at) for n, at in enumerate([oldest - tick, oldest, NOW, NOW + tick])]

    assert [command.received_at for command in believable(batch, NOW)] == [oldest, oldest, NOW, NOW]
    assert believable(batch[1:3], NOW) == batch[1:3]


@pytest.mark.database_clock
@FORMATS
@pytest.mark.parametrize("ahead", [MINUTE, -MINUTE], ids=["fast", "slow"])
def test_a_worker_closes_by_the_databases_clock(make, take, clock_off_by, ahead):
    now = clock.now()
    running = make(closes_at=now + MINUTE / 2, now=now)
    over = make(opens_at=now - HOUR, closes_at=now - MINUTE / 2, now=now - HOUR)
    clock_off_by(ahead)

    due_work.run_due()

    assert Sale.objects.get(id=running.sale_id).closed_at is None
    assert Sale.objects.get(id=over.sale_id).closed_at is not None


@pytest.mark.database_clock
@FORMATS
def test_a_seller_ends_nothing_that_has_ended_by_a_slow_clock(make, take, clock_off_by):
    now = clock.now()
    sale = make(opens_at=now - HOUR, closes_at=now - MINUTE / 2, now=now - HOUR).sale
    clock_off_by(-MINUTE)

    for end in (sales.close_sale_early, sales.cancel_sale):
        with pytest.raises(WrongState):
            end(seller_id=sale.seller_id, sale_id=sale.id, now=clock.now())
