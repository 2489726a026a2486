"""All the ways in which a few transactions can interleave, tried one after the other on a real database.

Each actor is a real service function in a thread of its own. `dsql.faults.observe` stops the thread before every statement
and before COMMIT; the scheduler then lets exactly one actor go on to its next stop. Schedules are searched depth first, up
to a number of preemptions (taking the turn from an actor that could go on): almost all known races need at most two.

Whether an actor waits for a lock is a fact that the server states (`pg_isolation_test_session_is_blocked`), never a guess
from time. Retries pause for no time and with fixed jitter, so the same choices always lead to the same run: a failure
prints its schedule, and EXPLORE_SCHEDULE="name=aabab" runs just that one again.

A snapshot stands still, so a plain SELECT after the first statement of its transaction sees the same rows whenever it runs:
there the scheduler is not asked. That leaves out no outcome and most of the schedules.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.db import connection, connections
from psycopg.pq import TransactionStatus

from dsql import faults, transactions

PREEMPTIONS_MAX = 2
STUCK_AFTER_S = 20.0
ASK_EVERY_S = 0.001
# Longer than any schedule takes: in here waiting ends when its cause does, not when a clock says so.
LOCK_TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class Scene:
    """The actors, and the check of what a run left. `check` gets actor → what it returned or raised."""

    actors: Mapping[str, Callable[[], Any]]
    check: Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Explored:
    """How many schedules there were, and which ended in which outcomes."""

    schedules: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        counted = ", ".join(f"{count} x {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{self.schedules} schedules ({counted})"


class ScheduleFailed(AssertionError):
    """A schedule that broke a check. The message says how to run it again."""

    def __init__(self, message: str, *, name: str, schedule: str, number: int) -> None:
        super().__init__(f"{message}\nRun it again with EXPLORE_SCHEDULE={name}={schedule}")
        self.schedule = schedule
        self.number = number  # how many schedules it took to find it


def explore(
    name: str, make_scene: Callable[[], Scene], *, preemptions: int = PREEMPTIONS_MAX, schedules_max: int = 2_000
) -> Explored:
    """Run every schedule of the scene. Raises ScheduleFailed at the first whose check fails.

    `make_scene` builds the world once; each run begins with all rows as they were then, and so does what follows the search.
    """
    wanted_name, _, wanted = os.environ.get("EXPLORE_SCHEDULE", "").partition("=")
    explored = Explored()
    with _searchable(), psycopg.connect(dsn(), autocommit=True) as control:
        scene = make_scene()
        with _kept_rows(control) as put_back:
            if wanted_name == name:
                _run(name, scene, _Replay(wanted), control, explored)
                return explored
            search = _Search(preemptions)
            while True:
                _run(name, scene, search, control, explored)
                if not search.next():
                    return explored
                assert explored.schedules < schedules_max, f"{name} has more than {schedules_max} schedules"
                put_back()


def _run(name: str, scene: Scene, chooser: Any, control: psycopg.Connection[Any], explored: Explored) -> None:
    stage = _Stage(scene.actors, control)
    results = stage.play(chooser)
    explored.schedules += 1
    summary = " ".join(f"{actor}:{_outcome(result)}" for actor, result in results.items())
    explored.outcomes[summary] = explored.outcomes.get(summary, 0) + 1
    try:
        scene.check(results)
    except Exception as error:  # whatever the check could not bear, this is the schedule that led there
        message = "\n".join([f"{summary}: {error}", *stage.trace])
        raise ScheduleFailed(message, name=name, schedule=stage.schedule, number=explored.schedules) from error


def _outcome(result: Any) -> str:
    if isinstance(result, BaseException):
        return getattr(result, "code", type(result).__name__)
    return str(getattr(result, "state", "ok"))


class _Search:
    """Depth-first over choices: repeat the prefix, take the first option after it, then raise the last choice that can be."""

    def __init__(self, preemptions: int) -> None:
        self.preemptions = preemptions
        self._prefix: list[int] = []
        self.begin()

    def begin(self) -> None:
        self._made: list[tuple[int, int]] = []  # (chosen, number of options)
        self._preempted = 0

    def choose(self, ready: list[str], last: str | None) -> str:
        """One of the actors that can go on. To go on with `last` is free; to take its turn away costs a preemption."""
        options = ready
        if last in ready:
            others = [actor for actor in ready if actor != last]
            options = [last, *others] if self._preempted < self.preemptions else [last]
        step = len(self._made)
        chosen = self._prefix[step] if step < len(self._prefix) else 0
        assert chosen < len(options), "the same choices led to another run: something in the scene is not repeatable"
        self._made.append((chosen, len(options)))
        self._preempted += last in ready and options[chosen] != last
        return options[chosen]

    def next(self) -> bool:
        """Prepare for the next schedule; False when all were run."""
        made = self._made
        while made and made[-1][0] + 1 >= made[-1][1]:
            made.pop()
        self._prefix = [chosen for chosen, _ in made]
        if not made:
            return False
        self._prefix[-1] += 1
        self.begin()
        return True


class _Replay:
    """The choices of an earlier run, one letter each; past their end, the first option."""

    def __init__(self, letters: str) -> None:
        self._letters = list(letters)

    def choose(self, ready: list[str], last: str | None) -> str:
        wanted = self._letters.pop(0) if self._letters else (last or ready[0])
        return wanted if wanted in ready else ready[0]


class _Actor:
    """A thread that stops at each point where another's turn could change something."""

    def __init__(self, name: str, function: Callable[[], Any], stage: _Stage) -> None:
        self.name = name
        self.stage = stage
        self.pid: int | None = None
        self.stopped_at: str | None = None  # what it will do next, while it is stopped
        self.is_done = False
        self.result: Any = None
        self.turn = threading.Event()
        self.thread = threading.Thread(target=self._act, args=[function], name=f"actor-{name}", daemon=True)

    def _act(self, function: Callable[[], Any]) -> None:
        self.stage.actor_of_thread[threading.get_ident()] = self
        try:
            self.stop("begin")
            self.result = function()
        except BaseException as error:  # whatever it was is this actor's result
            self.result = error
        finally:
            connection.close()
            with self.stage.changed:
                self.is_done = True
                self.stage.changed.notify_all()

    def stop(self, label: str) -> None:
        with self.stage.changed:
            self.stopped_at = label
            self.stage.changed.notify_all()
        if not self.turn.wait(STUCK_AFTER_S):
            raise TimeoutError("the scheduler has gone")
        self.turn.clear()

    def go_on(self) -> None:
        with self.stage.changed:
            self.stopped_at = None
        self.turn.set()


class _Stage:
    """One run of one schedule."""

    def __init__(self, functions: Mapping[str, Callable[[], Any]], control: psycopg.Connection[Any]) -> None:
        assert all(len(name) == 1 for name in functions), "actors have one letter, so that a schedule is a word"
        self.changed = threading.Condition()
        self.actor_of_thread: dict[int, _Actor] = {}
        self.actors = {name: _Actor(name, function, self) for name, function in functions.items()}
        self.control = control
        self.schedule = ""
        self.trace: list[str] = []

    def play(self, chooser: Any) -> dict[str, Any]:
        if isinstance(chooser, _Search):
            chooser.begin()
        last: str | None = None
        with faults.observe(self._observe):
            for actor in self.actors.values():
                actor.thread.start()
            while ready := self._ready():
                last = chooser.choose(ready, last)
                actor = self.actors[last]
                self.schedule += last
                self.trace.append(f"  {last}: {actor.stopped_at}")
                actor.go_on()
        for actor in self.actors.values():
            actor.thread.join(STUCK_AFTER_S)
        return {name: actor.result for name, actor in self.actors.items()}

    def _observe(self, kind: str, sql: str | None, wrapper: Any) -> None:
        actor = self.actor_of_thread.get(threading.get_ident())
        if actor is None:
            return
        actor.pid = wrapper.connection.info.backend_pid
        if sql is not None and _reads_a_fixed_snapshot(sql, wrapper):
            return
        actor.stop("COMMIT" if kind == "commit" else " ".join((sql or "").split())[:100])

    def _ready(self) -> list[str]:
        """The actors that can go on, once each of them is stopped, done, or provably waiting for another. Empty at the end."""
        deadline = time.monotonic() + STUCK_AFTER_S
        with self.changed:
            while True:
                moving = self._moving()
                if moving and self.changed.wait(ASK_EVERY_S):
                    continue  # one of them came to a stop
                # While the server is asked we hold the lock, so nobody can come to a stop unseen.
                if all(self._is_blocked(actor) for actor in moving):
                    ready = [actor.name for actor in self.actors.values() if actor.stopped_at is not None]
                    if ready or not moving:
                        return ready
                    # All wait for each other: the server finds the deadlock and ends one.
                assert time.monotonic() < deadline, f"stuck after {self.schedule}: {self.trace[-5:]}"

    def _moving(self) -> list[_Actor]:
        return [actor for actor in self.actors.values() if not actor.is_done and actor.stopped_at is None]

    def _is_blocked(self, actor: _Actor) -> bool:
        if actor.pid is None:
            return False
        pids = [other.pid for other in self.actors.values() if other.pid is not None]
        sql = "SELECT pg_isolation_test_session_is_blocked(%s, %s::int[])"
        row = self.control.execute(sql, [actor.pid, pids]).fetchone()
        return bool(row and row[0])


@contextmanager
def _kept_rows(control: psycopg.Connection[Any]) -> Iterator[Callable[[], None]]:
    """Copies of all rows, and a function that puts them back; they are also put back at the end."""
    found = control.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    tables = [name for (name,) in found if not name.startswith(("django_", "auth_"))]
    control.execute(
        "DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept;"
        + _for_each(tables, "CREATE TABLE kept.{0} AS TABLE {0}")
    )
    swap = "BEGIN;" + _for_each(tables, "DELETE FROM {0}; INSERT INTO {0} TABLE kept.{0}") + "COMMIT;"

    def put_back() -> None:
        control.execute(swap)

    try:
        yield put_back
    finally:
        put_back()
        control.execute("DROP SCHEMA kept CASCADE")


def _for_each(tables: list[str], statement: str) -> str:
    return "".join(f"{statement.format(table)};" for table in tables)


def _reads_a_fixed_snapshot(sql: str, wrapper: Any) -> bool:
    is_first = wrapper.connection.info.transaction_status is TransactionStatus.IDLE
    text = sql.lstrip().upper()
    return not is_first and text.startswith("SELECT") and "FOR UPDATE" not in text


@contextmanager
def _searchable() -> Iterator[None]:
    """Retries without pauses, waits without time limits, deadlocks found at once: for the time of a search."""
    options = connection.settings_dict["OPTIONS"]
    before = options.get("lock_timeout_ms"), transactions.sleep, transactions.random
    options["lock_timeout_ms"] = LOCK_TIMEOUT_MS
    transactions.sleep, transactions.random = (lambda pause_s: None), (lambda: 0.5)
    _alter_database("SET deadlock_timeout = '10ms'")
    _begin_with_fresh_connections()
    try:
        yield
    finally:
        options["lock_timeout_ms"], transactions.sleep, transactions.random = before
        if before[0] is None:
            del options["lock_timeout_ms"]
        _alter_database("RESET deadlock_timeout")
        _begin_with_fresh_connections()


def _begin_with_fresh_connections() -> None:
    # Connections take these settings when they are made.
    connections.close_all()
    if connection.pool:
        connection.close_pool()


def _alter_database(change: str) -> None:
    with psycopg.connect(dsn(), autocommit=True) as admin:
        name = psycopg.sql.Identifier(admin.info.dbname)
        admin.execute(psycopg.sql.SQL("ALTER DATABASE {} {}").format(name, psycopg.sql.SQL(change)))


def dsn() -> str:
    settings = connection.settings_dict
    parts = {
        "dbname": settings["NAME"],
        "user": settings["USER"],
        "password": settings["PASSWORD"],
        "host": settings["HOST"],
        "port": settings["PORT"],
    }
    return psycopg.conninfo.make_conninfo(**{name: value for name, value in parts.items() if value})
