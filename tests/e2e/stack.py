"""A shop to hurt: PostgreSQL and Valkey with every durability setting on, and web processes killed one by one.

Killing a process loses what it had in memory, not what the kernel has taken; a power cut is not tried here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg

from embedded.postgres import Postgres
from embedded.servers import Servers
from embedded.service import launched
from embedded.valkey import free_port
from tests.e2e.shop import HANDLE, ROOT, Shop, scratch_folder, wait_until

_LISTENS = "0A"  # in /proc/net/tcp


class Stack(Shop):
    """The servers alone; `web` starts processes beside them. Made by `running_stack`."""

    def __init__(self, postgres: Postgres, servers: Servers) -> None:
        super().__init__(servers.data, servers.variables())
        self.postgres = postgres

    @contextlib.contextmanager
    def web(self, *, processes: int) -> Iterator[Web]:
        """That many web processes on one port, serving; killed afterwards."""
        web = Web(self, free_port(), processes)
        try:
            for slot in range(processes):
                web.spawn(slot)
            wait_until(lambda: all(map(web.serves, range(processes))), "the web processes serve")
            yield web
        finally:
            for slot in range(processes):
                web.kill(slot)

    def copy_database(self, name: str) -> str:
        """The URL of a copy, for tampering with. Nobody may be connected to the original meanwhile."""
        with psycopg.connect(self.postgres.url_of("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE dropfront")
        return self.postgres.url_of(name)

    def backend(self) -> int:
        """A process of PostgreSQL that works for the shop: one with a transaction under way, if there is any."""
        with psycopg.connect(self.postgres.url_of("postgres"), autocommit=True) as connection:
            row = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = 'dropfront' ORDER BY xact_start DESC NULLS LAST LIMIT 1"
            ).fetchone()
        assert row is not None, "the shop has no connection"
        return int(row[0])


@contextlib.contextmanager
def running_stack() -> Iterator[Stack]:
    """PostgreSQL, Valkey, tables and an empty shop, all gone afterwards."""
    with scratch_folder() as folder:
        data = folder / "data"
        data.mkdir()
        servers = Servers(data, given={})
        assert servers.postgres is not None
        try:
            for service in servers.services:
                service.start()
            stack = Stack(servers.postgres, servers)
            stack.manage("migrate", "--verbosity", "1")
            stack.manage("open_shop", "--handle", HANDLE, "--name", "Northlight Press")
            yield stack
        finally:
            for service in reversed(servers.services):
                service.stop()


class Web:
    """Web processes that share a port. Started from the main thread: on Linux they end with the thread that started them."""

    def __init__(self, stack: Stack, port: int, processes: int) -> None:
        self.stack = stack
        self.port = port
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * processes

    def spawn(self, slot: int) -> None:
        """Start it; it serves a second or two later."""
        command = [sys.executable, "-m", "dropfront.server", "--port", str(self.port), "--slot", str(slot)]
        with (self.stack.data / "logs" / f"web-{slot}.log").open("ab") as log:
            self.processes[slot] = subprocess.Popen(
                launched(command), cwd=ROOT, env=self.stack.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )  # fmt: skip

    def kill(self, slot: int) -> None:
        process = self.processes[slot]
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.processes[slot] = None

    def serves(self, slot: int) -> bool:
        """Whether it listens, as it does once its application has started."""
        process = self.processes[slot]
        assert process is not None
        assert process.poll() is None, f"web-{slot} ended by itself; see its log in {self.stack.data / 'logs'}"
        return bool(listening_sockets(self.port) & sockets_of(process.pid))


def listening_sockets(port: int) -> set[str]:
    """Inodes of the sockets that listen on that port."""
    wanted = f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[1].endswith(wanted) and row[3] == _LISTENS}


def sockets_of(pid: int) -> set[str]:
    """Inodes of a process' sockets."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed while we look
            target = os.readlink(descriptor)
            if target.startswith("socket:["):
                found.add(target.removeprefix("socket:[").removesuffix("]"))
    return found
