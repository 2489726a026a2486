"""Connections apart from the pool."""

from __future__ import annotations

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from dsql.apart import ReadingPool


@pytest.fixture
def apart(transactional_db: None) -> ReadingPool:
    return ReadingPool(2, timeout_s=0.01, statement_deadline_s=60)


def test_no_more_than_its_size_are_given_out_and_one_that_came_back_is_given_out_again(apart: ReadingPool) -> None:
    with apart.connection() as one, apart.connection() as other:
        assert one is not other
        with pytest.raises(PoolTimeout), apart.connection():
            pass
    with apart.connection() as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_that_failed_makes_room_for_the_next(apart: ReadingPool) -> None:
    for _ in range(3):
        with pytest.raises(psycopg.errors.DivisionByZero), apart.connection() as connection:
            connection.execute("SELECT 1 / 0")


def test_the_database_refuses_its_writes(apart: ReadingPool) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), apart.connection() as connection:
        connection.execute("DELETE FROM django_content_type")


def test_it_stays_in_one_snapshot_until_it_is_told(apart: ReadingPool) -> None:
    with apart.connection() as connection:
        level = connection.execute("SELECT current_setting('transaction_isolation'), now()").fetchone()
        assert level[0] == "repeatable read"
        assert connection.execute("SELECT now()").fetchone()[0] == level[1]
        connection.commit()
        assert connection.execute("SELECT now()").fetchone()[0] > level[1]
