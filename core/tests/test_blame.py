from __future__ import annotations

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from psycopg_pool import PoolTimeout

from core.blame import Blame, blame
from core.errors import Busy, NotFound
from core.transactions import Conflict40001


def coded(sqlstate: str, kind: type[Exception] = OperationalError) -> Exception:
    error = kind(sqlstate)
    error.sqlstate = sqlstate  # type: ignore[attr-defined]
    return error


def no_connection() -> Exception:
    error = OperationalError("couldn't get a connection after 1.00 sec")
    error.__cause__ = PoolTimeout()
    return error


@pytest.mark.parametrize(
    "error",
    [
        Busy(),
        Conflict40001("moved"),
        coded("40001"),
        coded("08006"),
        coded("57P01"),
        coded("25006"),
        coded("53300"),
        coded("58030"),
        OperationalError("no answer"),
        InterfaceError("connection already closed"),
        no_connection(),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
def test_what_may_pass_is_nobodys_fault(error):
    assert blame(error) is Blame.PASSING


@pytest.mark.parametrize(
    "error",
    [
        coded("22001", DataError),
        coded("23505", IntegrityError),
        coded("23514", IntegrityError),
        coded("54000"),
        DataError("found by the driver"),
        AssertionError(),
        KeyError("wallet"),
        FileNotFoundError(),
        NotFound(),
    ],
)
def test_what_one_row_may_have_caused(error):
    assert blame(error) is Blame.ONE_ROW


@pytest.mark.parametrize("sqlstate", ["0A000", "42P01", "42703", "28000", "57014"])
def test_what_would_fail_for_each_of_them(sqlstate):
    assert blame(coded(sqlstate, ProgrammingError)) is Blame.ALL
