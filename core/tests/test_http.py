"""Refusals and request ids, where the product meets HTTP."""

from __future__ import annotations

import json

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from structlog.contextvars import get_contextvars

from core import errors
from core.http import RequestIdMiddleware, refusal_as_json
from core.ids import named_id, uuid7


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (errors.NotAuthenticated, 401, "not_authenticated"),
        (errors.NotAllowed, 403, "not_allowed"),
        (errors.NotFound, 404, "not_found"),
        (errors.Conflict, 409, "conflict"),
        (errors.Invalid, 422, "invalid"),
        (errors.TooMany, 429, "too_many_requests"),
        (errors.Busy, 503, "busy"),
    ],
)
def test_each_kind_of_refusal_has_its_status(kind, status, code):
    response = refusal_as_json(kind("In words.", fact=7))

    assert response.status_code == status
    assert json.loads(response.content) == {"code": code, "detail": "In words.", "data": {"fact": 7}}
    assert response.headers.get("Retry-After") == ("1" if status in (429, 503) else None)


def test_a_refusal_says_something_even_if_nobody_wrote_it():
    assert errors.Busy().as_json()["detail"] == errors.Busy.detail


def answered(given: str | None) -> str:
    seen = {}

    def view(request):
        seen.update(get_contextvars())
        return HttpResponse()

    headers = {} if given is None else {"X-Request-Id": given}
    response = RequestIdMiddleware(view)(RequestFactory().get("/", headers=headers))
    assert seen["request_id"] == response["X-Request-Id"]  # what a caller quotes is what the log says
    assert "request_id" not in get_contextvars()
    return response["X-Request-Id"]


def test_a_request_id_is_kept_when_it_comes_by_our_own_proxy(settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert answered("0a1b2c3d-4e5f") == "0a1b2c3d-4e5f"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    assert answered("0a1b2c3d-4e5f") != "0a1b2c3d-4e5f"


@pytest.mark.parametrize("given", [None, "", "short", "x" * 65, "a b c d e f", "forged\tline!!", "é" * 10])
def test_anything_else_gets_an_id_of_ours(given):
    first, second = answered(given), answered(given)

    assert first != second
    assert len(first) == 36


def test_a_step_has_one_id_and_no_two_steps_nor_steps_of_steps_share_one():
    names = ["resolve", "reverse", "refund"]
    firsts = {uuid7() for _ in range(500)}
    seconds = {named_id(name, first) for first in firsts for name in names}
    thirds = {named_id(name, second) for second in seconds for name in names}

    assert len(firsts | seconds | thirds) == 500 * (1 + 3 + 9)
    assert all(named_id("refund", first) == named_id("refund", first) for first in firsts)
