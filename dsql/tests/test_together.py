"""Several statements in one round trip, both ways that they can travel, and BEGIN with the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import InternalError, OperationalError, ProgrammingError, connection, connections, transaction

from dsql.base import DatabaseWrapper
from dsql.strict.session import Caps
from dsql.tests.strict import other_connection, strict_tables
from dsql.together import WAYS, Result, execute_together

pytestmark = pytest.mark.django_db(transaction=True)

INSERT = "INSERT INTO x_t VALUES (%s, %s)"


@pytest.fixture(params=WAYS)
def raw(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(connections["default"], "together", request.param)
    with strict_tables() as raw:
        yield raw


@contextmanager
def round_trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Each time that the connection waits for the server."""
    seen: list[Any] = []
    wait = psycopg.Connection.wait

    def counted(self: Any, talk: Any, *args: Any, **kwargs: Any) -> Any:
        if talk.__name__ != "_set_autocommit_gen":  # which only notes it
            seen.append(talk)
        return wait(self, talk, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Connection, "wait", counted)
        yield seen


def values() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, v FROM x_t ORDER BY id")
        return list(cursor.fetchall())


def test_each_statement_gives_its_rows_and_how_many_it_wrote(raw: Any) -> None:
    with transaction.atomic():
        results = execute_together(
            [
                ("SELECT id, v FROM x_t WHERE id = %s", [1]),
                (INSERT, [2, "it's 100 %; a 'b'"]),
                ("UPDATE x_t SET v = v || '!' WHERE id < %s RETURNING id", [3]),
                ("SELECT 1 WHERE false", []),
            ]
        )

    assert results[:2] == [Result([(1, "a")], 1), Result([], 1)]
    assert (sorted(results[2].rows), results[2].written) == ([(1,), (2,)], 2)
    assert results[3] == Result([], 0)
    assert values() == [(1, "a!"), (2, "it's 100 %; a 'b'!")]


def test_the_first_that_fails_ends_the_transaction(raw: Any) -> None:
    with pytest.raises(ProgrammingError), transaction.atomic():
        execute_together([(INSERT, [2, "b"]), ("SELECT missing FROM x_t", []), (INSERT, [3, "c"])])

    assert values() == [(1, "a")]


def test_rows_of_all_statements_count_together(raw: Any) -> None:
    raw.session.caps = Caps(rows=4)
    three = "INSERT INTO x_big SELECT generate_series(1, 3)"

    with transaction.atomic():
        execute_together([(three, []), ("INSERT INTO x_big VALUES (1)", [])])
    with pytest.raises(OperationalError, match="row limit") as refused, transaction.atomic():
        execute_together([(three, []), ("SELECT 1", []), (three, [])])

    assert refused.value.__cause__ is not None
    assert refused.value.__cause__.sqlstate == "54000"  # type: ignore[attr-defined]


def test_a_row_that_somebody_else_changed_is_a_conflict_and_nothing_else(raw: Any) -> None:
    other = other_connection()

    def change_it_beside_another() -> None:
        execute_together([("SELECT id FROM x_t", [])])
        other.execute("UPDATE x_t SET v = 'theirs'")
        execute_together([(INSERT, [2, "b"]), ("UPDATE x_t SET v = 'mine' WHERE id = 1", [])])

    with pytest.raises(OperationalError, match="OC000") as lost, transaction.atomic():
        change_it_beside_another()
    other.close()

    assert isinstance(lost.value.__cause__, psycopg.errors.SerializationFailure)
    assert values() == [(1, "theirs")]


def test_one_statement_needs_one_round_trip_and_commit_another(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.ensure_connection()
    with round_trips(monkeypatch) as waited, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT %s", [1])
        assert len(waited) == 1
    assert len(waited) == 2


def test_a_first_statement_that_cannot_be_read_leaves_a_failed_transaction(raw: Any) -> None:
    """BEGIN was in the text that the server could not read. Without another, later statements would commit by themselves."""
    with pytest.raises(InternalError), transaction.atomic():
        go_on_after_nonsense()

    assert values() == [(1, "a")]


def go_on_after_nonsense() -> None:
    with connection.cursor() as cursor:
        with pytest.raises(ProgrammingError):
            cursor.execute("SELEC 1")
        assert connection.connection.info.transaction_status.name == "INERROR"
        cursor.execute(INSERT, [2, "b"])


def test_an_unknown_way_is_refused() -> None:
    options = {**connection.settings_dict["OPTIONS"], "together": "magic"}

    with pytest.raises(ImproperlyConfigured, match="'text' or 'pipeline'"):
        DatabaseWrapper({**connection.settings_dict, "OPTIONS": options}, "another")


def test_a_cluster_gets_the_way_that_it_is_known_to_take() -> None:
    at_home = DatabaseWrapper({**connection.settings_dict, "OPTIONS": {}}, "another")
    far = {"endpoints": ["abc.dsql.eu-west-1.on.aws"]}

    assert at_home.together == "text"
    assert DatabaseWrapper({**connection.settings_dict, "OPTIONS": far}, "another").together == "pipeline"
