"""What fans were told, against what the database holds.

A fan writes down what it is about to ask before it asks, and what it was answered before anybody counts. So the log knows of
every promise the shop has made, and of every request that may have had an effect unheard.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

ACCEPTED = (200, 201)


class Log:
    """A JSON-lines file, one line for each thing a fan did or heard, written through before the call returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1)

    def intent(self, key: str, fan_id: str) -> None:
        self._write(kind="intent", key=key, fan_id=fan_id)

    def attempt(self, key: str) -> None:
        self._write(kind="attempt", key=key)

    def lost(self, key: str, reason: str) -> None:
        """No answer came: the request may have had its effect or not."""
        self._write(kind="lost", key=key, reason=reason)

    def answer(self, key: str, status: int, body: dict[str, Any]) -> None:
        self._write(kind="answer", key=key, status=status, code=body.get("code", ""), order_id=body.get("id", ""))

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, **facts: Any) -> None:
        self._file.write(json.dumps(facts) + "\n")


@dataclass
class Story:
    """What the log says of one idempotency key."""

    fan_id: str
    attempts: int = 0
    lost: int = 0
    answers: list[tuple[int, str, str]] = field(default_factory=list)  # (status, code, order id)

    @property
    def order_ids(self) -> set[str]:
        return {order_id for status, _, order_id in self.answers if status in ACCEPTED}

    @property
    def is_sold_out(self) -> bool:
        return (409, "sold_out", "") in self.answers


def read_log(path: Path) -> dict[str, Story]:
    """The stories by key."""
    stories: dict[str, Story] = {}
    for line in path.read_text().splitlines():
        facts = json.loads(line)
        key = facts["key"]
        match facts["kind"]:
            case "intent":
                assert key not in stories, key
                stories[key] = Story(facts["fan_id"])
            case "attempt":
                stories[key].attempts += 1
            case "lost":
                stories[key].lost += 1
            case "answer":
                stories[key].answers.append((facts["status"], facts["code"], facts["order_id"]))
    return stories


def answers(stories: dict[str, Story]) -> Counter[str]:
    """How often each kind of answer came: "201", "409 sold_out" and so on, and "lost" for none."""
    counted = Counter(f"{status} {code}".strip() for story in stories.values() for status, code, _ in story.answers)
    counted["lost"] = sum(story.lost for story in stories.values())
    return counted


class Row(NamedTuple):
    """An order as stored."""

    id: str
    fan_id: str
    key: str
    quantity: int


def read_orders(database_url: str, sale_id: str) -> list[Row]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            """SELECT id::text, fan_id::text, idempotency_key::text, quantity
                 FROM drops_order WHERE drop_id = %s AND state IN ('held', 'paid', 'settled')""",
            [sale_id],
        ).fetchall()
    return [Row(*row) for row in rows]


def audit(stories: dict[str, Story], orders: Sequence[Row], *, units: int) -> list[str]:
    """A sentence for each promise that was broken. Every fan wanted one unit, and there were more fans than units."""
    return [
        *_unresolved(stories),
        *_lost(stories, orders),
        *_doubled(stories, orders),
        *_denied(stories, orders),
        *_sold(orders, units),
    ]


def _unresolved(stories: dict[str, Story]) -> list[str]:
    open_ends = [key for key, story in stories.items() if not story.order_ids and not story.is_sold_out]
    return [f"unresolved: {len(open_ends)} requests never got a final answer"] if open_ends else []


def _lost(stories: dict[str, Story], orders: Sequence[Row]) -> list[str]:
    stored = Counter(orders)
    return [
        f"lost: order {order_id} was acknowledged and is there {stored[Row(order_id, story.fan_id, key, 1)]} times"
        for key, story in stories.items()
        for order_id in story.order_ids
        if stored[Row(order_id, story.fan_id, key, 1)] != 1
    ]


def _doubled(stories: dict[str, Story], orders: Sequence[Row]) -> list[str]:
    by_key = Counter((order.fan_id, order.key) for order in orders)
    by_fan = Counter(order.fan_id for order in orders)
    told_two = [key for key, story in stories.items() if len(story.order_ids) > 1]
    return [
        *(
            f"double: fan {fan_id} has {count} orders under key {key}"
            for (fan_id, key), count in by_key.items()
            if count > 1
        ),
        *(f"double: fan {fan_id} wanted one order and has {count}" for fan_id, count in by_fan.items() if count > 1),
        *(f"double: the answers to key {key} name different orders" for key in told_two),
    ]


def _denied(stories: dict[str, Story], orders: Sequence[Row]) -> list[str]:
    """An order that its fan was not told of: sold out, they heard, or nothing."""
    return [
        f"denied: order {order.id} was stored and its fan was not told"
        for order in orders
        if order.key not in stories or not stories[order.key].order_ids
    ]


def _sold(orders: Sequence[Row], units: int) -> list[str]:
    sold = sum(order.quantity for order in orders)
    return [] if sold == units else [f"sold: {sold} units of {units}"]
