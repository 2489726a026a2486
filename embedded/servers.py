"""The servers a run needs and was not given: which to start, their addresses, and the lock on their data."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from embedded import env
from embedded.errors import InUse
from embedded.postgres import Postgres
from embedded.service import Service
from embedded.valkey import Valkey


class Servers:
    """PostgreSQL and Valkey in `data`, each only if no variable names one that runs already."""

    def __init__(self, data: Path, *, fast: bool = False, given: Mapping[str, str] | None = None) -> None:
        given = os.environ if given is None else given
        needs_postgres = not (given.get("DATABASE_URL") or given.get("DSQL_ENDPOINTS"))
        self.given = given
        self.data = data
        self.postgres = Postgres(data, fast=fast) if needs_postgres else None
        self.valkey = None if given.get("REDIS_URL") else Valkey(data)

    @property
    def services(self) -> list[Service]:
        """In starting order."""
        return [service for service in (self.postgres, self.valkey) if service is not None]

    def variables(self) -> dict[str, str]:
        """What a process beside these servers needs in its environment and does not have yet. Call after the start."""
        values = {}
        if self.postgres is not None:
            values["DATABASE_URL"] = self.postgres.url
        if self.valkey is not None:
            values["REDIS_URL"] = self.valkey.url
        if not self.given.get("SECRET_KEY"):
            values["SECRET_KEY"] = env.secret_key(self.data)
        return values


@contextlib.contextmanager
def running_servers(data: Path, *, fast: bool = False) -> Iterator[Servers]:
    """Servers in `data` (made if missing) for as long as the block runs. Raises StartError, InUse among them.

    Start it from the main thread: on Linux the servers end with the thread that started them.
    """
    with locked(data):
        servers = Servers(data.resolve(), fast=fast)
        started: list[Service] = []
        try:
            for service in servers.services:
                service.start()
                started.append(service)
            yield servers
        finally:
            for service in reversed(started):
                service.stop()


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold `data` for this process alone. The kernel frees the lock however we end."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise InUse(f"{data} is in use by another run (process {holder}); stop that one first.") from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
