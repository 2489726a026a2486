"""What a relay lets the messages to a database at a distance cost."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from dsql.distance import ClientMessages, Distance, is_commit
from dsql.relay import Relay

FAR = Distance(round_trip_s=2.0, commit_s=8.0)
NEVER_S = 1e6


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack("!i", 4 + len(body)) + body


def query(text: str) -> bytes:
    return message("Q", text.encode() + b"\0")


def parse(text: str, name: str = "") -> bytes:
    return message("P", f"{name}\0{text}\0".encode() + struct.pack("!h", 0))


def bind(name: str = "") -> bytes:
    return message("B", f"\0{name}\0".encode() + bytes(6))


STARTUP = struct.pack("!ii", 16, 196608) + b"user\0me\0"
TLS_REQUEST = struct.pack("!ii", 8, 80877103)
EXECUTE, SYNC, FLUSH = message("E", b"\0" + bytes(4)), message("S"), message("H")


@pytest.fixture
def messages() -> ClientMessages:
    opened = ClientMessages()
    assert opened.wait_s(STARTUP, FAR) == 2.0
    return opened


def test_what_opens_a_connection_is_a_round_trip_each():
    opened = ClientMessages()

    assert [opened.wait_s(piece, FAR) for piece in (TLS_REQUEST, STARTUP, query("SELECT 1"))] == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("sent", "wait_s"),
    [
        (query("SELECT 1"), 2.0),
        (query("COMMIT"), 10.0),
        (query("commit;"), 10.0),
        (query("UPDATE a SET b = 1; END"), 10.0),
        (query("SELECT 1 AS commit"), 2.0),
        (query("ROLLBACK"), 2.0),
        (parse("SELECT 1") + bind() + EXECUTE, 0.0),  # nobody waits yet
        (parse("SELECT 1") + bind() + EXECUTE + SYNC, 2.0),
        (parse("SELECT 1") + bind() + EXECUTE + FLUSH, 2.0),
        (parse("SELECT 1") + bind() + EXECUTE + parse("COMMIT") + bind() + EXECUTE + SYNC, 10.0),
        (parse("COMMIT", "c") + SYNC, 2.0),  # prepared, not run
        (message("X"), 0.0),
    ],
)
def test_a_round_trip_costs_once_and_a_commit_beside_it(messages, sent, wait_s):
    assert messages.wait_s(sent, FAR) == wait_s


def test_a_prepared_commit_is_one_each_time_it_is_run(messages):
    messages.wait_s(parse("COMMIT", "c") + parse("SELECT 1", "s") + SYNC, FAR)

    runs = [bind(name) + EXECUTE + SYNC for name in ("c", "s", "c")]
    assert [messages.wait_s(run, FAR) for run in runs] == [10.0, 2.0, 10.0]


def test_a_message_counts_in_the_piece_that_it_ends_in(messages):
    sent = query("COMMIT") + query("SELECT 1")

    waits = [messages.wait_s(sent[at : at + 1], FAR) for at in range(len(sent))]

    first_ends = len(query("COMMIT")) - 1
    assert {at: wait_s for at, wait_s in enumerate(waits) if wait_s} == {first_ends: 10.0, len(sent) - 1: 2.0}


def test_a_commit_at_the_end_of_a_long_text_is_seen():
    assert is_commit(b"INSERT INTO a VALUES ('" + b"x" * 100_000 + b"'); COMMIT;\0")
    assert not is_commit(b"INSERT INTO a VALUES ('" + b"x" * 100_000 + b"')\0")


# The relay that waits


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection through a relay for which a COMMIT takes for ever, and the server's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with Relay(f"{host}:{port}", distance=Distance(commit_s=NEVER_S)) as relay:
            mine = socket.create_connection((relay.host, relay.port), 5)
            theirs, _ = server.accept()
            theirs.settimeout(5)
            with mine, theirs:
                yield mine, theirs


def test_a_relay_holds_back_a_commit_and_what_follows_it_but_nothing_before(ends):
    mine, theirs = ends

    first = STARTUP + query("SELECT 1")
    mine.sendall(first)
    before = theirs.recv(len(first), socket.MSG_WAITALL)
    mine.sendall(query("COMMIT"))
    mine.sendall(query("SELECT 2"))
    theirs.sendall(b"answer")

    assert before == first
    assert mine.recv(4096) == b"answer"  # the other direction does not wait
    assert select.select([theirs], [], [], 0)[0] == []


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_waits_does_not_keep_other_connections_waiting():
    place = connection.get_connection_params()
    path = f"unix:{place['host']}/.s.PGSQL.{place.get('port') or 5432}"
    with Relay(path, distance=Distance(commit_s=NEVER_S)) as relay:
        login = {"host": relay.host, "port": relay.port, "user": place["user"], "dbname": place["dbname"]}
        login |= {"sslmode": "disable", "gssencmode": "disable", "connect_timeout": 10}
        with socket.create_connection((relay.host, relay.port), 5) as stuck:
            stuck.sendall(STARTUP + query("COMMIT"))
            with psycopg.connect(**login, autocommit=True) as other:
                assert other.execute("SELECT 1").fetchone() == (1,)
