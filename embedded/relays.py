"""`bin/up --regions 2`: relays before the one PostgreSQL that stand in for the endpoints of two regions.

They are two doors to one database, each of which can be killed. They are not two regions: nothing is copied, and there is no
distance between them.
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from embedded.errors import StartError
from embedded.postgres import PORT, Postgres
from embedded.service import Service
from embedded.valkey import PORT_TRIES_MAX, free_port

NAMES = "abcdefgh"


class Relay(Service):
    """One door, on a loopback port of its own that stays the same when it is started again."""

    death_signal = signal.SIGKILL

    def __init__(self, name: str, postgres: Postgres, data: Path) -> None:
        super().__init__(f"relay-{name}", data / "logs")
        self.to = f"unix:{postgres.socket_dir}/.s.PGSQL.{PORT}"
        self.port = free_port()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "dsql.relay", "--listen", self.address, "--to", self.to]

    def start(self) -> None:
        for _ in range(PORT_TRIES_MAX - 1):
            try:
                return super().start()
            except StartError:
                if "in use" not in self.log_tail():
                    raise
                self.port = free_port()  # another program was faster between our look and the relay's start
        super().start()

    def is_ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
        except OSError:
            return False
        return True


def relays(count: int, postgres: Postgres, data: Path) -> list[Relay]:
    return [Relay(name, postgres, data) for name in NAMES[:count]]
