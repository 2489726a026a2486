"""Third-party apps, used as their users use them: Django's own, allauth and django-celery-beat."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as own_settings

if own_settings.ROOT_URLCONF != "dsql.tests.urls":
    pytest.skip("Wants the apps of the package's own settings (dsql.tests.settings).", allow_module_level=True)

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from celery import Celery
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.flatpages.models import FlatPage
from django.contrib.redirects.models import Redirect
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.contrib.sites.models import Site
from django.core import mail
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone
from django_celery_beat import models as beat
from django_celery_beat.schedulers import DatabaseScheduler

from dsql.testing import assert_no_orphans

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _no_orphans_at_the_end(transactional_db: None) -> Iterator[None]:
    yield
    assert_no_orphans()


@pytest.fixture
def site() -> Site:
    """The site of the settings, which a flush deletes and `migrate` makes."""
    return Site.objects.get_or_create(pk=1, defaults={"domain": "shop.example", "name": "Shop"})[0]


@pytest.fixture
def user() -> User:
    return get_user_model().objects.create_user("ada", "ada@shop.example", PASSWORD)


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root", "root@shop.example", PASSWORD))
    return client


# -- migrations


# In the order in which nothing still refers to what goes.
BACK_AND_AGAIN = """
import django
django.setup()
from django.core.management import call_command
from django.db import connection
call_command("migrate", verbosity=0)
for app in ("django_celery_beat mfa usersessions socialaccount account flatpages redirects sites admin sessions auth "
            "contenttypes").split():
    call_command("migrate", app, "zero", verbosity=0)
with connection.cursor() as cursor:
    left = set(connection.introspection.table_names(cursor))
    print(*sorted(name for name in left if not name.startswith(("django_migrations", "dsql_"))))
call_command("migrate", verbosity=0)
call_command("migrate", check_unapplied=True, verbosity=0)
"""


@pytest.mark.slow
def test_all_migrations_go_back_to_nothing_and_come_again(empty_database: str) -> None:
    environment = {**os.environ, "DATABASE_URL": empty_database, "DJANGO_SETTINGS_MODULE": "dsql.tests.settings"}
    run = subprocess.run(
        [sys.executable, "-c", BACK_AND_AGAIN],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == ""


def test_auto_fields_are_bigint_identities() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT data_type, is_identity, identity_generation FROM information_schema.columns "
            "WHERE table_name = 'auth_user' AND column_name = 'id'"
        )
        assert cursor.fetchone() == ("bigint", "YES", "BY DEFAULT")
        cursor.execute("SELECT cache_size FROM pg_sequences WHERE sequencename = 'auth_user_id_seq'")
        assert cursor.fetchone() == (1,)
        cursor.execute(
            "SELECT data_type FROM information_schema.columns "
            "WHERE table_name = 'auth_user_groups' AND column_name = 'user_id'"
        )
        assert cursor.fetchone() == ("bigint",)


# -- Django's own apps


def test_the_admin_adds_changes_shows_the_history_and_deletes(admin: Client) -> None:
    permission = Permission.objects.get(codename="add_group")

    assert admin.post("/admin/auth/group/add/", {"name": "staff", "permissions": [permission.pk]}).status_code == 302
    group = Group.objects.get(name="staff")
    assert admin.post(f"/admin/auth/group/{group.pk}/change/", {"name": "crew", "permissions": []}).status_code == 302
    history = admin.get(f"/admin/auth/group/{group.pk}/history/").content.decode()
    found = admin.get("/admin/auth/group/?q=cre").content.decode()
    assert admin.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}).status_code == 302

    assert "Added." in history
    assert "1 group" in found
    assert "Changed" in history
    assert not Group.objects.exists()
    assert LogEntry.objects.count() == 3


def test_the_admin_deletes_many_at_once(admin: Client) -> None:
    Group.objects.bulk_create(Group(name=f"group {n}") for n in range(5))
    chosen = list(Group.objects.values_list("pk", flat=True))

    data = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    assert admin.post("/admin/auth/group/", data).status_code == 302

    assert not Group.objects.exists()


def test_logging_in_changing_the_password_and_logging_out(client: Client, user: User) -> None:
    user.is_staff = True
    user.save()

    assert not client.login(username="ada", password="wrong")
    answer = client.post("/admin/login/?next=/admin/", {"username": "ada", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    new = {"old_password": PASSWORD, "new_password1": "another horse", "new_password2": "another horse"}
    assert client.post("/admin/password_change/", new).status_code == 302
    assert client.post("/admin/logout/").status_code == 200

    assert client.login(username="ada", password="another horse")
    user.refresh_from_db()
    assert user.last_login is not None


def test_permissions_come_from_the_user_and_from_groups(user: User) -> None:
    group = Group.objects.create(name="staff")
    add, change = (Permission.objects.get(codename=f"{verb}_group") for verb in ("add", "change"))
    group.permissions.add(add)
    user.groups.add(group)
    user.user_permissions.set([change])
    user.user_permissions.set([change])

    fresh = User.objects.get(pk=user.pk)
    assert fresh.get_all_permissions() == {"auth.add_group", "auth.change_group"}
    assert list(User.objects.with_perm("auth.add_group", backend="django.contrib.auth.backends.ModelBackend")) == [user]
    user.delete()
    assert group.user_set.count() == 0


def test_a_generic_relation_finds_its_object(user: User) -> None:
    group = Group.objects.create(name="target")
    LogEntry.objects.log_actions(user.pk, [group, user], action_flag=2, change_message="seen")

    entries = LogEntry.objects.order_by("object_repr").select_related("content_type")
    assert [entry.get_edited_object() for entry in entries] == [user, group]
    kind = ContentType.objects.get_for_model(Group)
    assert kind.get_object_for_this_type(pk=group.pk) == group
    assert ContentType.objects.get_by_natural_key("auth", "group") == kind


def test_sessions_are_kept_and_the_old_ones_cleared() -> None:
    session = SessionStore()
    session["cart"] = [1, 2]
    session.save()
    old = SessionStore()
    old.set_expiry(-1)
    old.save()
    assert SessionStore(session.session_key)["cart"] == [1, 2]
    session.cycle_key()

    call_command("clearsessions")

    assert [row.session_key for row in Session.objects.all()] == [session.session_key]


def test_sites_redirects_and_flat_pages(site: Site, client: Client, settings: Any) -> None:
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
        "django.contrib.redirects.middleware.RedirectFallbackMiddleware",
    ]
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [Path(__file__).parent / "templates"]}]
    Redirect.objects.create(site=site, old_path="/old/", new_path="/about/")
    page = FlatPage.objects.create(url="/about/", title="About", content="Since 2026")
    page.sites.add(site)

    assert Site.objects.get_current() == site
    assert client.get("/old/")["Location"] == "/about/"
    assert client.get("/about/").content == b"Since 2026\n"


# -- allauth


@pytest.fixture
def signed_up(client: Client, site: Site) -> Client:
    data = {"username": "grace", "email": "grace@shop.example", "password1": PASSWORD, "password2": PASSWORD}
    answer = client.post("/accounts/signup/", data)
    assert answer.status_code == 302, answer.content
    return client


def test_allauth_signs_up_confirms_and_logs_in(signed_up: Client) -> None:
    address = EmailAddress.objects.get(user__username="grace")
    assert (address.email, address.verified, address.primary) == ("grace@shop.example", False, True)
    link = next(word for word in str(mail.outbox[0].body).split() if "/confirm-email/" in word)
    path = "/accounts/" + link.split("/accounts/")[1]

    signed_up.post(path)
    signed_up.post("/accounts/logout/")
    assert signed_up.post("/accounts/login/", {"login": "grace", "password": "wrong"}).status_code == 200
    assert signed_up.post("/accounts/login/", {"login": "grace", "password": PASSWORD}).status_code == 302

    address.refresh_from_db()
    assert address.verified


def test_allauth_takes_no_address_twice(signed_up: Client, client: Client) -> None:
    data = {"username": "other", "email": "grace@shop.example", "password1": PASSWORD, "password2": PASSWORD}
    Client().post("/accounts/signup/", data)

    assert User.objects.filter(email="grace@shop.example").count() == 1


def test_allauth_changes_the_address(signed_up: Client) -> None:
    signed_up.post("/accounts/email/", {"action_add": "", "email": "new@shop.example"})
    EmailAddress.objects.filter(email="new@shop.example").update(verified=True)
    signed_up.post("/accounts/email/", {"action_primary": "", "email": "new@shop.example"})
    signed_up.post("/accounts/email/", {"action_remove": "", "email": "grace@shop.example"})

    assert list(EmailAddress.objects.values_list("email", "primary")) == [("new@shop.example", True)]
    assert User.objects.get(username="grace").email == "new@shop.example"


def test_allauth_keeps_social_accounts(site: Site, user: User) -> None:
    app = SocialApp.objects.create(provider="github", name="GitHub", client_id="id", secret="secret", settings={"a": 1})
    app.sites.add(site)
    account = SocialAccount.objects.create(user=user, provider="github", uid="42", extra_data={"login": "ada"})
    SocialToken.objects.create(app=app, account=account, token="t" * 5_000, expires_at=timezone.now())

    assert SocialAccount.objects.get(extra_data__login="ada") == account
    assert SocialApp.objects.filter(sites=site, settings__a=1).get() == app
    user.delete()
    assert not SocialToken.objects.exists()


def test_allauth_lists_sessions_with_their_address(site: Site, user: User, client: Client, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "allauth.usersessions.middleware.UserSessionsMiddleware"]
    settings.USERSESSIONS_TRACK_ACTIVITY = True
    client.post("/accounts/login/", {"login": "ada", "password": PASSWORD}, REMOTE_ADDR="2001:db8::7")

    page = client.get("/accounts/sessions/", REMOTE_ADDR="2001:db8::7")

    row = UserSession.objects.get(user=user)
    assert row.ip == "2001:db8::7"
    assert b"2001:db8::7" in page.content
    assert UserSession.objects.filter(ip="2001:db8::7", ip__startswith="2001:").get() == row
    assert UserSession.objects.purge_and_list(user) == [row]


def test_allauth_keeps_second_factors(user: User) -> None:
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "s"})
    codes = Authenticator.objects.create(user=user, type=Authenticator.Type.RECOVERY_CODES, data={"used_mask": 0})
    codes.data["used_mask"] = 1
    codes.record_usage()

    assert Authenticator.objects.get(user=user, type="totp").data == {"secret": "s"}
    assert Authenticator.objects.filter(user=user).count() == 2
    with pytest.raises(IntegrityError, match="unique"):
        Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})


# -- django-celery-beat


def test_celery_beat_reads_every_kind_of_schedule() -> None:
    now = timezone.now()
    schedules: dict[str, Any] = {
        "interval": beat.IntervalSchedule.objects.create(every=10, period=beat.IntervalSchedule.SECONDS),
        "crontab": beat.CrontabSchedule.objects.create(minute="0", hour="*"),
        "solar": beat.SolarSchedule.objects.create(event="sunset", latitude="52.520000", longitude="13.400000"),
        "clocked": beat.ClockedSchedule.objects.create(clocked_time=now + timedelta(minutes=1)),
    }
    for kind, schedule in schedules.items():
        beat.PeriodicTask.objects.create(
            name=kind,
            task="app.task",
            one_off=kind == "clocked",
            kwargs='{"a": 1}',
            enabled=kind != "solar",  # only the row: working out a sunset takes a library that is not installed here
            **{kind: schedule},
        )

    scheduler = DatabaseScheduler(app=Celery(broker="memory://"))
    assert {name for name in scheduler.schedule if name in schedules} == {"interval", "crontab", "clocked"}
    assert beat.PeriodicTask.objects.get(solar__latitude="52.520000").solar == schedules["solar"]
    assert not scheduler.schedule_changed()
    beat.PeriodicTask.objects.get(name="crontab").delete()
    assert "crontab" not in scheduler.schedule  # which looks for changes first


def test_celery_beat_saves_what_it_ran_and_marks_every_change_in_one_row() -> None:
    interval = beat.IntervalSchedule.objects.create(every=10, period=beat.IntervalSchedule.SECONDS)
    task = beat.PeriodicTask.objects.create(name="ten", task="app.task", interval=interval)
    first = beat.PeriodicTasks.last_change()

    scheduler = DatabaseScheduler(app=Celery(broker="memory://"))
    entry = scheduler.reserve(scheduler.schedule["ten"])
    scheduler.sync()
    task.refresh_from_db()
    assert (entry.name, task.total_run_count) == ("ten", 1)

    task.enabled = False
    task.save()
    # The hot row of this app: two changes at the same time conflict on it, and one of them has to run again.
    assert list(beat.PeriodicTasks.objects.values_list("ident", flat=True)) == [1]
    assert beat.PeriodicTasks.last_change() > first


# -- fixtures


def test_dumped_rows_load_again_and_new_ids_come_after_them(user: User, tmp_path: Path) -> None:
    group = Group.objects.create(pk=500, name="kept")
    user.groups.add(group)
    Group.objects.create(pk=7, name="small id")
    dump = StringIO()
    call_command("dumpdata", "auth.user", "auth.group", stdout=dump)
    fixture = tmp_path / "fixture.json"
    fixture.write_text(dump.getvalue())
    call_command("flush", interactive=False, reset_sequences=True, verbosity=0)

    call_command("loaddata", str(fixture), verbosity=0)

    again = User.objects.get(username="ada")
    assert (again.pk, list(again.groups.values_list("pk", flat=True))) == (user.pk, [500])
    assert Group.objects.create(name="new").pk == 501
    assert User.objects.create(username="next").pk == user.pk + 1


def test_a_sequence_starts_again_after_the_highest_id_and_from_one_without_rows() -> None:
    Group.objects.create(pk=90, name="high").permissions.add(Permission.objects.all()[0])
    Permission.group_set.through.objects.all().delete()
    sql = connection.ops.sequence_reset_sql(no_style(), [Group, Permission.group_set.through])
    with connection.cursor() as cursor:
        for statement in sql:
            cursor.execute(statement)

    after = Group.objects.create(name="after")
    after.permissions.add(Permission.objects.all()[0])
    assert after.pk == 91
    assert Permission.group_set.through.objects.get().pk == 1
