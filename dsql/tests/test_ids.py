from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.apps.registry import Apps
from django.core import serializers
from django.db import connection, models
from django.forms import fields_for_model, modelform_factory

from dsql import ids
from dsql.fields import UUIDv7Field
from dsql.ids import uuid7, uuid7_time


def test_an_id_is_a_version_7_uuid() -> None:
    made = uuid7()

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert UUID(str(made)) == made
    assert hash(UUID(str(made))) == hash(made)


def test_ids_of_one_thread_only_grow() -> None:
    made = [uuid7() for _ in range(50_000)]

    assert made == sorted(set(made))


def test_ids_of_many_threads_differ_and_grow_in_each() -> None:
    made: list[list[UUID]] = [[] for _ in range(4)]

    def fill(mine: list[UUID]) -> None:
        mine.extend(uuid7() for _ in range(10_000))

    threads = [threading.Thread(target=fill, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(mine == sorted(mine) for mine in made)
    assert len({one for mine in made for one in mine}) == 40_000


def test_ids_grow_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = uuid7()
    monkeypatch.setattr(ids.time, "time_ns", lambda: 0)

    assert uuid7() > first


def test_an_id_tells_when_it_was_made() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)

    assert before <= uuid7_time(uuid7()) <= datetime.now(UTC) + timedelta(milliseconds=5)


def test_the_time_of_the_example_in_the_standard() -> None:
    example = UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")

    assert uuid7_time(example) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


def test_another_version_has_no_time() -> None:
    with pytest.raises(ValueError, match="not a version 7"):
        uuid7_time(uuid4())


def test_a_forked_child_makes_its_own_ids() -> None:
    uuid7()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"".join(uuid7().bytes for _ in range(100)))
        os._exit(0)
    mine = {uuid7().bytes for _ in range(100)}
    os.waitpid(child, 0)
    data = os.read(reader, 1600)

    assert not mine & {data[n : n + 16] for n in range(0, 1600, 16)}


def test_a_child_forked_while_an_id_was_made_can_make_ids() -> None:
    with ids._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(5)  # a lock that nobody releases would keep the child for ever
            uuid7()
            os._exit(0)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_ids_grow_past_a_full_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_last", (5 << 74) | ((1 << 74) - 1))
    monkeypatch.setattr(ids.time, "time_ns", lambda: 5_000_000)

    made = uuid7()

    assert (made.version, made.variant, made.int >> 80) == (7, "specified in RFC 4122", 6)


class Thing(models.Model):
    id = UUIDv7Field(primary_key=True)
    token = UUIDv7Field(editable=True)

    class Meta:
        app_label = "dsql_tests"
        apps = Apps()


def test_the_column_is_a_uuid() -> None:
    assert Thing._meta.get_field("id").db_type(connection) == "uuid"


def test_a_form_takes_the_field_when_it_is_editable() -> None:
    token = uuid7()
    form = modelform_factory(Thing, fields=["token"])({"token": str(token)})

    assert form.is_valid()
    assert form.instance.token == token
    assert not modelform_factory(Thing, fields=["token"])({"token": "no uuid"}).is_valid()
    assert list(fields_for_model(Thing)) == ["token"]  # a key is no input


@pytest.mark.parametrize("kind", ["json", "xml", "python"])
def test_a_serialized_object_keeps_its_id(kind: str) -> None:
    thing = Thing(token=uuid7())
    field = Thing._meta.get_field("id")

    assert field.to_python(field.value_to_string(thing)) == thing.pk
    data = serializers.serialize(kind, [thing])
    assert str(thing.pk) in str(data)


def test_the_field_keeps_its_default_out_of_migrations() -> None:
    assert UUIDv7Field(primary_key=True).deconstruct() == (None, "dsql.fields.UUIDv7Field", [], {"primary_key": True})
    assert UUIDv7Field(primary_key=True).clone().default is uuid7
    assert UUIDv7Field().clone().editable is False
