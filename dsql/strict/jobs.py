"""The `sys` schema of asynchronous jobs, and the builds behind it.

By default a build runs at once and its job is "completed", or "failed" when the rows do not allow it: a failed unique
index is left INVALID, as on DSQL. With OPTIONS["slow_builds"] a build answers its job and is not done: the index enforces
nothing more than uniqueness and is not valid, the constraint is not validated. `CALL sys.wait_for_job` completes it,
and so does the first look at `sys.jobs` or the first DDL after a second (or as many as the option says).

Inside BEGIN ... COMMIT a build always runs at once. `wait_for_job` does not raise when the job failed: read its status.
"""

from __future__ import annotations

import base64
import contextlib
import re
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import postgast
import psycopg

from dsql.strict.rules import Job
from dsql.strict.tree import qualified_name

# What rows can have against a build: wrong values, and broken constraints. The rest is wrong with the statement.
BUILD_ERRORS = (psycopg.errors.DataError, psycopg.errors.IntegrityError)

_INSTALL_SQL = """
CREATE SCHEMA IF NOT EXISTS sys;
CREATE TABLE IF NOT EXISTS sys.jobs (
    job_id text PRIMARY KEY,
    status text NOT NULL,
    details text NOT NULL DEFAULT '',
    job_type text NOT NULL,
    class_id oid,
    object_id oid,
    object_name text,
    start_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now()
);
-- Strict mode's own: what is left to do for a job.
CREATE TABLE IF NOT EXISTS sys.unfinished_builds (
    job_id text PRIMARY KEY,
    finishing_sql text NOT NULL,
    index_name text,
    failure text,
    search_path text NOT NULL,
    due timestamptz NOT NULL
);
CREATE OR REPLACE PROCEDURE sys.wait_for_job(job text) LANGUAGE plpgsql AS $body$
BEGIN
    IF job !~ '^[a-z2-7]{26}$' THEN
        RAISE EXCEPTION 'Unable to convert text to UUID' USING ERRCODE = '22P02';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM sys.jobs WHERE job_id = job) THEN
        RAISE EXCEPTION 'job % does not exist', job USING ERRCODE = '42704';
    END IF;
END
$body$;
"""
_INSTALL_LOCK = 7305823  # any number: two processes must not create the schema at the same time
_BUILD_LOCK = 7305824  # ... or complete the same build
_SETTLE_SQL = "UPDATE sys.jobs SET status = %s, details = %s, update_time = clock_timestamp() WHERE job_id = %s"
_NEWEST_INDEX_SQL = """
    SELECT format('%%I.%%I', n.nspname, c.relname)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.indrelid = to_regclass(%s) ORDER BY i.indexrelid DESC LIMIT 1
"""
_STARTED_SQL = """
    UPDATE sys.jobs j SET status = 'processing', update_time = clock_timestamp() FROM sys.unfinished_builds b
    WHERE b.job_id = j.job_id AND j.status = 'submitted' AND now() >= j.start_time + (b.due - j.start_time) / 2
"""
_WAITED_FOR = re.compile(r"wait_for_job\s*\(\s*'([a-z2-7]{26})'")
# A build waits for transactions that are open. Here it is meant to be stopped by one, at its last step.
_STALL_MS = 25
_BUILD_MS = 10_000

_DUPLICATES = "found duplicate key(s) while validating index uniqueness"

_installed: set[tuple[Any, ...]] = set()
_lock = threading.Lock()


def install(connection: psycopg.Connection[Any]) -> None:
    """Make sure the database has the schema. Uses an unguarded connection of its own; once per process."""
    info = connection.info
    key = (info.host, info.port, info.dbname)
    if key in _installed:
        return
    with _lock, _unguarded(connection) as maintenance:
        if key in _installed:
            return
        maintenance.execute("SELECT pg_advisory_lock(%s)", [_INSTALL_LOCK])
        maintenance.execute(_INSTALL_SQL)
        _installed.add(key)


def forget(database: str) -> None:
    """A database of this name was dropped, so a new one needs its own schema."""
    with _lock:
        for key in [key for key in _installed if key[2] == database]:
            _installed.discard(key)


def new_job_id() -> str:
    """26 characters of base32, like DSQL's."""
    return base64.b32encode(uuid.uuid4().bytes).decode().rstrip("=").lower()


def job_sql(job: Job, status: str = "completed", details: str = "", *, job_id: str = "") -> str:
    """A statement that records a job and answers its id."""
    values = [job_id or new_job_id(), status, details, job.job_type, job.object_name]
    literals = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    catalog = "pg_constraint" if job.job_type == "CONSTRAINT_VALIDATION" else "pg_class"
    name = "'" + job.object_name.replace('"', '""').replace("'", "''") + "'"
    return (
        "INSERT INTO sys.jobs (job_id, status, details, job_type, object_name, class_id, object_id) "  # noqa: S608
        f"VALUES ({literals}, '{catalog}'::regclass, to_regclass('\"' || {name} || '\"')) RETURNING job_id"
    )


# -- builds that fail


def details_of(error: psycopg.Error) -> str:
    """What a job has to say that failed for `error`."""
    return _DUPLICATES if isinstance(error, psycopg.errors.UniqueViolation) else str(error).splitlines()[0]


def leave_invalid_index(connection: psycopg.Connection[Any], sql: str) -> None:
    """Leave the INVALID index of a failed build behind. `sql` creates the index; it has just failed on the rows."""
    with _unguarded(connection, timeout_ms=_BUILD_MS) as maintenance, contextlib.suppress(psycopg.Error):
        _see_as(connection, maintenance)
        maintenance.execute(_concurrently(sql))


# -- builds that take their time


def submit(connection: psycopg.Connection[Any], sql: str, job: Job, *, duration_s: float) -> str:
    """Start the build `sql` without completing it; returns the statement that answers its job.

    Raises what is wrong with the statement itself; what the rows have against it, the job will say.
    """
    failure = index_name = None
    with _unguarded(connection, timeout_ms=_BUILD_MS) as maintenance:
        path = _see_as(connection, maintenance)
        if job.job_type == "INDEX_BUILD":
            try:
                index_name, failure = _stalled_build(connection, maintenance, sql)
            except _AlreadyThere:
                return job_sql(job)
        else:
            failure = _tried(maintenance, sql)
        finishing = f"REINDEX INDEX {index_name}" if index_name else sql
        job_id = new_job_id()
        maintenance.execute(
            "INSERT INTO sys.unfinished_builds VALUES (%s, %s, %s, %s, %s, now() + %s * interval '1 second')",
            [job_id, finishing, index_name, failure, path, duration_s],
        )
    return job_sql(job, "submitted", job_id=job_id)


def finish(connection: psycopg.Connection[Any], text: str) -> None:
    """Complete the build that `text` waits for, and those whose time has passed; called before `text` runs."""
    waited_for = match[1] if (match := _WAITED_FOR.search(text)) else None
    install(connection)
    with _unguarded(connection, timeout_ms=_BUILD_MS) as maintenance:
        maintenance.execute("SELECT pg_advisory_lock(%s)", [_BUILD_LOCK])
        maintenance.execute(_STARTED_SQL)
        builds = maintenance.execute(
            "SELECT job_id, finishing_sql, index_name, failure, search_path FROM sys.unfinished_builds "
            "WHERE job_id = %s OR due <= now() OR (index_name IS NOT NULL AND to_regclass(index_name) IS NULL)",
            [waited_for],
        ).fetchall()
        for job_id, *build in builds:
            failure = _finished(maintenance, *build)
            maintenance.execute(_SETTLE_SQL, ["failed" if failure else "completed", failure or "", job_id])
            maintenance.execute("DELETE FROM sys.unfinished_builds WHERE job_id = %s", [job_id])


def _finished(maintenance: Any, sql: str, index_name: str | None, failure: str | None, path: str) -> str | None:
    """Complete one build; why it failed, or None."""
    maintenance.execute("SELECT set_config('search_path', %s, false)", [path])
    if index_name and maintenance.execute("SELECT to_regclass(%s)", [index_name]).fetchone() == (None,):
        return "cancelled: the index was dropped"
    if failure:
        return failure
    try:
        maintenance.execute(sql)
    except psycopg.Error as error:
        return details_of(error)
    return None


class _AlreadyThere(Exception):
    """IF NOT EXISTS found the index."""


def _stalled_build(connection: Any, maintenance: Any, sql: str) -> tuple[str, str | None]:
    """Build an index up to its last step: it refuses duplicates and is not valid. Its name, and why it will fail."""
    table = qualified_name(_only(sql).index_stmt.relation)
    failure = None
    with _unguarded(connection) as blocker:
        # The last step of a concurrent build waits for older snapshots, and is given no time to.
        blocker.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        maintenance.execute(f"SET lock_timeout = {_STALL_MS}")
        try:
            maintenance.execute(_concurrently(sql))
        except psycopg.errors.LockNotAvailable:
            pass
        except BUILD_ERRORS as error:
            failure = details_of(error)
        else:
            raise _AlreadyThere
        finally:
            maintenance.execute("RESET lock_timeout")
    return maintenance.execute(_NEWEST_INDEX_SQL, [table]).fetchone()[0], failure


def _tried(maintenance: Any, sql: str) -> str | None:
    """Run `sql` for what it raises, and take it back. What its rows have against it, or None."""
    try:
        with maintenance.transaction(force_rollback=True):
            maintenance.execute(sql)
    except BUILD_ERRORS as error:
        return details_of(error)
    return None


# -- unguarded connections


@contextlib.contextmanager
def _unguarded(connection: psycopg.Connection[Any], *, timeout_ms: int = 0) -> Iterator[psycopg.Connection[Any]]:
    info = connection.info
    options = f"-c lock_timeout=0 -c statement_timeout={timeout_ms}"
    with psycopg.connect(info.dsn, password=info.password or None, options=options, autocommit=True) as made:
        yield made


def _see_as(connection: psycopg.Connection[Any], maintenance: psycopg.Connection[Any]) -> str:
    """Make names mean the same on `maintenance`; returns the search path."""
    row = psycopg.ClientCursor(connection).execute("SHOW search_path").fetchone()
    assert row is not None
    maintenance.execute("SELECT set_config('search_path', %s, false)", [row[0]])
    return row[0]


def _concurrently(sql: str) -> str:
    parsed = postgast.parse(sql)
    parsed.stmts[0].stmt.index_stmt.concurrent = True
    return postgast.deparse(parsed)


def _only(sql: str) -> Any:
    return postgast.parse(sql).stmts[0].stmt
