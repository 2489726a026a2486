"""The project as a whole: its settings, its migrations, its API document."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from dropfront import lean_routes
from dropfront.api import api

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def production(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"], "PRODUCTION": "1", "SECRET_KEY": "only-for-this-check-" * 3, "ALLOWED_HOSTS": "shop.example",
        "DATABASE_URL": os.environ.get("DATABASE_URL", ""), "REDIS_URL": os.environ.get("REDIS_URL", ""),
        "PYTHONDONTWRITEBYTECODE": "1",
    } | variables  # fmt: skip
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
        assert set(purchase["responses"]) == {"200", "201", "401", "403", "404", "409", "413", "422", "503"}
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
