"""How many watch and why how many were refused, over all processes."""

from __future__ import annotations

import asyncio

import pytest

from core.ids import uuid7
from live import store, tallies
from live.hub import hub
from live.tallies import Tallies
from live.viewers import Who


@pytest.fixture
def own() -> Tallies:
    """Without its thread: the test says when it writes."""
    own = Tallies()
    own.start = lambda: None  # type: ignore[method-assign]
    return own


def test_refusals_of_all_processes_are_one_count_by_reason(own: Tallies) -> None:
    sale_id, other = uuid7(), Tallies()
    other.start = lambda: None  # type: ignore[method-assign]
    for _number in range(3):
        own.refused(sale_id, "sold_out")
    other.refused(sale_id, "not_open")
    other.refused(sale_id, "sold_out")

    own.write()
    other.write()
    own.write()  # nothing new

    tally = tallies.read(sale_id)
    assert tally is not None
    assert list(tally.refused.items()) == [("sold_out", 4), ("not_open", 1)]
    assert tally.refused_count == 5


def test_what_could_not_be_written_is_written_the_next_time(own: Tallies, monkeypatch: pytest.MonkeyPatch) -> None:
    sale_id = uuid7()
    own.refused(sale_id, "busy")
    with monkeypatch.context() as down:
        down.setattr(tallies, "client", broken)
        with pytest.raises(OSError, match="away"):
            own.write()
        assert tallies.read(sale_id) is None

    own.write()

    assert tallies.read(sale_id).refused == {"busy": 1}  # type: ignore[union-attr]


def test_viewers_come_and_go(own: Tallies) -> None:
    sale_id = uuid7()

    async def watch() -> None:
        async with hub.watch(sale_id, Who("a", is_fan=False)), hub.watch(sale_id, Who("b", is_fan=True)):
            await asyncio.to_thread(own.write)
            assert tallies.read(sale_id).viewers == 2  # type: ignore[union-attr]
        await asyncio.to_thread(own.write)
        await hub.close()

    asyncio.run(watch())

    assert tallies.read(sale_id).viewers == 0  # type: ignore[union-attr]


def test_a_process_that_has_died_watches_nothing(own: Tallies) -> None:
    sale_id = uuid7()
    store.client().hset(f"viewers:{sale_id}", "gone:1", "7:1000")

    assert tallies.read(sale_id).viewers == 0  # type: ignore[union-attr]


def broken() -> None:
    raise OSError("the store is away")
