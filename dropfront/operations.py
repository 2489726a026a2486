"""For those who run it: is it alive, is it ready, what is it doing."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import redis
import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor

from accounts import permits
from accounts.models import User
from core import clock, metrics
from core.lean import Answer, Receive, Scope, Send, header
from dropfront import demo

log = structlog.get_logger(__name__)

CLOCK_EVERY_S = 30


async def healthz(scope: Scope, receive: Receive) -> Answer:
    """The process answers. Touches nothing else, so it is also the floor that benchmarks compare with."""
    return 200, b'{"status":"ok"}', []


async def readyz(scope: Scope, receive: Receive) -> Answer:
    """The process can serve: the database answers, is migrated, and Valkey answers."""
    problem = await sync_to_async(_problem, thread_sensitive=False)()
    if problem:
        return 503, b'{"status":"%s"}' % problem.encode(), [(b"retry-after", b"1")]
    return 200, b'{"status":"ready"}', []


_is_migrated = False


def _problem() -> str:
    global _is_migrated
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _is_migrated:
            executor = MigrationExecutor(connection)
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                return "not migrated"
            _is_migrated = True
    except Exception as error:  # whatever is wrong with it, the answer is the same
        log.warning("not_ready", part="database", error=str(error))
        return "no database"
    finally:
        connection.close()
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1) as client:
            client.ping()
    except redis.RedisError as error:
        log.warning("not_ready", part="valkey", error=str(error))
        return "no valkey"
    return ""


async def metrics_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Prometheus' text format. Behind a bearer token in production."""
    is_allowed = _may_read_metrics(header(scope["headers"], b"authorization").removeprefix("Bearer "))
    body = metrics.exposition() if is_allowed else b"Metrics need the bearer token METRICS_TOKEN.\n"
    headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200 if is_allowed else 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _may_read_metrics(token: str) -> bool:
    if not settings.METRICS_TOKEN:
        return not settings.PRODUCTION
    return hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode())


def refuse_demo_data() -> None:
    """A web process of a production site does not start beside the demo's logins, whose password everybody can read.

    Raises ImproperlyConfigured. A database that is out of reach says nothing, and nobody can log in by it either.
    """
    if not settings.PRODUCTION:
        return
    with suppress(DatabaseError, InterfaceError):
        found = list(User.objects.filter(email__in=[login.email for login in demo.LOGINS], is_active=True))
        if any(user.check_password(demo.PASSWORD) for user in found):
            raise ImproperlyConfigured("This database holds the demo's logins: PRODUCTION wants a database of its own.")


async def keep_clock() -> None:
    """Measure this process' clock against the database's, at once and every half minute."""
    await _repeat(clock.measure, every_s=CLOCK_EVERY_S)


async def keep_permits() -> None:
    """Know whose permissions to buy have ended lately."""
    await _repeat(lambda: permits.refresh(now=clock.now()), every_s=permits.REFRESHED_EVERY_S)


async def _repeat(do: Callable[[], object], *, every_s: float) -> None:
    while True:
        try:
            await sync_to_async(partial(_with_connection, do), thread_sensitive=False)()
        except Exception as error:  # an unreachable database must not end the loop; what was known last stays in use
            log.warning("not_refreshed", error=str(error))
        await asyncio.sleep(every_s)


def _with_connection(do: Callable[[], object]) -> None:
    try:
        do()
    finally:
        connection.close()
