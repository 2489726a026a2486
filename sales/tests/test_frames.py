"""What viewers are sent: the committed state, each with a version that only grows."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import pytest

from core import clock
from drops.errors import SoldOut
from drops.rules import CancelOrder
from live import publisher, store
from sales import frames
from sales import services as sales
from tests.tools.shop import NOW, Process, make_drop, make_fans, make_seller, purchase

pytestmark = pytest.mark.django_db(transaction=True)


def stored(sale_id: Any) -> dict[str, Any]:
    assert publisher.flush(10)
    frame = store.latest(sale_id)
    assert frame is not None
    return msgspec.json.decode(frame)


def test_the_frame_is_the_small_public_state(make_drop):
    drop = make_drop(units_total=120, price_minor=2_400)

    frame = frames.read_frame(drop.sale_id)

    assert frame == {
        "sale_id": str(drop.sale_id), "version": 1, "format": "drop", "state": "scheduled",
        "opens_at": "2026-03-02T11:59:00+00:00", "closes_at": "2026-03-02T13:00:00+00:00", "units_left": 120,
        "units_total": 120, "price_minor": 2_400,
    }  # fmt: skip
    assert stored(drop.sale_id) == frame


def test_the_last_state_always_arrives(race, buy):
    drop = make_drop(units_total=40)
    crowds = [make_fans(12, funds=1_000) for _ in range(5)]

    race(*[partial(_buy_all, buy, drop, crowd) for crowd in crowds])

    frame = stored(drop.sale_id)
    assert frame["units_left"] == 0
    assert frame == frames.read_frame(drop.sale_id)


def _buy_all(buy: Any, drop: Any, fans: Any) -> None:
    for fan in fans:
        with suppress(SoldOut):
            buy(drop, fan)


def test_a_later_state_has_a_higher_version_and_one_version_is_one_state():
    seller = make_seller()
    drop = make_drop(seller=seller, units_total=200, cancel_s=60)
    seen: dict[int, dict[str, Any]] = {}

    def look() -> None:
        frame = frames.read_frame(drop.sale_id)
        assert frame["version"] >= max(seen, default=0)
        assert seen.setdefault(frame["version"], frame) == frame

    look()
    for home, fan in enumerate(make_fans(4, funds=100_000)):
        order = Process(drop, home=home).do(purchase(fan, 60 if home == 3 else 3))
        look()
    # The stock is as it was, but it was sold and given back.
    Process(drop).do_batch(CancelOrder(order.id, order.fan_id, NOW), purchase(order.fan_id, 60))
    look()
    sales.announce_sale(sale_id=drop.sale_id, now=NOW)
    look()
    sales.close_sale_early(seller_id=seller.id, sale_id=drop.sale_id, now=NOW)
    look()
    for second in (0, 60, 61):
        sales.settle_step(sale_id=drop.sale_id, now=NOW + dt.timedelta(seconds=second))
        look()
    assert [frame["state"] for frame in seen.values()][-3:] == ["closed", "settling", "settled"]


def test_the_store_being_down_never_fails_a_purchase(monkeypatch, buy):
    def fail(*args: Any) -> None:
        raise ConnectionError("no valkey")

    monkeypatch.setattr(store, "put", fail)
    drop = make_drop(now=clock.now())

    assert buy(drop, make_fans(1, funds=1_000)[0], at=clock.now()).state == "paid"
    monkeypatch.undo()
    assert stored(drop.sale_id)["units_left"] == 2  # sent as soon as it is back
