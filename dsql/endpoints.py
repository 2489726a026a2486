"""Which endpoint to dial: the nearest that is not known to be down, and back to it when it is up again.

The endpoints of one list are doors to one database. One that fails is set aside; a thread of the process tries it again,
after pauses that grow, so that no caller waits for it. The state belongs to the process, and starts anew in a fork.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections

from dsql.auth import PORT, NoToken, is_dsql_name, region_of

PAUSE_FIRST_S = 0.25
PAUSE_MAX_S = 10.0
# Connections to a farther endpoint are given up within this time after a nearer one is back: at a random moment of it,
# because a whole fleet does this at once and DSQL takes 100 new connections a second.
RETIRE_WITHIN_S = 5.0
# A server that says FATAL is up and refuses this login (or has its quota of connections); these mean that it is not.
DOWN_TEXTS = ("starting up", "shutting down", "not accepting connections", "server unavailable")

logger = logging.getLogger("dsql")


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)
_Errors: TypeAlias = "dict[Endpoint, psycopg.OperationalError]"


@dataclass(frozen=True)
class Endpoint:
    """One door to the database. With a `region` it is DSQL's; without, an ordinary PostgreSQL (or a relay before one)."""

    host: str
    port: int
    region: str | None = None

    @property
    def name(self) -> str:
        return self.host if self.region and self.port == PORT else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class EndpointState:
    """One endpoint as a health page shows it. `since_s`: how long it has been up or down, in seconds."""

    name: str
    is_up: bool
    is_in_use: bool  # where new connections go
    since_s: float
    error: str | None


def read_endpoints(options: Mapping[str, Any]) -> tuple[Endpoint, ...]:
    """OPTIONS["endpoints"], nearest first: DSQL names, "host:port", or dicts of host, port and region.

    They are DSQL's if OPTIONS["live"] says so. Without it: if their Regions are known, by their names or by "region".
    """
    given = [_host_port_region(entry) for entry in options.get("endpoints") or ()]
    live = options.get("live")
    if live is None:
        known = [bool(region or options.get("region") or is_dsql_name(host)) for host, _, region in given]
        if any(known) and not all(known):
            raise ImproperlyConfigured("OPTIONS['endpoints'] names DSQL endpoints and others; set OPTIONS['live'].")
        live = any(known)
    if live and not given:
        raise ImproperlyConfigured("OPTIONS['live'] needs OPTIONS['endpoints'].")
    if not live:
        return tuple(Endpoint(host, port) for host, port, _ in given)
    # The name's own Region comes before OPTIONS["region"], which is for names that do not tell.
    return tuple(
        Endpoint(host, port, region or (not is_dsql_name(host) and options.get("region")) or region_of(host))
        for host, port, region in given
    )


def _host_port_region(entry: Any) -> tuple[str, int, str | None]:
    if isinstance(entry, Mapping):
        if unknown := set(entry) - {"host", "port", "region"}:
            raise ImproperlyConfigured(f"An endpoint has a host, a port and a region, not {sorted(unknown)}.")
        return str(entry["host"]), int(entry.get("port") or PORT), entry.get("region")
    host, colon, port = str(entry).strip().rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        return str(entry).strip(), PORT, None  # a plain name, or a bare IPv6 address
    if not port.isdigit():
        raise ImproperlyConfigured(f"Endpoint {entry!r} is not a name or host:port.")
    return host.strip("[]"), int(port), None


class _Circuit:
    """What is known about one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.is_up = True
        self.changed_at = time.monotonic()
        self.failed_at = 0.0
        self.error: str | None = None
        self.pause_s = 0.0
        self.probe_at: float | None = None  # None: nothing to find out


class Route:
    """The endpoints of one list, nearest first. Thread-safe; one per list and process."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self.reset()

    def reset(self) -> None:
        """Forget all that is known. For a forked child, whose copies of locks and threads are of no use."""
        self._changed = threading.Condition()
        self._last_resort = threading.Lock()
        self._circuits = {endpoint: _Circuit(endpoint) for endpoint in self.endpoints}
        self._prober: threading.Thread | None = None
        self._dial: Callable[[Endpoint], Any] | None = None
        self.came_back_at = 0.0  # when an endpoint was last found up again

    def connect(self, dial: Callable[[Endpoint], C]) -> C:
        """What `dial` returns for the nearest endpoint that answers. Raises OperationalError when none does."""
        self._dial = dial
        errors: _Errors = {}
        for circuit in tuple(self._circuits.values()):
            if circuit.is_up and (connection := self._try(circuit, dial, errors)):
                return connection
        if len(errors) < len(self.endpoints):
            return self._connect_in_need(dial, errors)
        raise _none_answered(errors)

    def _connect_in_need(self, dial: Callable[[Endpoint], C], errors: _Errors) -> C:
        """No endpoint that counts as up has answered: try the others, but one caller at a time.

        Those who waited meanwhile share what the first one found, so that an endpoint that comes back is not met by all.
        """
        began_at = time.monotonic()
        with self._last_resort:
            found = self._found_in_need(dial, errors, began_at)
        if isinstance(found, _Circuit):  # dialled out of the lock, because it has answered another caller
            found = self._try(found, dial, errors)
        if found is None:
            raise _none_answered(errors)
        return found

    def _found_in_need(self, dial: Callable[[Endpoint], C], errors: _Errors, began_at: float) -> C | _Circuit | None:
        for circuit in tuple(self._circuits.values()):
            if circuit.endpoint in errors:
                continue
            if circuit.is_up:
                return circuit
            if circuit.failed_at > began_at:
                errors[circuit.endpoint] = psycopg.OperationalError(circuit.error or "")
            elif connection := self._try(circuit, dial, errors):
                return connection
        return None

    def _try(self, circuit: _Circuit, dial: Callable[[Endpoint], C], errors: _Errors) -> C | None:
        """The connection, or None and the reason in `errors`."""
        try:
            connection = dial(circuit.endpoint)
        except NoToken:
            raise  # ours to mend: it says nothing of the endpoint
        except psycopg.OperationalError as error:
            if _means_down(error):
                self._set_aside(circuit, error)
            errors[circuit.endpoint] = error
            return None
        self._found_up(circuit)
        return connection

    # -- what is known

    def is_set_aside(self, endpoint: Endpoint) -> bool:
        return not self._circuits[endpoint].is_up

    def is_left_behind(self, endpoint: Endpoint, made_at: float, share: float) -> bool:
        """Whether a connection to `endpoint`, made at `made_at`, should give way to one to a nearer endpoint.

        `share`, from 0 to 1, is the connection's place in the time that all of them have for it.
        """
        if self.came_back_at <= made_at:
            return False
        for nearer in self.endpoints[: self.endpoints.index(endpoint)]:
            circuit = self._circuits[nearer]
            if circuit.is_up and made_at < circuit.changed_at < time.monotonic() - share * RETIRE_WITHIN_S:
                return True
        return False

    def suspect(self, endpoint: Endpoint) -> None:
        """Somebody waited in vain for an answer from `endpoint`: see in the background whether it still takes logins."""
        with self._changed:
            circuit = self._circuits[endpoint]
            if circuit.is_up:
                circuit.probe_at = time.monotonic()
                self._start_probing()

    def states(self) -> list[EndpointState]:
        now = time.monotonic()
        with self._changed:
            circuits = list(self._circuits.values())
            in_use = next((circuit for circuit in circuits if circuit.is_up), None)
            return [EndpointState(c.endpoint.name, c.is_up, c is in_use, now - c.changed_at, c.error) for c in circuits]

    # -- setting aside and finding again

    def _set_aside(self, circuit: _Circuit, error: BaseException) -> None:
        with self._changed:
            now = time.monotonic()
            if circuit.is_up:
                logger.warning("Endpoint %s is set aside: %s", circuit.endpoint.name, error)
                circuit.is_up, circuit.changed_at, circuit.pause_s = False, now, 0.0
            circuit.failed_at, circuit.error = now, str(error)
            if circuit.probe_at is None:
                self._plan_probe(circuit)
            self._start_probing()

    def _found_up(self, circuit: _Circuit) -> None:
        if circuit.is_up and circuit.probe_at is None:
            return  # the usual case, without a lock
        with self._changed:
            circuit.probe_at = None
            self._changed.notify()  # there may be nothing left to probe
            if not circuit.is_up:
                logger.warning("Endpoint %s is back.", circuit.endpoint.name)
                circuit.is_up, circuit.error = True, None
                circuit.changed_at = self.came_back_at = time.monotonic()

    def _plan_probe(self, circuit: _Circuit) -> None:
        circuit.pause_s = min(circuit.pause_s * 2 or PAUSE_FIRST_S, PAUSE_MAX_S)
        # Spread, because all processes saw it fail at the same moment.
        circuit.probe_at = time.monotonic() + circuit.pause_s * random.uniform(0.75, 1.25)

    def _start_probing(self) -> None:
        if self._prober is None:
            self._prober = threading.Thread(target=self._probe_until_all_are_up, name="dsql-endpoints", daemon=True)
            self._prober.start()
        self._changed.notify()

    def _probe_until_all_are_up(self) -> None:
        while circuit := self._next_to_probe():
            assert self._dial is not None
            connection = None
            try:
                connection = self._try(circuit, self._dial, {})
            except Exception:  # of any kind, because this thread is the endpoint's only way back
                logger.exception("Endpoint %s could not be probed.", circuit.endpoint.name)
            if connection:
                connection.close()
                continue
            with self._changed:
                if circuit.is_up:
                    circuit.probe_at = None  # it refused this login, so it is there
                else:
                    self._plan_probe(circuit)

    def _next_to_probe(self) -> _Circuit | None:
        """Wait until an endpoint is due, and return it; None, and the thread ends, when nothing is to be found out."""
        with self._changed:
            while True:
                planned = [circuit for circuit in self._circuits.values() if circuit.probe_at is not None]
                if not planned:
                    self._prober = None
                    return None
                circuit = min(planned, key=lambda circuit: circuit.probe_at or 0.0)
                wait_s = (circuit.probe_at or 0.0) - time.monotonic()
                if wait_s <= 0:
                    return circuit
                self._changed.wait(wait_s)


def _means_down(error: psycopg.OperationalError) -> bool:
    # By text: libpq keeps the SQLSTATE of a failed login to itself.
    text = str(error)
    return "FATAL:" not in text or any(sign in text for sign in DOWN_TEXTS)


def _none_answered(errors: _Errors) -> psycopg.OperationalError:
    if len(errors) == 1:
        return next(iter(errors.values()))
    told = "\n".join(f"{endpoint.name}: {error}" for endpoint, error in errors.items())
    return psycopg.OperationalError(f"No endpoint took the connection.\n{told}")


_routes: dict[tuple[Endpoint, ...], Route] = {}


def route_to(endpoints: tuple[Endpoint, ...]) -> Route | None:
    """The process's route over `endpoints`; None without any."""
    if not endpoints:
        return None
    return _routes.get(endpoints) or _routes.setdefault(endpoints, Route(endpoints))


def endpoint_states(using: str = DEFAULT_DB_ALIAS) -> list[EndpointState]:
    """What this process knows about the endpoints of a database, nearest first. Asks nobody; for a health page."""
    route: Route | None = getattr(connections[using], "route", None)
    return route.states() if route else []


def _reset_in_child() -> None:
    for route in _routes.values():
        route.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
