"""What any address answers, whatever stands behind it: HEAD like GET, and under /api/ nothing but the API's own shape."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.tools.shop import make_drop, make_fan, make_seller

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sale_id() -> str:
    return str(make_drop().sale_id)


@pytest.mark.parametrize(
    "path", ["/", "/sales/{sale_id}/", "/accounts/login/", "/api/v1/sales", "/api/v1/sales/{sale_id}", "/nowhere/"]
)
def test_head_answers_as_get_does(path: str, sale_id: str) -> None:
    path = path.format(sale_id=sale_id)
    head, get = Client().head(path), Client().get(path)

    assert (head.status_code, head.headers["Content-Type"]) == (get.status_code, get.headers["Content-Type"])
    assert head.content == b""


@pytest.mark.parametrize("path", ["/s/Northlight/?open=", "/sell/NORTHLIGHT/drops/new/"])
def test_a_handle_in_capitals_leads_to_the_shop(path: str) -> None:
    make_seller(handle="northlight")
    client = Client()
    client.force_login(make_user())
    handle = path.split("/")[2]

    assert client.get(path).headers["Location"] == path.replace(handle, "northlight")
    assert client.get(path.replace(handle, "Nobody-Here"), follow=True).status_code == 404


TYPED = re.compile(r"(<bdi>)?{{ [\w.]*\b(sale\.title|seller\.name|shop\.name|notification\.title|one\.name) }}")


def test_titles_and_names_cannot_turn_the_text_around_them() -> None:
    """Whatever somebody has typed stands in an element of its own. Attributes and the window's title are no text around it."""
    bare = []
    for path in [*ROOT.glob("templates/**/*.html"), *ROOT.glob("*/templates/**/*.html")]:
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            text = re.sub(r"<title>.*|{% block (title|description) %}.*", "", line)
            text = re.sub(r'[\w-]+="[^"]*"', "", text)
            for found in TYPED.finditer(text):
                if not found[1]:
                    bare.append(f"{path.relative_to(ROOT)}:{number}: {found[0]}")
    assert bare == []


def is_refusal(answer: Any, status: int, code: str) -> bool:
    said = answer.json()
    return set(said) == {"code", "detail", "data"} and (answer.status_code, said["code"]) == (status, code)


def test_under_the_api_whatever_is_wrong_is_said_in_its_shape(sale_id: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user())

    assert is_refusal(client.get("/api/v1/nowhere"), 404, "not_found")
    assert is_refusal(client.get("/api/v1/sales/not-a-uuid"), 404, "not_found")
    assert is_refusal(client.get("/api/v2/sales"), 404, "not_found")
    assert is_refusal(client.delete("/api/v1/sales"), 405, "wrong_method")
    assert client.delete("/api/v1/sales").headers["Allow"] == "GET"
    assert is_refusal(client.post(f"/api/v1/sales/{sale_id}/buy-token"), 403, "not_allowed")
    assert is_refusal(Client().get("/api/v1/wallet"), 401, "not_authenticated")
    assert client.get("/nowhere/").headers["Content-Type"].startswith("text/html")


def make_user() -> Any:
    from accounts.models import User

    return User.objects.get(id=make_fan())
