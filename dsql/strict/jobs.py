"""The `sys` schema of asynchronous jobs. Builds run at once; the job is there to be waited for."""

from __future__ import annotations

import base64
import threading
import uuid
from typing import Any

import psycopg

from dsql.strict.rules import Job

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

_UNGUARDED: dict[str, Any] = {"options": "-c lock_timeout=0", "autocommit": True}

_installed: set[tuple[Any, ...]] = set()
_lock = threading.Lock()


def install(connection: psycopg.Connection[Any]) -> None:
    """Make sure the database has the schema. Uses an unguarded connection of its own; once per process."""
    info = connection.info
    key = (info.host, info.port, info.dbname)
    if key in _installed:
        return
    with _lock, psycopg.connect(info.dsn, password=info.password or None, **_UNGUARDED) as maintenance:
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


def with_job(sql: str, job: Job) -> str:
    """`sql` followed by a statement that records its job and answers the job's id."""
    name = job.object_name.replace("'", "''")
    return (
        f"{sql.rstrip().rstrip(';')}; INSERT INTO sys.jobs (job_id, status, job_type, object_name) "  # noqa: S608
        f"VALUES ('{new_job_id()}', 'completed', '{job.job_type}', '{name}') RETURNING job_id"
    )
