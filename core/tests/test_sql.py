from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.sql import array

COLUMNS = {
    "text": st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "uuid": st.uuids(),
    "timestamptz": st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC)),
}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", sorted(COLUMNS))
def test_every_value_arrives_as_it_was(kind):
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.none() | COLUMNS[kind], max_size=8))
    def arrives(values):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM unnest(%s::{kind}[])", [array(values)])
            assert [value for (value,) in cursor.fetchall()] == values

    arrives()


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["null", "NULL", "", " ", "{a,b}", '"', "\\", "\n", "a,b", "'; --", "é€😀"])
def test_awkward_words_arrive_as_they_were(text):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM unnest(%s::text[])", [array([text, None, "plain"])])
        assert [value for (value,) in cursor.fetchall()] == [text, None, "plain"]


def test_ids_are_written_without_quoting_by_hand():
    assert array([UUID(int=1)]) == '{"00000000-0000-0000-0000-000000000001"}'
