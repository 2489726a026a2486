"""The wrapper, the flush and the orphans."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import TestCase, TransactionTestCase

from dsql.base import DatabaseWrapper
from dsql.orphans import Orphan, find_orphans
from dsql.transactions import run_transaction


def wrapper(**options: Any) -> DatabaseWrapper:
    return DatabaseWrapper({**connection.settings_dict, "OPTIONS": options}, alias="another")


@pytest.mark.parametrize(
    "options",
    [{"isolation_level": 2}, {"options": "-c work_mem=1MB"}, {"assume_role": "r"}, {"foreign_keys": "perhaps"}],
)
def test_options_that_dsql_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        wrapper(**options)


def test_strict_is_the_default_only_without_endpoints() -> None:
    assert wrapper().is_strict
    assert not wrapper(strict=False).is_strict
    assert not wrapper(endpoints=["a.dsql.eu-west-1.on.aws"]).is_strict


class FlushTests(TransactionTestCase):
    def test_flush_empties_tables_of_any_size(self) -> None:
        for start in range(0, 4500, 1500):
            Group.objects.bulk_create(Group(name=f"group {n}") for n in range(start, start + 1500))
        call_command("flush", interactive=False, verbosity=0)

        assert Group.objects.count() == 0

    def test_flush_resets_sequences_when_asked(self) -> None:
        Group.objects.create(name="a")
        call_command("flush", interactive=False, verbosity=0, reset_sequences=True)

        assert Group.objects.create(name="b").id == 1


class SavepointlessTests(TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        cls.group = Group.objects.create(name="made for each test")

    def test_test_data_is_there(self) -> None:
        assert Group.objects.count() == 1
        self.group.delete()

    def test_and_there_again(self) -> None:
        assert Group.objects.count() == 1

    def test_an_inner_error_spoils_the_whole_transaction(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            Group.objects.create(name=self.group.name)
        with pytest.raises(transaction.TransactionManagementError):
            Group.objects.count()

    def test_a_retried_transaction_joins_the_test(self) -> None:
        run_transaction(lambda: Group.objects.create(name="b"))
        assert Group.objects.count() == 2


@pytest.mark.django_db(transaction=True)
class TestOrphans:
    def test_a_row_without_its_parent_is_found(self) -> None:
        group = Group.objects.create(name="g")
        Group.permissions.through.objects.create(group=group, permission_id=404)

        assert find_orphans() == [Orphan("auth_group_permissions", "permission_id", "auth_permission", 1)]
        out = StringIO()
        with pytest.raises(SystemExit) as caught:
            call_command("check_orphans", stdout=out)
        assert caught.value.code == 1
        assert out.getvalue() == "auth_group_permissions.permission_id: 1 rows without their auth_permission\n"
        with pytest.raises(IntegrityError):
            connection.check_constraints(["auth_group_permissions"])

    def test_deleting_through_the_orm_leaves_none(self) -> None:
        group = Group.objects.create(name="g")
        group.permissions.add(Permission.objects.all()[0])
        assert find_orphans() == []
        group.delete()

        assert Group.permissions.through.objects.count() == 0
        assert find_orphans() == []
        connection.check_constraints(["auth_group_permissions"])

    def test_the_sql_can_be_read(self) -> None:
        out = StringIO()
        call_command("check_orphans", "--sql", stdout=out)

        assert 'FROM "auth_group_permissions" AS child' in out.getvalue()
