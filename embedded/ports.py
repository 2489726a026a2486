"""Is the site's port free? SO_REUSEPORT lets our web processes share one; it must not let strangers share it too."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

from embedded.errors import StartError

LOOPBACKS = ("127.0.0.1", "::1")


@contextlib.contextmanager
def reserved_port(host: str, port: int) -> Iterator[None]:
    """Hold `port` for our processes while the block runs. Raises StartError if anybody listens there already.

    A browser that opens "localhost" tries ::1 first, so with a loopback host both loopback addresses are looked at.
    """
    hosts = dict.fromkeys([host, *LOOPBACKS]) if is_loopback(host) else {host: None}
    for each in hosts:
        refuse_taken(each, port, required=each == host)
    with socket.socket(family_of(host), socket.SOCK_STREAM) as guard:
        # Bound but never listening, so it is given no connections; and without SO_REUSEADDR, so that the look above
        # fails for a second `bin/up` that comes before our web processes listen.
        guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        guard.bind((host, port))
        yield


def refuse_taken(host: str, port: int, *, required: bool) -> None:
    try:
        with socket.socket(family_of(host), socket.SOCK_STREAM) as probe:
            # Forgives connections that are only waiting to be forgotten, not a socket that listens.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} is in use on {host} by another program; stop it, or choose another with --port."
            ) from error
        if error.errno == errno.EACCES:
            raise StartError(f"This user may not open port {port}; choose one above 1023 with --port.") from error
        if required:
            raise StartError(f"Cannot open port {port} on {host}: {error.strerror}.") from error
        # No IPv6 on this machine: nobody can listen there either.


def is_loopback(host: str) -> bool:
    return host in ("localhost", *LOOPBACKS)


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
