"""The project as a whole: its settings, its migrations, its API document."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client

from dropfront import lean_routes, safety
from dropfront.api import api

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


STRONG = "a-random-text-of-letters-and-digits-0123456789-of-{}-only"
PRODUCTION = {
    "PRODUCTION": "1", "SECRET_KEY": STRONG.format("this"), "PSEUDONYM_KEY": STRONG.format("that"), "ALLOWED_HOSTS": "shop.example",
    "PAYMENT_PROVIDER": "none", "EMAIL_HOST": "mail.shop.example", "DEFAULT_FROM_EMAIL": "Shop <shop@shop.example>",
    "TRUSTED_PROXIES": "1", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip


def production(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    here = {name: os.environ.get(name) or f"{name.lower()}://nowhere/" for name in ("DATABASE_URL", "REDIS_URL")}
    environment = PRODUCTION | here | {"PATH": os.environ["PATH"]} | variables
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


def test_the_production_settings_pass_djangos_deployment_checks():
    done = production("check", "--deploy", "--fail-level", "WARNING")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize("command", [["mint_fans", "--count=1", "--funds=1", f"--sale={'0' * 32}", "--out=/dev/null"]])
def test_money_is_not_made_of_nothing_in_production(command):
    done = production(*command)

    assert done.returncode == 1
    assert "production" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"DEBUG": True}, "DEBUG"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY must"),
        ({"SECRET_KEY": "ab" * 40}, "SECRET_KEY must"),
        ({"SECRET_KEY_FALLBACKS": ["short"]}, "SECRET_KEY_FALLBACKS must"),
        ({"PSEUDONYM_KEY": "short"}, "PSEUDONYM_KEY must"),
        ({"PSEUDONYM_KEY": STRONG}, "PSEUDONYM_KEY must be a key of its own"),
        ({"ALLOWED_HOSTS": ["shop.example", "*"]}, "ALLOWED_HOSTS"),
        ({"PAYMENT_PROVIDER": "simulated"}, "PAYMENT_PROVIDER must be none"),
        ({"PAYMENT_PROVIDER": "nobody-knows"}, "PAYMENT_PROVIDER"),
        ({"EMAIL_HOST": ""}, "EMAIL_HOST"),
        ({"EMAIL_FILE_PATH": "/tmp/mail"}, "EMAIL_FILE_PATH"),
        ({"DEFAULT_FROM_EMAIL": "Dropfront <no-reply@localhost>"}, "DEFAULT_FROM_EMAIL"),
        ({"ALLAUTH_TRUSTED_PROXY_COUNT": 0}, "TRUSTED_PROXIES"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_production_refuses_what_is_unsafe(wrong, said):
    good = {
        "DEBUG": False, "SECRET_KEY": STRONG, "SECRET_KEY_FALLBACKS": [], "PSEUDONYM_KEY": STRONG[::-1],
        "ALLOWED_HOSTS": ["shop.example"], "PAYMENT_PROVIDER": "none", "EMAIL_HOST": "mail", "EMAIL_FILE_PATH": None,
        "DEFAULT_FROM_EMAIL": "shop@shop.example", "ALLAUTH_TRUSTED_PROXY_COUNT": 1,
    }  # fmt: skip
    said_by_environment = [*PRODUCTION, "DATABASE_URL", "REDIS_URL"]

    assert safety.faults(good, dict.fromkeys(said_by_environment, "x"), frozenset()) == []
    (fault,) = safety.faults(good | wrong, dict.fromkeys(said_by_environment, "x"), frozenset())
    assert said in fault


@pytest.mark.parametrize(
    "left_out", sorted({*PRODUCTION, "DATABASE_URL", "REDIS_URL"} - {"PRODUCTION", "PYTHONDONTWRITEBYTECODE"})
)
def test_production_takes_no_default(left_out):
    """A default is made for one machine; in production somebody must have said it."""
    given = {
        name: value
        for name, value in (PRODUCTION | {"DATABASE_URL": "x", "REDIS_URL": "x"}).items()
        if name != left_out
    }
    as_read = {
        "DEBUG": False, "SECRET_KEY": given.get("SECRET_KEY", ""), "SECRET_KEY_FALLBACKS": [],
        "PSEUDONYM_KEY": given.get("PSEUDONYM_KEY") or given.get("SECRET_KEY", ""), "ALLOWED_HOSTS": ["localhost"],
        "PAYMENT_PROVIDER": given.get("PAYMENT_PROVIDER", "simulated"), "EMAIL_HOST": given.get("EMAIL_HOST", ""),
        "EMAIL_FILE_PATH": None, "DEFAULT_FROM_EMAIL": "shop@shop.example",
        "ALLAUTH_TRUSTED_PROXY_COUNT": int(given.get("TRUSTED_PROXIES", 0)),
    }  # fmt: skip

    assert safety.faults(as_read, given, frozenset()) != []


def test_all_reasons_are_told_at_once_and_by_every_command():
    done = production("showmigrations", PAYMENT_PROVIDER="", EMAIL_HOST="", DEBUG="1")

    assert done.returncode != 0
    assert all(word in done.stderr for word in ("DEBUG shows", "PAYMENT_PROVIDER must", "EMAIL_HOST must"))


@pytest.mark.django_db(transaction=True)
def test_nobody_adds_money_in_production_that_was_not_paid(settings, make_fan):
    """Whatever a row says: it may be from before."""
    from accounts.models import User
    from core import clock
    from core.ids import uuid7
    from core.money import Money
    from payments import providers, services
    from payments.errors import NoProvider

    user = User.objects.get(id=make_fan())
    top_up = services.start_top_up(top_up_id=uuid7(), user_id=user.id, amount=Money(500, "EUR"), now=clock.now())
    client = Client()
    client.force_login(user)
    page = f"/pay/simulated/{top_up.id}/"
    assert client.get(page).status_code == 200
    settings.PRODUCTION, settings.SECURE_SSL_REDIRECT = True, False

    assert [client.get(page).status_code, client.post(page, {"answer": "pay"}).status_code] == [404, 404]
    with pytest.raises(NoProvider):
        providers.current()
    with pytest.raises(NoProvider):
        providers.Simulated().decided(top_up, is_paid=True)


def variables_of_settings() -> set[str]:
    code = "".join((ROOT / "dropfront" / name).read_text() for name in ("settings.py", "safety.py"))
    return set(re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"", code))


def test_whatever_settings_read_is_passed_on_and_written_down():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    passed = set(compose["x-site"]["environment"])
    written = (ROOT / "docs" / "operations.md").read_text()

    # The image says that it is production; the rest is for one machine.
    assert variables_of_settings() - passed == {
        "PRODUCTION",
        "DEBUG",
        "EMAIL_FILE_PATH",
        "STATIC_ROOT",
        "DATABASE_ENDPOINTS",
        "DROPFRONT_SLOT",
    }
    assert [
        name for name in sorted(variables_of_settings()) if f"`{name}`" not in written and f"`{name}=" not in written
    ] == []


def test_containers_can_do_no_more_than_they_must():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    pinned = re.compile(r"[\w./-]+:[\w.-]*\d+\.\d+[\w.-]*$")
    images = [service.get("image", "") for service in compose["services"].values() if "build" not in service]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert [image for image in images if not pinned.match(image)] == []
    for name, service in compose["services"].items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert {"mem_limit", "pids_limit"} <= set(service), name


def test_nothing_starts_without_a_secret_key(tmp_path):
    done = production("check", SECRET_KEY="")

    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr


def test_requests_are_no_transactions():
    """A service opens its own, and runs it again as a whole; one around the view would forbid that."""
    from django.conf import settings

    assert not settings.DATABASES["default"].get("ATOMIC_REQUESTS")


# The API document


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(json.dumps(api.get_openapi_schema(), default=str))


def test_the_document_is_served():
    response = Client().get("/api/v1/openapi.json")

    assert response.status_code == 200
    assert response.json()["info"]["title"] == "Dropfront"


def test_the_document_describes_the_hot_routes_too(document):
    purchases = {place.path for place in lean_routes.PLACES}

    assert purchases >= {"/api/v1/drops/{sale_id}/orders", "/api/v1/rallies/{sale_id}/joins"}
    for path in purchases:
        purchase = document["paths"][path]["post"]
        assert set(purchase["responses"]) == {"200", "201", "401", "403", "404", "409", "413", "422", "429", "503"}
        named = {parameter["name"] for parameter in purchase["parameters"]}
        assert named == {"sale_id", "X-Buy-Token", "Idempotency-Key"}
    assert "/api/v1/sales/{sale_id}/frame" in document["paths"]
    in_api = {route for route in map(_path, lean_routes.ROUTES) if route.startswith("/api/")}
    assert in_api == {*purchases, "/api/v1/sales/{sale_id}/frame"}


def _path(route: Any) -> str:
    from tests.tools.operations import path_of

    return path_of(route)


def test_every_reference_in_the_document_leads_somewhere(document):
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            here = [node["$ref"]] if "$ref" in node else []
            return here + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    for reference in references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_every_operation_says_what_it_may_refuse(document):
    """Whoever must log in may be told so; a body may be wrong."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = set(operation["responses"])
            if operation.get("security"):
                assert "401" in responses, (method, path)
            if "requestBody" in operation:
                assert "422" in responses, (method, path)


def test_operations_have_names_of_their_own(document):
    names = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]

    assert len(set(names)) == len(names)


@pytest.mark.django_db(transaction=True)
def test_the_checks_run_as_a_command_that_fails_when_one_does(make_drop):
    from tests.tools.tamper import tamper

    drop = make_drop()
    out = io.StringIO()
    call_command("check_invariants", json=True, stdout=out)
    report = json.loads(out.getvalue())
    assert report["holds"] is True
    assert set(report["checks"]) == {"books", str(drop.sale_id)}

    with tamper("UPDATE drops_bucket SET units_left = units_left - 1"), pytest.raises(SystemExit) as ended:
        call_command("check_invariants", stdout=io.StringIO())
    assert ended.value.code == 1
