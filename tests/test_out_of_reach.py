"""A database that cannot be reached is Busy on every face: a page, the API, the hot route; and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from psycopg_pool import PoolTimeout

from core.errors import Busy
from core.transactions import in_transaction
from sales import selectors


def pool_is_empty(*args: Any, **kwargs: Any) -> None:
    raise OperationalError("couldn't get a connection after 1.00 sec") from PoolTimeout("couldn't get a connection")


@pytest.mark.django_db
def test_a_page_says_one_moment(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "page_of_open", pool_is_empty)

    response = client.get("/")

    assert response.status_code == 503
    assert response["Retry-After"] == "1"
    assert "One moment" in response.content.decode()


@pytest.mark.django_db
def test_the_api_says_busy(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "page_of_open", pool_is_empty)

    response = client.get("/api/v1/sales")

    assert response.status_code == 503
    assert response.json()["code"] == "busy"
    assert response["Retry-After"] == "1"


@pytest.mark.django_db(transaction=True)
def test_a_transaction_without_a_connection_is_busy_at_once() -> None:
    attempts = []

    def body() -> None:
        attempts.append(1)
        pool_is_empty()

    with pytest.raises(Busy):
        in_transaction(body, name="test")
    assert len(attempts) == 1
