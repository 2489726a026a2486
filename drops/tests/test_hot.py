"""`POST /api/v1/drops/{sale_id}/orders` over ASGI: what each request is answered, and that a refused one moved nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from core import clock, lanes
from core.ids import uuid7
from drops import services
from drops.models import Order
from dsql import faults
from sales.tokens import make_buy_token
from tests.tools import shop
from tests.tools.truth import picture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]


def post(path: str, **request: Any) -> httpx.Response:
    return post_all([(path, request)])[0]


def post_all(requests: list[tuple[str, dict[str, Any]]]) -> list[httpx.Response]:
    """All of them at once, in one event loop, as one web process would serve them."""
    from dropfront.asgi import application

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await asyncio.gather(*[client.post(path, **request) for path, request in requests])

    return asyncio.run(send())


@pytest.fixture
def drop() -> Any:
    return shop.make_drop(units_total=3, limit_per_fan=2, now=clock.now())


@pytest.fixture
def fan() -> UUID:
    return shop.make_fan(funds=5_000)


@pytest.fixture
def make_request(drop, fan) -> Callable[..., tuple[str, dict[str, Any]]]:
    """A request that would be answered 201, but for what is changed in it."""

    def make(body: Any = None, *, raw: bytes | None = None, sale_id: UUID | None = None, **headers: str | None) -> Any:
        sale_id = sale_id or drop.sale_id
        sent = {
            "x-buy-token": make_buy_token(fan_id=fan, sale_id=sale_id, is_verified=True, now_s=clock.now().timestamp()),
            "idempotency-key": str(uuid4()),
            "content-type": "application/json",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        content = json.dumps({} if body is None else body).encode() if raw is None else raw
        headers = {name: value for name, value in sent.items() if value is not None}
        return f"/api/v1/drops/{sale_id}/orders", {"content": content, "headers": headers}

    return make


@pytest.fixture
def ask(make_request) -> Callable[..., httpx.Response]:
    def ask(*args: Any, **kwargs: Any) -> httpx.Response:
        path, request = make_request(*args, **kwargs)
        return post(path, **request)

    return ask


@pytest.fixture
def nothing_moves(drop, fan) -> Iterator[None]:
    """Whatever the test asks for, all rows stay as they were."""
    before = picture(drop.sale_id)
    yield
    assert picture(drop.sale_id) == before


def assert_refused(response: httpx.Response, status: int, code: str, asked: Any = None) -> dict[str, Any]:
    answer = response.json()
    assert (response.status_code, answer["code"]) == (status, code), (answer, asked)
    assert set(answer) == {"code", "detail", "data"}
    assert answer["detail"]
    assert response.headers["content-type"] == "application/json"
    return answer["data"]


def test_a_purchase_is_created_and_a_repeat_returns_the_same_order(ask, drop):
    key = str(uuid4())

    created, repeated = ask({"quantity": 2}, idempotency_key=key), ask({"quantity": 2}, idempotency_key=key)

    assert (created.status_code, repeated.status_code) == (201, 200)
    order = Order.objects.get()
    placed_at = created.json()["placed_at"]
    assert dt.datetime.fromisoformat(placed_at) == order.placed_at
    assert created.json() == repeated.json() == {
        "id": str(order.id), "sale_id": str(drop.sale_id), "quantity": 2, "unit_price": {"minor": 1_000, "currency": "EUR"},
        "total": {"minor": 2_000, "currency": "EUR"}, "state": "paid", "is_hold": False, "placed_at": placed_at,
        "expires_at": None, "terms_sha256": drop.sale.terms_sha256,
    }  # fmt: skip
    assert created.headers["x-request-id"] != repeated.headers["x-request-id"]


def test_an_empty_object_buys_one(ask):
    assert ask(raw=b"{}").json()["quantity"] == 1


def test_fifty_taps_with_one_key_at_once_are_one_order(make_request, fan):
    requests = [make_request(idempotency_key="0194f9a0-0000-7000-8000-000000000001")] * 50

    responses = post_all(requests)

    # A fan may have a few requests in the queue at a time; the others are asked to come again, and then get the same order.
    answered = [response for response in responses if response.status_code != 503]
    assert sorted(response.status_code for response in answered) == [200] * (len(answered) - 1) + [201]
    assert len({response.json()["id"] for response in [*answered, *post_all(requests[:1])]}) == 1
    assert shop.wallet(fan).available_minor == 4_000


def test_fifty_fans_at_once_get_the_three_units(drop):
    def request(fan: UUID) -> Any:
        token = make_buy_token(fan_id=fan, sale_id=drop.sale_id, is_verified=True, now_s=clock.now().timestamp())
        headers = {"x-buy-token": token, "idempotency-key": str(uuid4())}
        return f"/api/v1/drops/{drop.sale_id}/orders", {"content": b"{}", "headers": headers}

    responses = post_all([request(fan) for fan in shop.make_fans(50, funds=1_000)])

    assert sorted(response.status_code for response in responses) == [201] * 3 + [409] * 47
    assert {response.json()["code"] for response in responses if response.status_code == 409} == {"sold_out"}


# Refused by the rules


@pytest.mark.usefixtures("nothing_moves")
def test_sold_out(ask):
    assert assert_refused(ask({"quantity": 4}), 409, "sold_out") == {"units_left": 3, "quantity": 4}


@pytest.mark.usefixtures("nothing_moves")
def test_limit_reached(ask):
    assert assert_refused(ask({"quantity": 3}), 409, "limit_reached") == {"limit_per_fan": 2, "units": 0}


@pytest.mark.parametrize("funds", [0, 999])
def test_insufficient_funds(ask, drop, funds):
    poor = shop.make_fan(funds=funds)
    token = make_buy_token(fan_id=poor, sale_id=drop.sale_id, is_verified=True, now_s=clock.now().timestamp())
    before = picture(drop.sale_id)

    data = assert_refused(ask(x_buy_token=token), 409, "insufficient_funds")

    assert data == {"available_minor": funds, "needed_minor": 1_000, "currency": "EUR"}
    assert picture(drop.sale_id) == before


@pytest.mark.parametrize(("opens_in_s", "closes_in_s"), [(60, 120), (-120, -60)], ids=["before", "after"])
def test_not_open(ask, opens_in_s, closes_in_s):
    now, seconds = clock.now(), dt.timedelta(seconds=1)
    made_at = now - 300 * seconds
    other = shop.make_drop(opens_at=now + opens_in_s * seconds, closes_at=now + closes_in_s * seconds, now=made_at)
    before = picture(other.sale_id)

    assert_refused(ask(sale_id=other.sale_id), 409, "not_open")
    assert picture(other.sale_id) == before


def test_hold_not_offered(ask, drop):
    before = picture(drop.sale_id)

    assert_refused(ask({"hold": True}), 422, "hold_not_offered")
    assert picture(drop.sale_id) == before


def test_a_hold_says_until_when(ask):
    other = shop.make_drop(hold_s=60, now=clock.now())

    order = ask({"hold": True}, sale_id=other.sale_id).json()

    placed_at, expires_at = (dt.datetime.fromisoformat(order[name]) for name in ("placed_at", "expires_at"))
    assert (order["state"], order["is_hold"], expires_at - placed_at) == ("held", True, dt.timedelta(seconds=60))


def test_idempotency_conflict(ask, drop):
    key = str(uuid4())
    order = ask(idempotency_key=key).json()
    before = picture(drop.sale_id)

    assert assert_refused(ask({"quantity": 2}, idempotency_key=key), 409, "idempotency_conflict") == {
        "order_id": order["id"]
    }
    assert picture(drop.sale_id) == before


def test_a_sale_that_does_not_exist_is_missing(ask):
    assert_refused(ask(sale_id=uuid7()), 404, "not_found")


# Who may buy


@pytest.mark.usefixtures("nothing_moves")
def test_bad_token_that_is_none(ask):
    for text in (None, "", "x", "a" * 72, "é" * 72, " " * 72):
        response = ask(x_buy_token=text and text.encode("latin-1"))
        assert_refused(response, 401, "bad_token", text)
        assert response.headers["www-authenticate"] == "X-Buy-Token"


@pytest.mark.usefixtures("nothing_moves")
def test_bad_token_that_was_changed(ask, drop, fan):
    token = make_buy_token(fan_id=fan, sale_id=drop.sale_id, is_verified=True, now_s=clock.now().timestamp())
    for position in (0, 3, 20, len(token) - 2):
        forged = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert_refused(ask(x_buy_token=forged), 401, "bad_token")


@pytest.mark.usefixtures("nothing_moves")
def test_bad_token_that_ran_out(ask, drop, fan):
    token = make_buy_token(fan_id=fan, sale_id=drop.sale_id, is_verified=True, now_s=clock.now().timestamp() - 901)

    assert_refused(ask(x_buy_token=token), 401, "bad_token")


@pytest.mark.usefixtures("nothing_moves")
def test_bad_token_of_another_sale(ask, fan):
    token = make_buy_token(fan_id=fan, sale_id=uuid7(), is_verified=True, now_s=clock.now().timestamp())

    assert_refused(ask(x_buy_token=token), 401, "bad_token")


@pytest.mark.usefixtures("nothing_moves")
def test_not_verified(ask, drop, fan):
    token = make_buy_token(fan_id=fan, sale_id=drop.sale_id, is_verified=False, now_s=clock.now().timestamp())

    assert_refused(ask(x_buy_token=token), 403, "not_verified")


# What may be asked


INVALID_BODIES = [
    b"", b" ", b"null", b"[]", b"3", b'"x"', b"{", b"{}}", b"{'quantity': 1}", b'{"quantity": }',
    b'{"quantity": 0}', b'{"quantity": -1}', b'{"quantity": 1001}', b'{"quantity": 1.5}', b'{"quantity": true}',
    b'{"quantity": "1"}', b'{"quantity": null}', b'{"quantity": [1]}', b'{"quantity": NaN}', b'{"quantity": Infinity}',
    b'{"quantity": 1e400}', b'{"quantity": 01}', b'{"quantity": 1000000000000000000000000000000}', b'{"quantity": 1e2}',
    b'{"hold": 1}', b'{"hold": "true"}', b'{"hold": null}', b'{"price": 1}', b'{"quantity": 1, "fan_id": 2}',
    b'{"quantity": 1} {"quantity": 1}', b'\xff\xfe{}', b'{"\xc3\x28": 1}', b'{"quantity\\u0000": 1}',
    b"[" * 2_000, b'{"a":' * 600 + b"1" + b"}" * 600, b"{" + b" " * 4_000 + b"x",
]  # fmt: skip


@pytest.mark.usefixtures("nothing_moves")
def test_invalid_bodies(ask):
    for raw in INVALID_BODIES:
        assert_refused(ask(raw=raw), 422, "invalid", raw[:40])


@pytest.mark.usefixtures("nothing_moves")
@pytest.mark.parametrize("size", [4_097, 10_000_000])
def test_a_body_too_large(ask, size):
    assert_refused(ask(raw=b'{"quantity": 1' + b" " * size + b"}"), 413, "body_too_large")


BAD_KEYS = [
    None, "", "x", "1", "0194f9a0000070008000000000000001", "{0194f9a0-0000-7000-8000-000000000001}",
    "urn:uuid:0194f9a0-0000-7000-8000-000000000001", "0194f9a0-0000-7000-8000-00000000000",
    "0194f9a0-0000-7000-8000-00000000000g", "0194f9a0-0000-7000-80-00000000000001",
    "0194f9a0-0000-7000-8000-000000000001, 0194f9a0-0000-7000-8000-000000000002",
]  # fmt: skip


@pytest.mark.usefixtures("nothing_moves")
def test_bad_idempotency_keys(ask):
    for key in BAD_KEYS:
        assert assert_refused(ask(idempotency_key=key), 422, "invalid", key) == {"header": "idempotency-key"}


def test_a_name_said_twice_buys_what_the_answer_says(ask):
    """RFC 8259 leaves it open which of the two counts. What is sold is what the answer shows, never both."""
    order = ask(raw=b'{"quantity": 1, "quantity": 2}').json()

    assert order["quantity"] == Order.objects.get().quantity == 2


def test_a_path_without_an_id_is_missing():
    for path in ("/api/v1/drops/1/orders", "/api/v1/drops/x/orders", "/api/v1/drops//orders"):
        assert post(path, content=b"{}").status_code == 404, path


# Under load and faults


@pytest.mark.usefixtures("nothing_moves")
def test_busy_when_the_queue_is_full(ask, monkeypatch):
    monkeypatch.setattr(lanes.Lane, "queue_max", 0)

    response = ask()

    assert_refused(response, 503, "busy")
    assert response.headers["retry-after"] == "1"


@pytest.mark.usefixtures("nothing_moves", "no_pauses")
def test_busy_when_the_database_refuses_until_the_deadline(ask, monkeypatch):
    in_transaction = lanes.in_transaction
    monkeypatch.setattr(lanes, "in_transaction", lambda body, **how: in_transaction(body, **{**how, "deadline_s": 0.0}))

    with faults.fail_commits(1_000):
        response = ask()

    assert_refused(response, 503, "busy")
    assert response.headers["retry-after"] == "1"


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("fault", [faults.fail_commits, faults.lose_commit_answers])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_faults_below_do_not_show_in_the_answer(ask, fault, times):
    with fault(times):
        response = ask({"quantity": 2})

    assert response.status_code == 201
    assert response.json()["id"] == str(Order.objects.get().id)


def test_a_broken_program_answers_500_without_particulars(ask, monkeypatch):
    def fail(*args: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(services.rules, "decide", fail)

    response = ask()

    assert response.status_code == 500
    assert response.json() == {"code": "error", "detail": "Something went wrong on our side.", "data": {}}
    assert Order.objects.count() == 0
