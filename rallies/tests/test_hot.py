"""`POST /api/v1/rallies/{sale_id}/joins` over ASGI: what each request is answered, and that a refused one moved nothing."""

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
from dsql import faults
from rallies import services
from rallies.models import Join
from sales.models import Sale
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
def rally() -> Any:
    return shop.make_rally(now=clock.now())


@pytest.fixture
def fan() -> UUID:
    return shop.make_fan(funds=60_000)


def token_for(fan_id: UUID, sale_id: UUID, *, is_verified: bool = True, age_s: float = 0) -> str:
    now_s = clock.now().timestamp() - age_s
    return make_buy_token(fan_id=fan_id, sale_id=sale_id, is_verified=is_verified, now_s=now_s)


@pytest.fixture
def make_request(rally, fan) -> Callable[..., tuple[str, dict[str, Any]]]:
    """A request that would be answered 201, but for what is changed in it."""

    def make(body: Any = None, *, raw: bytes | None = None, sale_id: UUID | None = None, **headers: str | None) -> Any:
        sale_id = sale_id or rally.sale_id
        sent = {
            "x-buy-token": token_for(fan, sale_id),
            "idempotency-key": str(uuid4()),
            "content-type": "application/json",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        content = json.dumps({} if body is None else body).encode() if raw is None else raw
        headers = {name: value for name, value in sent.items() if value is not None}
        return f"/api/v1/rallies/{sale_id}/joins", {"content": content, "headers": headers}

    return make


@pytest.fixture
def ask(make_request) -> Callable[..., httpx.Response]:
    def ask(*args: Any, **kwargs: Any) -> httpx.Response:
        path, request = make_request(*args, **kwargs)
        return post(path, **request)

    return ask


@pytest.fixture
def nothing_moves(rally, fan) -> Iterator[None]:
    """Whatever the test asks for, all rows stay as they were."""
    before = picture(rally.sale_id)
    yield
    assert picture(rally.sale_id) == before


def assert_refused(response: httpx.Response, status: int, code: str, asked: Any = None) -> dict[str, Any]:
    answer = response.json()
    assert (response.status_code, answer["code"]) == (status, code), (answer, asked)
    assert set(answer) == {"code", "detail", "data"}
    assert answer["detail"]
    assert response.headers["content-type"] == "application/json"
    return answer["data"]


def eur(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "EUR"}


def test_a_join_is_created_and_a_repeat_returns_the_same_join(ask, rally):
    key = str(uuid4())

    created, repeated = (ask({"quantity": 2}, idempotency_key=key) for _ in range(2))

    assert (created.status_code, repeated.status_code) == (201, 200)
    join = Join.objects.get()
    joined_at = created.json()["joined_at"]
    assert dt.datetime.fromisoformat(joined_at) == join.joined_at
    assert created.json() == repeated.json() == {
        "id": str(join.id), "sale_id": str(rally.sale_id), "quantity": 2, "state": "joined", "ceiling": eur(10_000),
        "held": eur(20_000), "only_at_or_below": None, "price_now": eur(10_000), "you_would_pay_now": eur(20_000),
        "joiners": 1, "waiting": 0, "invite_code": join.invite_code, "joined_at": joined_at,
        "terms_sha256": rally.sale.terms_sha256,
    }  # fmt: skip
    assert created.headers["x-request-id"] != repeated.headers["x-request-id"]


def test_an_empty_object_joins_with_one(ask):
    assert ask(raw=b"{}").json()["quantity"] == 1


def test_a_double_tap_with_another_key_is_the_same_join(ask):
    first, second = ask(), ask()

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert Join.objects.count() == 1


def test_a_limit_holds_only_its_own_tier_and_waits(ask, rally, fan):
    answer = ask({"quantity": 2, "only_at_or_below": 8_500}).json()

    assert (answer["ceiling"], answer["held"], answer["only_at_or_below"]) == (eur(8_000), eur(16_000), 8_500)
    assert (answer["price_now"], answer["you_would_pay_now"]) == (eur(10_000), None)
    assert (answer["joiners"], answer["waiting"]) == (0, 1)
    assert shop.wallet(fan).held_minor == 16_000


def test_the_answer_speaks_of_the_crowd_with_the_join_in_it(ask, rally):
    for other in shop.make_fans(2, funds=10_000):
        shop.join(rally, other, at=clock.now())

    answer = ask({"quantity": 3}).json()

    assert (answer["joiners"], answer["price_now"], answer["you_would_pay_now"]) == (3, eur(8_000), eur(24_000))
    assert answer["held"] == eur(30_000)


def test_whoever_left_may_come_again(ask, rally, fan):
    first = ask()
    services.leave_rally(rally_id=rally.sale_id, fan_id=fan, now=clock.now())

    again = ask({"quantity": 2})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert (again.json()["state"], again.json()["held"]) == ("joined", eur(20_000))


def test_a_repeat_after_leaving_says_that_the_fan_is_out(ask, rally, fan):
    key = str(uuid4())
    ask(idempotency_key=key)
    services.leave_rally(rally_id=rally.sale_id, fan_id=fan, now=clock.now())

    answer = ask(idempotency_key=key)

    assert (answer.status_code, answer.json()["state"]) == (200, "left")
    assert (answer.json()["held"], answer.json()["you_would_pay_now"]) == (eur(0), None)


def test_an_invite_names_who_brought_the_fan(ask, rally, fan):
    inviter = shop.make_fan(funds=10_000)
    code = shop.join(rally, inviter, at=clock.now()).invite_code

    ask({"invite": code})

    assert Join.objects.get(fan_id=fan).invited_by_id == inviter


def test_fifty_taps_with_one_key_at_once_are_one_join(make_request, fan):
    requests = [make_request(idempotency_key="0194f9a0-0000-7000-8000-000000000001")] * 50

    responses = post_all(requests)

    # A fan may have a few requests in the queue at a time; the others are asked to come again, and then get the same join.
    answered = [response for response in responses if response.status_code != 503]
    assert sorted(response.status_code for response in answered) == [200] * (len(answered) - 1) + [201]
    assert len({response.json()["id"] for response in [*answered, *post_all(requests[:1])]}) == 1
    assert shop.wallet(fan).held_minor == 10_000


def test_fifty_fans_at_once_are_fifty_and_the_price_has_fallen(rally):
    def request(fan_id: UUID) -> Any:
        headers = {"x-buy-token": token_for(fan_id, rally.sale_id), "idempotency-key": str(uuid4())}
        return f"/api/v1/rallies/{rally.sale_id}/joins", {"content": b"{}", "headers": headers}

    responses = post_all([request(fan_id) for fan_id in shop.make_fans(50, funds=10_000)])

    assert {response.status_code for response in responses} == {201}
    assert services.lanes[rally.sale_id].crowd.joiners == 50
    assert services.lanes[rally.sale_id].crowd.price_minor == 5_200


# Refused by the rules


@pytest.mark.usefixtures("nothing_moves")
def test_too_many_units(ask):
    assert assert_refused(ask({"quantity": 6}), 422, "too_many_units") == {"limit_per_fan": 5, "quantity": 6}


@pytest.mark.usefixtures("nothing_moves")
def test_price_never_reached(ask):
    asked = {"only_at_or_below": 5_199}
    assert assert_refused(ask(asked), 422, "price_never_reached") == {"lowest_minor": 5_200}


def test_full(ask):
    small = shop.make_rally(cap_units=21, now=clock.now())
    for other in shop.make_fans(4, funds=50_000):
        shop.join(small, other, 5, at=clock.now())
    before = picture(small.sale_id)

    assert assert_refused(ask({"quantity": 2}, sale_id=small.sale_id), 409, "full") == {"units_left": 1, "quantity": 2}
    assert picture(small.sale_id) == before


def test_already_joined_otherwise(ask, rally):
    ask({"quantity": 2, "only_at_or_below": 8_000})
    before = picture(rally.sale_id)

    data = assert_refused(ask({"quantity": 1}), 409, "already_joined")

    assert data == {"quantity": 2, "only_at_or_below_minor": 8_000}
    assert picture(rally.sale_id) == before


def test_idempotency_conflict(ask, rally):
    key = str(uuid4())
    join = ask(idempotency_key=key).json()
    before = picture(rally.sale_id)

    data = assert_refused(ask({"quantity": 2}, idempotency_key=key), 409, "idempotency_conflict")

    assert data == {"join_id": join["id"]}
    assert picture(rally.sale_id) == before


def test_removed(ask, rally, fan):
    ask()
    services.remove_fan(rally_id=rally.sale_id, fan_id=fan, now=clock.now())
    before = picture(rally.sale_id)

    assert_refused(ask(), 403, "removed")
    assert picture(rally.sale_id) == before


@pytest.mark.parametrize("invite", ["", "nobody-s-link"])
def test_invite_needed(ask, invite):
    private = shop.make_rally(audience="invited", now=clock.now())
    before = picture(private.sale_id)

    assert_refused(ask({"invite": invite}, sale_id=private.sale_id), 403, "invite_needed")
    assert picture(private.sale_id) == before


def test_the_sellers_link_opens_an_invited_rally(ask):
    private = shop.make_rally(audience="invited", now=clock.now())

    assert ask({"invite": private.seller_invite}, sale_id=private.sale_id).status_code == 201


@pytest.mark.parametrize("funds", [0, 9_999])
def test_insufficient_funds(ask, rally, funds):
    poor = shop.make_fan(funds=funds)
    before = picture(rally.sale_id)

    data = assert_refused(ask(x_buy_token=token_for(poor, rally.sale_id)), 409, "insufficient_funds")

    assert data == {"available_minor": funds, "needed_minor": 10_000, "currency": "EUR"}
    assert picture(rally.sale_id) == before


@pytest.mark.parametrize(("opens_in_s", "closes_in_s"), [(60, 120), (-120, -60)], ids=["before", "after"])
def test_not_open(ask, opens_in_s, closes_in_s):
    now, seconds = clock.now(), dt.timedelta(seconds=1)
    made_at = now - 300 * seconds
    other = shop.make_rally(opens_at=now + opens_in_s * seconds, closes_at=now + closes_in_s * seconds, now=made_at)
    before = picture(other.sale_id)

    assert_refused(ask(sale_id=other.sale_id), 409, "not_open")
    assert picture(other.sale_id) == before


def test_what_is_no_rally_is_missing(ask):
    for sale_id in (uuid7(), shop.make_drop(now=clock.now()).sale_id):
        assert_refused(ask(sale_id=sale_id), 404, "not_found")


@pytest.mark.parametrize(("state", "code"), [("frozen", "frozen"), ("cancelled", "called_off")])
def test_a_rally_that_was_stopped(ask, rally, state, code):
    stopped = "frozen_at" if state == "frozen" else "closed_at"
    Sale.objects.filter(id=rally.sale_id).update(state=state, **{stopped: clock.now()})
    before = picture(rally.sale_id)
    refused = ask()

    assert_refused(refused, 409, code)
    assert picture(rally.sale_id) == before


def test_who_left_shortly_before_the_end_is_out_for_good(ask, rally, fan):
    first = ask()
    services.leave_rally(rally_id=rally.sale_id, fan_id=fan, now=rally.sale.closes_at - dt.timedelta(seconds=1))
    before = picture(rally.sale_id)

    assert first.status_code == 201
    assert_refused(ask(), 409, "left_for_good")
    assert picture(rally.sale_id) == before


# Who may join


@pytest.mark.usefixtures("nothing_moves")
def test_bad_tokens(ask, rally, fan):
    good = token_for(fan, rally.sale_id)
    forged = good[:20] + ("A" if good[20] != "A" else "B") + good[21:]
    old, elsewhere = token_for(fan, rally.sale_id, age_s=901), token_for(fan, uuid7())
    for text in (None, "", "x", forged, old, elsewhere):
        response = ask(x_buy_token=text)
        assert_refused(response, 401, "bad_token", text)
        assert response.headers["www-authenticate"] == "X-Buy-Token"


@pytest.mark.usefixtures("nothing_moves")
def test_not_verified(ask, rally, fan):
    assert_refused(ask(x_buy_token=token_for(fan, rally.sale_id, is_verified=False)), 403, "not_verified")


# What may be asked


INVALID_BODIES = [
    b"", b"null", b"[]", b"3", b"{", b"{}}", b'{"quantity": 0}', b'{"quantity": -1}', b'{"quantity": 1001}',
    b'{"quantity": 1.5}', b'{"quantity": true}', b'{"quantity": "1"}', b'{"quantity": null}', b'{"quantity": 1e2}',
    b'{"only_at_or_below": 0}', b'{"only_at_or_below": -1}', b'{"only_at_or_below": true}', b'{"only_at_or_below": false}',
    b'{"only_at_or_below": 80.00}', b'{"only_at_or_below": "8000"}', b'{"only_at_or_below": 1000000000001}',
    b'{"only_at_or_below": {"minor": 8000}}', b'{"invite": null}', b'{"invite": 1}', b'{"invite": "a b"}',
    b'{"invite": "a\\u0000b"}', b'{"invite": "\\ud800"}', b'{"invite": "aaaaaaaaaaaaaaaaa"}', b'{"invite": "\xc3\xa9"}',
    b'{"price": 1}', b'{"quantity": 1, "fan_id": 2}', b'{"quantity": 1} {"quantity": 1}', b"\xff\xfe{}", b"[" * 2_000,
]  # fmt: skip


@pytest.mark.usefixtures("nothing_moves")
def test_invalid_bodies(ask):
    for raw in INVALID_BODIES:
        assert_refused(ask(raw=raw), 422, "invalid", raw[:40])


@pytest.mark.usefixtures("nothing_moves")
def test_a_body_too_large(ask):
    assert_refused(ask(raw=b'{"quantity": 1' + b" " * 4_097 + b"}"), 413, "body_too_large")


@pytest.mark.usefixtures("nothing_moves")
def test_bad_idempotency_keys(ask):
    for key in (None, "", "x", "1", "{0194f9a0-0000-7000-8000-000000000001}", "0194f9a0000070008000000000000001"):
        assert assert_refused(ask(idempotency_key=key), 422, "invalid", key) == {"header": "idempotency-key"}


def test_a_path_without_an_id_is_missing():
    for path in ("/api/v1/rallies/1/joins", "/api/v1/rallies/x/joins", "/api/v1/rallies//joins"):
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


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("fault", [faults.fail_commits, faults.lose_commit_answers])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_faults_below_do_not_show_in_the_answer(ask, fault, times):
    with fault(times):
        response = ask({"quantity": 2})

    assert response.json()["id"] == str(Join.objects.get().id)
    assert (response.json()["joiners"], response.json()["held"]) == (1, eur(20_000))


def test_a_broken_program_answers_500_without_particulars(ask, monkeypatch):
    def fail(*args: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(services.rules, "decide", fail)

    response = ask()

    assert response.status_code == 500
    assert response.json() == {"code": "error", "detail": "Something went wrong on our side.", "data": {}}
    assert Join.objects.count() == 0
