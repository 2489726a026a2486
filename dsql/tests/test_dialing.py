"""Deadlines of statements, pools and forks, on a real server behind a relay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, connections, transaction
from psycopg_pool.base import AttemptWithBackoff

from dsql import dialing, endpoints, faults, pools
from dsql.dialing import StatementDeadline
from dsql.endpoints import endpoint_states
from dsql.tests.relays import ALIAS, eventually, make_relay, make_wrapper, server, value_of
from dsql.transactions import OutcomeUnknown, run_transaction

__all__ = ["make_relay", "make_wrapper", "server"]

DEADLINE_S = 1.0  # short enough to wait for, long enough for an answer on a busy machine


@pytest.fixture
def relay(make_relay: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(endpoints, "PAUSE_FIRST_S", 0.02)
    return make_relay()


def seconds_to_fail(call: Callable[[], Any], error: type[BaseException] = OperationalError) -> float:
    began_at = time.monotonic()
    with pytest.raises(error):
        call()
    return time.monotonic() - began_at


# -- the deadline of a statement


@pytest.mark.parametrize("pool", [None, {"min_size": 1, "max_size": 2, "timeout": 5.0}])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("server_side_binding", [True, False])
def test_a_statement_that_is_never_answered_is_given_up(
    server_side_binding: bool, strict: bool, pool: Any, relay: Any, make_wrapper: Callable[..., Any]
) -> None:
    wrapper = make_wrapper(
        endpoints=[relay.address],
        statement_deadline_s=DEADLINE_S,
        strict=strict,
        server_side_binding=server_side_binding,
        pool=pool,
    )
    assert value_of(wrapper, "SELECT 1") == 1
    given_up = wrapper.connection
    relay.hang()

    assert seconds_to_fail(lambda: value_of(wrapper, "SELECT 2")) >= DEADLINE_S
    assert given_up.closed
    relay.heal()
    wrapper.close()
    assert value_of(wrapper, "SELECT 3") == 3
    assert wrapper.connection is not given_up


def test_other_ways_to_wait_have_the_deadline_too(relay: Any, make_wrapper: Callable[..., Any]) -> None:
    wrapper = make_wrapper(endpoints=[relay.address], statement_deadline_s=DEADLINE_S, strict=False)

    def copy() -> None:
        with wrapper.connection.cursor() as cursor, cursor.copy("COPY (SELECT 1) TO STDOUT") as rows:
            rows.read()

    waits = [
        lambda: wrapper.connection.commit(),
        lambda: wrapper.connection.cursor().executemany("SELECT %s", [[1], [2]]),
        lambda: next(iter(wrapper.connection.cursor().stream("SELECT 1"))),
        copy,
    ]
    for wait in waits:
        relay.heal()
        wrapper.close()
        wrapper.connect()
        wrapper.set_autocommit(False)
        value_of(wrapper, "SELECT 1")
        relay.hang()
        assert seconds_to_fail(wait, StatementDeadline) >= DEADLINE_S


def test_a_slow_answer_in_time_is_taken(relay: Any, make_wrapper: Callable[..., Any]) -> None:
    wrapper = make_wrapper(endpoints=[relay.address], statement_deadline_s=20.0)
    wrapper.ensure_connection()
    relay.delay(0.1)

    began_at = time.monotonic()
    assert value_of(wrapper, "SELECT 1") == 1
    assert time.monotonic() - began_at >= 0.2  # there and back


def test_work_that_must_wait_longer_can_ask_for_it(relay: Any, make_wrapper: Callable[..., Any]) -> None:
    wrapper = make_wrapper(endpoints=[relay.address], statement_deadline_s=DEADLINE_S)
    sleep = f"SELECT 1 FROM pg_sleep({DEADLINE_S * 2})"

    with wrapper.statement_deadline(None):
        assert value_of(wrapper, sleep) == 1
    with pytest.raises(OperationalError, match=r"No answer within 1(\.0)? s"):
        value_of(wrapper, sleep)


def test_a_deadline_beyond_dsqls_own_is_refused(make_wrapper: Callable[..., Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        make_wrapper(statement_deadline_s=301)


def test_before_commit_a_deadline_is_a_lost_connection_and_runs_again(
    relay: Any, make_wrapper: Callable[..., Any]
) -> None:
    wrapper = make_wrapper(endpoints=[relay.address], statement_deadline_s=DEADLINE_S)
    told: list[str] = []

    def body() -> int:
        if not told:
            relay.hang()
        try:
            return value_of(wrapper, "SELECT 1")
        finally:
            relay.heal()

    assert run_transaction(body, using=ALIAS, on_attempt=lambda event, *_: told.append(event)) == 1
    assert told == ["lost", "ok"]


def test_at_commit_a_deadline_leaves_the_outcome_unknown(
    relay: Any, make_wrapper: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = make_wrapper(endpoints=[relay.address], statement_deadline_s=DEADLINE_S)

    wrapper.ensure_connection()
    with monkeypatch.context() as patch:
        patch.setattr(wrapper, "connect", lambda: pytest.fail("it connected again, just to set autocommit"))
        with faults.before_commit(relay.hang), pytest.raises(OutcomeUnknown):
            run_transaction(lambda: value_of(wrapper, "SELECT 1"), using=ALIAS)

    relay.heal()
    assert value_of(wrapper, "SELECT 2") == 2
    assert wrapper.get_autocommit()


def test_an_endpoint_that_kept_somebody_waiting_is_tried_in_the_background(
    relay: Any, make_wrapper: Callable[..., Any]
) -> None:
    wrapper = make_wrapper(endpoints=[relay.address], statement_deadline_s=DEADLINE_S, connect_timeout=2)
    value_of(wrapper, "SELECT 1")
    relay.hang()
    seconds_to_fail(lambda: value_of(wrapper, "SELECT 1"))

    eventually(lambda: not endpoint_states(ALIAS)[0].is_up)  # nobody has connected but the prober
    relay.heal()
    eventually(lambda: endpoint_states(ALIAS)[0].is_up)


# -- pools


@pytest.fixture
def pooled(relay: Any, make_wrapper: Callable[..., Any]) -> Any:
    return make_wrapper(endpoints=[relay.address], pool={"min_size": 4, "max_size": 4, "timeout": 20.0})


def fill(wrapper: Any) -> None:
    wrapper.ensure_connection()
    wrapper.close()
    eventually(lambda: pools.pools[ALIAS].get_stats()["pool_available"] == 4)


def test_connections_live_fifty_minutes_less_a_little_at_random(pooled: Any) -> None:
    fill(pooled)
    lives_s = {connection._expire_at - connection._created_at for connection in pooled.pool._pool}

    assert len(lives_s) == 4
    assert all(2850 <= life_s <= 3000 for life_s in lives_s)


def test_a_pool_whose_connections_all_died_gives_out_a_live_one_without_a_pause(
    relay: Any, pooled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        AttemptWithBackoff, "INITIAL_DELAY", 1_000_000.0
    )  # psycopg_pool's own check would pause so long
    fill(pooled)
    relay.cut()
    time.sleep(0.05)

    assert value_of(pooled, "SELECT 1") == 1


def test_with_health_checks_a_frozen_connection_is_noticed(
    relay: Any, make_wrapper: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "CHECK_DEADLINE_S", 0.2)
    wrapper = make_wrapper(
        endpoints=[relay.address], pool={"min_size": 1, "max_size": 1, "timeout": 3.0}, CONN_HEALTH_CHECKS=True
    )
    assert value_of(wrapper, "SELECT 1") == 1
    wrapper.close()
    relay.hang()

    with pytest.raises(OperationalError):
        wrapper.ensure_connection()
    relay.heal()


def test_a_checkout_from_a_full_pool_ends_in_time(relay: Any, make_wrapper: Callable[..., Any], in_thread: Any) -> None:
    wrapper = make_wrapper(endpoints=[relay.address], pool={"min_size": 1, "max_size": 1, "timeout": 1.0})
    wrapper.ensure_connection()
    waited: list[float] = []
    in_thread(lambda: waited.append(seconds_to_fail(connections[ALIAS].ensure_connection))).join()

    assert waited[0] >= 1.0


def test_an_idle_check_asks_nobody(relay: Any, pooled: Any) -> None:
    pooled.ensure_connection()
    relay.hang()

    assert pooled.connection.looks_alive()
    relay.heal()


def test_without_a_pool_a_connection_is_replaced_before_dsql_ends_it(
    relay: Any, make_wrapper: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = make_wrapper(endpoints=[relay.address], CONN_MAX_AGE=None)
    wrapper.ensure_connection()
    wrapper.close_if_unusable_or_obsolete()  # what Django does between two requests
    assert wrapper.connection is not None

    monkeypatch.setattr(dialing, "LIFETIME_S", 0)
    wrapper.close_if_unusable_or_obsolete()
    assert wrapper.connection is None


# -- forks

SCRIPT = """
import os, signal, sys, warnings
warnings.simplefilter("error", ResourceWarning)
from django.conf import settings
settings.configure(DATABASES={{"default": {settings!r}}}, USE_TZ=True)
import django
django.setup()
from django.db import connection

def backend():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]

parents = backend()
if {is_idle!r}:
    connection.close()
child = os.fork()
if child == 0:
    signal.alarm(60)
    childs = backend()
    connection.close()
    connection.close_pool()
    sys.exit(0 if childs != parents else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child used its parent's connection"
assert backend() == parents, "the child ended its parent's connection"
print("both well")
"""


@pytest.mark.parametrize(
    ("pool", "is_idle"),
    [({"max_size": 1, "min_size": 1}, True), ({"max_size": 1, "min_size": 1}, False), (None, False)],
)
def test_a_forked_child_opens_its_own_connections(pool: Any, is_idle: bool, server: str) -> None:
    settings = {**connection.settings_dict, "OPTIONS": {"pool": pool}, "TEST": {}}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(settings=settings, is_idle=is_idle)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stderr == ""
    assert (done.stdout, done.returncode) == ("both well\n", 0)


def test_a_fork_in_a_busy_process_does_not_deadlock(pooled: Any) -> None:
    """Threads connect all the time, so locks are held at the moment of a fork."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            connections[ALIAS].ensure_connection()
            connections[ALIAS].connection.pgconn.finish()  # makes the pool connect anew
            connections[ALIAS].close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(10)  # ends a child that hangs
                os._exit(0 if value_of(connections[ALIAS], "SELECT 1") == 1 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        is_over.set()
        for thread in threads:
            thread.join(10)


def test_in_a_transaction_the_forked_child_is_told_that_its_connection_is_gone(pooled: Any) -> None:
    with transaction.atomic(using=ALIAS):
        assert value_of(pooled, "SELECT 1") == 1
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            try:
                value_of(pooled, "SELECT 1")
            except OperationalError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert value_of(pooled, "SELECT 2") == 2
