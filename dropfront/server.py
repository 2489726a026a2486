"""One web process: `python -m dropfront.server --port P --slot I`. Start as many as there are cores, all on one port.

Each opens its own listening socket with SO_REUSEPORT, and the kernel spreads new connections evenly over them. With one
socket shared by all, the process that wakes first takes most of the work, and a second core brings little.
(macOS has the option too but sends all to the newest process: run one there, or put a proxy in front.)
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import uvicorn

from core.fastpath import FastHttpProtocol, FastRoute

BACKLOG = 2048  # a drop opens and everybody connects in the same second
WEBSOCKET_MESSAGE_BYTES_MAX = 64 * 1024  # what viewers send us is short
KEEP_ALIVE_S = 75  # above the idle time of common load balancers (60 s), or they meet a connection that we just closed
SHUTDOWN_S = 5
# On every answer, files and hot routes too; what else a page needs, Django's middleware says.
HEADERS = [
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
UPLOAD_BYTES_MAX = 40_000_000  # of a form with pictures
UNREAD_MS = 30_000  # a peer that takes nothing for so long is gone; uvicorn alone would wait for it to read


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dropfront.server", description="One web process.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--slot", type=int, help="which of the web processes this is, from 0 (default: it draws a lot)")
    arguments = parser.parse_args()
    if arguments.slot is not None:
        os.environ["DROPFRONT_SLOT"] = str(arguments.slot)  # before the application is imported: it reads it once
    serve(host=arguments.host, port=arguments.port)


def serve(*, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is running, for SHUTDOWN_S at most."""
    config = uvicorn.Config(
        "dropfront.asgi:application",
        loop="uvloop",
        http=FastHttpProtocol,
        lifespan="on",
        backlog=BACKLOG,
        ws_max_size=WEBSOCKET_MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,  # frames are short: compressing nearly doubles their cost and triples a socket's memory
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        access_log=False,  # metrics count requests; a line for each costs more than a hot request itself
        server_header=False,
        headers=HEADERS,
        proxy_headers=False,  # settings.TRUSTED_PROXIES says whose headers count; uvicorn would trust any local one
        log_config=None,  # settings have set up logging for every process alike
    )
    # Import the application first: a socket that listens while we are still importing would be given connections.
    config.load()
    FastHttpProtocol.routes = _fast_routes()
    _guard(port)
    # Bound here, made to listen by the event loop once the application's lifespan has started.
    with open_socket(host, port) as listener, profiling_if_asked():
        uvicorn.Server(config).run(sockets=[listener])


def profiling_if_asked() -> AbstractContextManager[None]:
    if os.environ.get("DROPFRONT_PROFILE") != "1":
        return nullcontext()
    from dropfront.profiling import profiled

    return profiled(f"web-{os.environ.get('DROPFRONT_SLOT', 'unnumbered')}")


def _fast_routes() -> list[FastRoute]:
    from dropfront.lean_routes import FAST_ROUTES  # after Django is set up, which importing the application does

    return FAST_ROUTES


def _guard(port: int) -> None:
    """The edge's bounds, as settings have them. Links in mails carry the Host, so its port must be the site's own as well."""
    from django.conf import settings
    from django.http.request import split_domain_port, validate_host

    ports = {"", "80", "443", str(port), settings.PUBLIC_PORT}

    @lru_cache(maxsize=1_000)
    def allows_host(host: bytes) -> bool:
        domain, host_port = split_domain_port(host.decode("latin-1"))
        return bool(domain) and host_port in ports and validate_host(domain, settings.ALLOWED_HOSTS)

    FastHttpProtocol.allows_host = staticmethod(allows_host)
    FastHttpProtocol.https_only = settings.PRODUCTION
    FastHttpProtocol.larger_bodies = [(b"/pictures/", UPLOAD_BYTES_MAX)]
    FastHttpProtocol.connections_max = settings.CONNECTIONS_MAX
    if not settings.ALLAUTH_TRUSTED_PROXY_COUNT:
        FastHttpProtocol.connections_per_address_max = settings.CONNECTIONS_PER_ADDRESS_MAX


def open_socket(host: str, port: int) -> socket.socket:
    """A bound TCP socket that shares its port with our other processes. Exits with a sentence if the port is taken."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        sys.exit(f"Cannot listen on {host} port {port}: {error.strerror}.")
    return listener


if __name__ == "__main__":
    main()
