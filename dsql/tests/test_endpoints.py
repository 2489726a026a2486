"""Endpoints in order of nearness: the route by itself, then real servers behind relays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from psycopg_pool.base import AttemptWithBackoff

from dsql import endpoints, pools
from dsql.auth import NoToken
from dsql.endpoints import Endpoint, Route, endpoint_states, read_endpoints
from dsql.tests.relays import ALIAS, HANGS_AFTER_S, eventually, make_relay, make_wrapper, server, value_of
from dsql.transactions import run_transaction

__all__ = ["make_relay", "make_wrapper", "server"]

NEAR, FAR = Endpoint("near", 1), Endpoint("far", 2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "PAUSE_FIRST_S", 0.02)
    monkeypatch.setattr(endpoints, "RETIRE_WITHIN_S", 0.0)


class Queue:
    """A lock that tells how many have asked for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: list[int] = []

    def __enter__(self) -> None:
        self.asked.append(threading.get_ident())
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


class Network:
    """Endpoints that answer or not, without a network."""

    def __init__(self, *down: Endpoint) -> None:
        self.down = set(down)
        self.dialled: list[Endpoint] = []
        self.text = "connection refused"

    def dial(self, endpoint: Endpoint) -> Network:
        self.dialled.append(endpoint)
        if endpoint in self.down:
            raise psycopg.OperationalError(self.text)
        self.endpoint = endpoint
        return self

    def close(self) -> None:
        pass


@pytest.fixture
def route() -> Iterator[Route]:
    route = Route([NEAR, FAR])
    yield route
    for circuit in route._circuits.values():
        route._found_up(circuit)
    eventually(lambda: route._prober is None)


def answers(wrapper: Any) -> bool:
    try:
        return bool(value_of(wrapper, "SELECT 1") == 1)
    except OperationalError:
        wrapper.close()
        return False


# -- what may be written in the settings


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ()),
        ({"endpoints": ["abc.dsql.eu-west-1.on.aws"]}, (Endpoint("abc.dsql.eu-west-1.on.aws", 5432, "eu-west-1"),)),
        (
            {"endpoints": ["abc.dsql-x1.eu-west-1.on.aws"]},
            (Endpoint("abc.dsql-x1.eu-west-1.on.aws", 5432, "eu-west-1"),),
        ),
        ({"endpoints": ["proxy"], "region": "eu-west-1"}, (Endpoint("proxy", 5432, "eu-west-1"),)),
        ({"endpoints": [{"host": "proxy", "port": 6, "region": "r"}]}, (Endpoint("proxy", 6, "r"),)),
        ({"endpoints": ["127.0.0.1:6001", "[::1]:6002"]}, (Endpoint("127.0.0.1", 6001), Endpoint("::1", 6002))),
        ({"endpoints": ["/run/pg:6003"]}, (Endpoint("/run/pg", 6003),)),
        ({"endpoints": ["abc.dsql.eu-west-1.on.aws"], "live": False}, (Endpoint("abc.dsql.eu-west-1.on.aws", 5432),)),
    ],
)
def test_endpoints_are_names_or_addresses(options: dict[str, Any], expected: tuple[Endpoint, ...]) -> None:
    assert read_endpoints(options) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"endpoints": ["abc.dsql.eu-west-1.on.aws", "127.0.0.1:6001"]},
        {"endpoints": ["localhost"], "live": True},
        {"endpoints": [{"host": "a", "prot": 1}]},
        {"endpoints": ["host:port"]},
        {"live": True},
    ],
)
def test_endpoints_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        read_endpoints(options)


# -- the route by itself


def test_the_nearest_is_dialled_first(route: Route) -> None:
    network = Network()

    route.connect(network.dial)

    assert network.dialled == [NEAR]


def test_one_that_failed_is_not_dialled_by_the_next_caller(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "PAUSE_FIRST_S", 60)  # no probe comes between
    network = Network(NEAR)

    for _ in range(3):
        assert route.connect(network.dial).endpoint == FAR

    assert network.dialled == [NEAR, FAR, FAR, FAR]
    assert [(s.name, s.is_up, s.is_in_use, s.error) for s in route.states()] == [
        ("near:1", False, False, "connection refused"),
        ("far:2", True, True, None),
    ]


def test_it_is_probed_in_the_background_and_used_again_when_it_is_back(route: Route) -> None:
    network = Network(NEAR)
    route.connect(network.dial)
    made_at = time.monotonic()

    eventually(lambda: network.dialled.count(NEAR) > 2)
    assert not route.is_left_behind(FAR, made_at, 0)
    network.down.clear()
    eventually(lambda: not route.is_set_aside(NEAR))

    assert route.connect(network.dial).endpoint == NEAR
    assert route.is_left_behind(FAR, made_at, 0)
    assert not route.is_left_behind(NEAR, made_at, 0)
    assert not route.is_left_behind(FAR, time.monotonic(), 0)  # it was chosen with the nearer one up


def test_a_far_connection_made_with_the_near_endpoint_up_stays(route: Route) -> None:
    network = Network(NEAR)
    network.text = "FATAL:  too many connections"
    route.connect(network.dial)  # to the far one, by the near one's choice
    made_at = time.monotonic()

    far = route._circuits[FAR]
    route._set_aside(far, psycopg.OperationalError("down"))
    route._found_up(far)

    assert not route.is_left_behind(FAR, made_at, 0)  # or it would be replaced after every use


def test_probes_pause_longer_and_longer(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints.random, "uniform", lambda low, high: 1.0)
    monkeypatch.setattr(endpoints, "PAUSE_MAX_S", 0.08)
    planned: list[float] = []
    plan = Route._plan_probe

    def spy(self: Route, circuit: Any) -> None:
        plan(self, circuit)
        planned.append(circuit.pause_s)

    monkeypatch.setattr(Route, "_plan_probe", spy)
    network = Network(NEAR)
    route.connect(network.dial)
    eventually(lambda: len(planned) >= 5)

    assert planned[:5] == [0.02, 0.04, 0.08, 0.08, 0.08]


def test_a_refused_login_goes_on_but_sets_nothing_aside(route: Route) -> None:
    network = Network(NEAR)
    network.text = 'connection failed: FATAL:  too many connections for role "app"'

    assert route.connect(network.dial).endpoint == FAR
    assert not route.is_set_aside(NEAR)


def test_a_server_that_is_starting_up_is_set_aside(route: Route) -> None:
    network = Network(NEAR)
    network.text = "connection failed: FATAL:  the database system is starting up"
    route.connect(network.dial)

    assert route.is_set_aside(NEAR)


def test_missing_credentials_are_told_at_once_and_blame_no_endpoint(route: Route) -> None:
    def dial(endpoint: Endpoint) -> Any:
        raise NoToken("no credentials")

    with pytest.raises(NoToken):
        route.connect(dial)
    assert all(state.is_up for state in route.states())


def test_when_none_answers_the_error_tells_of_all(route: Route) -> None:
    network = Network(NEAR, FAR)

    for _ in range(2):  # also when all are set aside already
        with pytest.raises(psycopg.OperationalError, match=r"(?s)No endpoint.*near:1: .*far:2: "):
            route.connect(network.dial)


def test_when_all_are_down_one_caller_asks_and_the_others_share_its_answer(
    route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "PAUSE_FIRST_S", 60)
    network = Network(NEAR, FAR)
    with pytest.raises(psycopg.OperationalError):
        route.connect(network.dial)
    network.dialled.clear()
    queue = Queue()
    monkeypatch.setattr(route, "_last_resort", queue)
    failures: list[str] = []

    def dial(endpoint: Endpoint) -> Any:
        network.dialled.append(endpoint)
        eventually(lambda: len(queue.asked) == 6)
        raise psycopg.OperationalError("still down")

    def call() -> None:
        try:
            route.connect(dial)
        except psycopg.OperationalError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGS_AFTER_S)

    assert (network.dialled, len(failures)) == ([NEAR, FAR], 6)


# -- real servers behind relays


@pytest.mark.parametrize("failure", ["stop", "hang"])
def test_the_far_endpoint_takes_over_and_the_near_one_takes_back(
    failure: str, make_relay: Callable[..., Any], make_wrapper: Callable[..., Any]
) -> None:
    near, far = make_relay(), make_relay()
    wrapper = make_wrapper(endpoints=[near.address, far.address], connect_timeout=2)
    assert wrapper.is_strict
    assert not wrapper.is_live
    assert value_of(wrapper, "SELECT 1") == 1
    assert wrapper.endpoint == near.address
    wrapper.close()

    getattr(near, failure)()
    assert value_of(wrapper, "SELECT 1") == 1
    assert wrapper.endpoint == far.address
    assert [state.is_in_use for state in endpoint_states(ALIAS)] == [False, True]

    near.heal()
    eventually(lambda: endpoint_states(ALIAS)[0].is_up)
    wrapper.close_if_unusable_or_obsolete()  # what Django does between two requests
    assert wrapper.connection is None
    assert value_of(wrapper, "SELECT 1") == 1
    assert wrapper.endpoint == near.address


def test_a_pool_follows_the_endpoints(make_relay: Callable[..., Any], make_wrapper: Callable[..., Any]) -> None:
    near, far = make_relay(), make_relay()
    wrapper = make_wrapper(endpoints=[near.address, far.address], pool={"min_size": 3, "max_size": 3, "timeout": 3.0})
    in_use = []

    def work() -> None:
        run_transaction(lambda: in_use.append((value_of(wrapper, "SELECT 1"), wrapper.endpoint)), using=ALIAS)
        wrapper.close()

    work()
    eventually(lambda: near.open_connections == 3)
    near.stop()
    for _ in range(6):
        work()
    assert [endpoint for _, endpoint in in_use] == [near.address] + [far.address] * 6

    near.heal()
    eventually(lambda: endpoint_states(ALIAS)[0].is_up)
    for _ in range(6):
        work()
    eventually(lambda: (near.open_connections, far.open_connections) == (3, 0))
    work()
    assert in_use[-1] == (1, near.address)


def test_a_pool_gives_out_no_connection_to_an_endpoint_that_hangs(
    make_relay: Callable[..., Any], make_wrapper: Callable[..., Any]
) -> None:
    near, far = make_relay(), make_relay()
    wrapper = make_wrapper(
        endpoints=[near.address, far.address],
        pool={"min_size": 3, "max_size": 3, "timeout": 3.0},
        statement_deadline_s=0.3,
        connect_timeout=2,
    )
    value_of(wrapper, "SELECT 1")
    wrapper.close()
    eventually(lambda: near.open_connections == 3)
    near.hang()
    with pytest.raises(OperationalError, match="No answer"):  # one pays, and so the endpoint is looked at
        value_of(wrapper, "SELECT 1")
    wrapper.close()
    eventually(lambda: not endpoint_states(ALIAS)[0].is_up)

    for _ in range(3):
        assert value_of(wrapper, "SELECT 1") == 1
        assert wrapper.endpoint == far.address
        wrapper.close()
    near.heal()


def test_a_pool_recovers_from_an_outage_of_everything_without_pauses_of_its_own(
    make_relay: Callable[..., Any], make_wrapper: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AttemptWithBackoff, "INITIAL_DELAY", 1_000_000.0)  # the first of the pool's own pauses
    relay = make_relay()
    wrapper = make_wrapper(endpoints=[relay.address], pool={"min_size": 2, "max_size": 4, "timeout": 1.0})
    assert value_of(wrapper, "SELECT 1") == 1
    wrapper.close()
    relay.stop()
    for _ in range(3):
        with pytest.raises(OperationalError):
            value_of(wrapper, "SELECT 1")
        wrapper.close()

    relay.heal()
    eventually(lambda: answers(wrapper))
    assert pools.pools[ALIAS].get_stats()["pool_size"] <= 4
