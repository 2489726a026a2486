"""A small project's tests, for Django's own runner; pytest does not collect them.

`test_testing` runs them in each way in which Django sets up a database.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.request import urlopen

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import LiveServerTestCase, TestCase, TransactionTestCase

from dsql import testing


def group_names() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))


class PlainTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.group = Group.objects.create(name="plain")

    def test_one(self) -> None:
        self.group.delete()
        assert group_names() == []

    def test_two(self) -> None:
        assert group_names() == ["plain"]


class SharedTests(testing.TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.group = Group.objects.create(name="shared")

    def test_one(self) -> None:
        self.group.delete()
        assert group_names() == []

    def test_two(self) -> None:
        assert group_names() == ["shared"]


class FixtureTests(testing.TestCase):
    fixtures = (str(Path(__file__).with_name("groups.json")),)

    def test_the_fixture_is_there(self) -> None:
        assert group_names() == ["from a fixture"]


class CommittingTests(TransactionTestCase):
    serialized_rollback = True  # of all or of none: the rows of one kind are in the way of the other

    def test_one(self) -> None:
        Group.objects.create(name="committed")
        assert group_names() == ["committed"]

    def test_two(self) -> None:
        Group.objects.create(name="committed")
        assert group_names() == ["committed"]


class SequenceTests(TransactionTestCase):
    reset_sequences = True
    serialized_rollback = True

    def test_one(self) -> None:
        assert Group.objects.create(name="first").pk == 1

    def test_two(self) -> None:
        assert Group.objects.create(name="first again").pk == 1


class SerializedTests(TransactionTestCase):
    """What the migrations wrote is there again after a test that deleted it."""

    serialized_rollback = True

    def count(self) -> int:
        return Permission.objects.filter(content_type__app_label="auth").count()

    def test_one(self) -> None:
        assert self.count() == 12
        Permission.objects.all().delete()
        ContentType.objects.all().delete()

    def test_two(self) -> None:
        assert self.count() == 12


class ServerTests(LiveServerTestCase):
    serialized_rollback = True

    def test_the_server_sees_committed_rows(self) -> None:
        Group.objects.create(name="seen by the server")

        with urlopen(f"{self.live_server_url}/groups/") as answer:
            assert answer.read() == b"seen by the server"


class PlaceTests(TestCase):
    def test_the_tables_are_where_the_settings_say(self) -> None:
        database: dict[str, Any] = connection.settings_dict
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schema(), current_database()")
            place = cursor.fetchone()

        if database["TEST"]["SCHEMA"]:
            assert place == (database["OPTIONS"]["schema"], settings.PROJECT_DATABASE)
            assert place[0].startswith("test_")
        else:
            assert place == ("public", database["NAME"])
            assert place[1].startswith("test_")
