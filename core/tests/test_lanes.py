from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, ProgrammingError

from core import lanes, metrics
from core.errors import Busy, Conflict, NotFound, Refusal
from core.lanes import Lane, Lanes

pytestmark = pytest.mark.django_db(transaction=True)


class Poison(Exception):
    """Not a refusal: something in the program went wrong."""


class EchoLane(Lane[Any, Any]):
    """Answers each command with itself, and notes the batches. A command may be an exception, or a function to call."""

    name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[Any]] = []
        self.told_of: list[list[Any]] = []
        self.may_run = threading.Event()
        self.may_run.set()
        self.is_running = threading.Event()

    def run(self, batch: Sequence[Any]) -> list[Any]:
        self.is_running.set()
        assert self.may_run.wait(10)
        for command in batch:
            if command in (Poison, NotFound):  # of the batch, not of one command
                raise command
        self.batches.append(list(batch))
        return [command() if callable(command) else command for command in batch]

    def told(self, batch: Sequence[Any], outcomes: Sequence[Any]) -> None:
        self.told_of.append(list(outcomes))


@pytest.fixture
def lane() -> EchoLane:
    return EchoLane()


@pytest.fixture
def pile_up(lane: EchoLane):
    """Ask for all of these in one loop while the lane is held, then let it go: the outcomes, or the exceptions."""

    def run(commands: Sequence[Any], meanwhile: Callable[[], Any] = lambda: None) -> list[Any]:
        async def ask_all() -> list[Any]:
            lane.may_run.clear()
            first = asyncio.create_task(lane.ask("first"))
            await asyncio.to_thread(lane.is_running.wait, 10)
            asked = [asyncio.create_task(lane.ask(command)) for command in commands]
            await asyncio.sleep(0)  # each of them queues
            meanwhile()
            lane.may_run.set()
            await first
            return await asyncio.gather(*asked, return_exceptions=True)

        return asyncio.run(ask_all())

    return run


def test_what_waits_becomes_one_batch_in_order_of_arrival(lane, pile_up):
    commands = list(range(50))

    assert pile_up(commands) == commands
    assert lane.batches == [["first"], commands]
    assert lane.told_of == lane.batches


def test_a_batch_has_its_largest_size(lane, pile_up, monkeypatch):
    monkeypatch.setattr(EchoLane, "batch_max", 20)

    assert pile_up(range(50)) == list(range(50))
    assert [len(batch) for batch in lane.batches] == [1, 20, 20, 10]


def test_a_batch_is_bounded_by_the_rows_it_writes(lane, pile_up, monkeypatch):
    monkeypatch.setattr(EchoLane, "rows_max", 10)
    monkeypatch.setattr(EchoLane, "rows_of", lambda lane, command: 1 if command == "first" else command)

    assert pile_up([4, 4, 2, 9, 1, 1, 99, 3]) == [4, 4, 2, 9, 1, 1, 99, 3]
    assert lane.batches == [["first"], [4, 4, 2], [9, 1], [1], [99], [3]]  # too large for any batch: alone


def test_a_batch_wakes_the_event_loop_once(lane, pile_up, monkeypatch):
    wake_ups = []
    settle_all = lanes._settle_all
    monkeypatch.setattr(lanes, "_settle_all", lambda pairs: (wake_ups.append(len(pairs)), settle_all(pairs)))

    pile_up(range(50))

    assert wake_ups == [1, 50]


def test_a_poisoned_command_fails_alone(lane, pile_up):
    outcomes = pile_up([0, 1, Poison, 3, 4, 5, 6])

    assert isinstance(outcomes[2], Poison)
    assert outcomes[:2] + outcomes[3:] == [0, 1, 3, 4, 5, 6]
    assert [command for batch in lane.batches[1:] for command in batch] == [0, 1, 3, 4, 5, 6]  # still in order


class ReadOnly(OperationalError):
    sqlstate = "25006"


class NoSuchColumn(ProgrammingError):
    sqlstate = "42703"


class DoesNotFit(DatabaseError):
    sqlstate = "22003"


@pytest.mark.parametrize(("error", "answer"), [(ReadOnly("no"), Busy), (NoSuchColumn("no"), NoSuchColumn)])
def test_an_error_that_no_command_can_have_caused_fails_the_batch_once(lane, pile_up, error, answer):
    tries = []

    def fail() -> None:
        tries.append(1)
        raise error

    assert [type(outcome) for outcome in pile_up([0, fail, 2, 3])] == [answer] * 4
    assert len(tries) == 1


def test_a_value_that_the_database_refuses_fails_its_command_alone(lane, pile_up):
    def fail() -> None:
        raise DoesNotFit("too large")

    outcomes = pile_up([0, fail, 2, 3])

    assert isinstance(outcomes.pop(1), DoesNotFit)
    assert outcomes == [0, 2, 3]


class Clock:
    """Stands in for `time` in the lane."""

    def __init__(self) -> None:
        self.s = time.monotonic()

    def monotonic(self) -> float:
        return self.s

    def sleep(self, pause_s: float) -> None: ...


def test_halving_ends_at_the_deadline(lane, pile_up, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(lanes, "time", clock)
    tries = []

    def fail_slowly() -> None:
        tries.append(1)
        clock.s += lanes.DEADLINE_S / 2
        raise Poison

    outcomes = pile_up([fail_slowly, 1, 2, 3])

    assert [type(outcome) for outcome in outcomes] == [Busy] * 4
    assert len(tries) == 2


def test_a_refusal_is_one_callers_outcome(lane, pile_up):
    refusal = Conflict("not you")

    assert pile_up([0, refusal, 2]) == [0, refusal, 2]
    assert lane.batches == [["first"], [0, refusal, 2]]


def test_a_refusal_of_the_batch_is_everybodys_outcome(lane, pile_up):
    outcomes = pile_up([0, NotFound, 2])

    assert [type(outcome) for outcome in outcomes] == [NotFound] * 3
    assert lane.told_of == [["first"]]  # nothing was decided, so nobody is told


def test_a_full_queue_refuses_at_once(lane, pile_up, monkeypatch):
    monkeypatch.setattr(EchoLane, "queue_max", 3)

    outcomes = pile_up(range(5))

    assert outcomes[:3] == [0, 1, 2]
    assert [type(outcome) for outcome in outcomes[3:]] == [Busy, Busy]
    assert outcomes[3].retry_after_s == 1
    assert lane.depth == 0


class FanCommand:
    def __init__(self, fan_id: Any) -> None:
        self.fan_id = fan_id


def commands_of(fan_id: Any, count: int) -> list[FanCommand]:
    return [FanCommand(fan_id) for _ in range(count)]


def test_one_fan_cannot_fill_a_lane(lane, pile_up):
    mine, others = commands_of("me", 10), [FanCommand(n) for n in range(20)]

    outcomes = pile_up([*mine, *others, *commands_of(None, 20)])

    assert outcomes[:8] == mine[:8]
    assert [type(outcome) for outcome in outcomes[8:10]] == [Busy, Busy]
    assert outcomes[10:30] == others
    assert not any(isinstance(outcome, Busy) for outcome in outcomes[30:])  # what no fan asked for is not counted


@pytest.mark.parametrize("batch_max", [1, 3, 400])
def test_a_fan_may_ask_again_once_his_commands_have_left_the_queue(lane, pile_up, monkeypatch, batch_max):
    monkeypatch.setattr(EchoLane, "batch_max", batch_max)

    for _ in range(3):
        assert Busy not in map(type, pile_up([*commands_of("me", 8), *commands_of("you", 8)]))
    assert lane._waiting_of == {}


def test_a_fan_may_ask_again_after_waiting_in_vain_or_giving_up(lane, pile_up):
    def give_up() -> None:
        for ticket in list(lane._queue):
            ticket.queued_at -= lanes.DEADLINE_S

    assert [type(outcome) for outcome in pile_up(commands_of("me", 8), meanwhile=give_up)] == [Busy] * 8
    assert Busy not in map(type, pile_up(commands_of("me", 8)))


def test_a_command_refused_by_a_full_queue_does_not_count_against_its_fan(lane, pile_up, monkeypatch):
    monkeypatch.setattr(EchoLane, "queue_max", 3)

    pile_up(commands_of("me", 50))

    assert lane._waiting_of == {}


def test_who_has_waited_for_the_whole_deadline_is_refused_unasked(lane, pile_up):
    def wait_long() -> None:
        for ticket in list(lane._queue)[:2]:
            ticket.queued_at -= lanes.DEADLINE_S

    outcomes = pile_up(range(5), meanwhile=wait_long)

    assert [type(outcome) for outcome in outcomes[:2]] == [Busy, Busy]
    assert outcomes[2:] == [2, 3, 4]
    assert lane.batches == [["first"], [2, 3, 4]]


def test_threads_and_two_event_loops_share_a_lane(lane):
    async def ask_many(start: int) -> list[Any]:
        return await asyncio.gather(*[lane.ask(start + n) for n in range(100)])

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(asyncio.run, ask_many(0))
        second = threads.submit(asyncio.run, ask_many(1_000))
        third = threads.submit(lambda: [lane.call(2_000 + n) for n in range(20)])

        assert first.result(10) == list(range(100))
        assert second.result(10) == list(range(1_000, 1_100))
        assert third.result(10) == list(range(2_000, 2_020))


def test_a_caller_who_has_gone_does_not_hold_up_the_others(lane):
    async def give_up_on_the_second() -> Any:
        lane.may_run.clear()
        asked = [asyncio.create_task(lane.ask(n)) for n in range(3)]
        await asyncio.sleep(0)
        asked[1].cancel()
        lane.may_run.set()
        return await asyncio.gather(asked[0], asked[2])

    assert asyncio.run(give_up_on_the_second()) == [0, 2]


def test_a_loop_that_has_closed_does_not_break_the_lane(lane):
    async def leave() -> None:
        asyncio.ensure_future(lane.ask("gone")).add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.sleep(0)

    lane.may_run.clear()
    asyncio.run(leave())  # cancels what is left and closes the loop
    lane.may_run.set()

    assert lane.call("still here") == "still here"


def test_no_lane_starves_behind_busier_ones():
    """More lanes with endless work than there are threads."""
    busy = [EchoLane() for _ in range(lanes.THREADS)]
    enough = threading.Event()

    def keep_busy(lane: EchoLane) -> None:
        def again() -> str:
            if not enough.is_set():
                threads.submit(lane.call, again)
                time.sleep(0.002)
            return "again"

        lane.call(again)

    with ThreadPoolExecutor(32) as threads:
        for lane in busy:
            threads.submit(keep_busy, lane)
        for lane in busy:
            assert lane.is_running.wait(10)
        answers = [threads.submit(EchoLane().call, n).result(10) for n in range(5)]
        enough.set()

    assert answers == [0, 1, 2, 3, 4]


def test_one_lane_per_key_until_it_is_idle_and_there_are_many():
    made: Lanes[Any, Any] = Lanes(lambda key: EchoLane(), keep_max=2)

    first = made["a"]
    assert made["a"] is first
    second = made["b"]
    assert second is not first
    made["c"]  # makes room: the others are idle

    assert made["a"] is not first


def test_refusals_reach_threads_too(lane):
    with pytest.raises(Refusal, match="no"):
        lane.call(Conflict("no"))


def test_a_committed_batch_is_answered_even_if_telling_viewers_fails(lane, monkeypatch):
    def fail(*args: Any) -> None:
        raise RuntimeError("viewers are out of reach")

    monkeypatch.setattr(lane, "told", fail)

    assert [lane.call("one"), lane.call("two")] == ["one", "two"]


def raise_error(*args: Any) -> None:
    raise RuntimeError("nobody thought of this")


def test_a_caller_in_a_thread_that_cannot_be_told_stops_nothing(lane):
    lane.may_run.clear()
    lane.submit("first", raise_error, None)
    answers: list[Any] = []
    told = threading.Event()
    lane.submit("second", raise_error, None)
    lane.submit("third", lambda outcome: (answers.append(outcome), told.set()), None)
    lane.may_run.set()

    assert told.wait(10)
    assert answers == ["third"]
    assert lane.call("fourth") == "fourth"


def test_a_caller_on_a_loop_that_cannot_be_told_leaves_the_others_their_answers(lane):
    async def ask_all() -> list[Any]:
        loop = asyncio.get_running_loop()
        lane.may_run.clear()
        asked = [asyncio.create_task(lane.ask("one"))]
        await asyncio.sleep(0)
        lane.submit("two", raise_error, loop)
        asked.append(asyncio.create_task(lane.ask("three")))
        await asyncio.sleep(0)
        lane.may_run.set()
        return await asyncio.wait_for(asyncio.gather(*asked), 10)

    assert asyncio.run(ask_all()) == ["one", "three"]


class BrokenMetric:
    labels = raise_error


@pytest.mark.parametrize("name", ["LANE_DEPTH", "LANE_BATCH", "LANE_SECONDS"])
def test_a_metric_that_cannot_be_written_stops_nothing(lane, monkeypatch, name):
    monkeypatch.setattr(metrics, name, BrokenMetric())

    assert [lane.call("one"), lane.call("two")] == ["one", "two"]


def test_an_error_between_two_batches_stops_nothing(lane, monkeypatch):
    monkeypatch.setattr(lane, "_linger", raise_error)

    assert [lane.call("one"), lane.call("two")] == ["one", "two"]


def test_a_web_process_that_names_its_number_late_keeps_to_it():
    """It does so after the server's imports: with a number drawn by lot two processes would often share a bucket."""
    lines = [
        "import os, dropfront.server",
        "os.environ['DROPFRONT_SLOT'] = '7'",
        "from core.lanes import process_slot",
        "print(process_slot())",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "DROPFRONT_SLOT"}
    command = [sys.executable, "-c", "; ".join(lines)]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip() == "7"
