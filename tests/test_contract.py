"""What every format keeps, however it sells: its sales live from the draft to the end on the spine's pages and in its API, and its
hot routes refuse in the same words. `tests/tools/contract.py` says what a new format brings to be tested here."""

from __future__ import annotations

import datetime as dt
import html
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.test import Client

from core import clock, due_work, lanes
from core.errors import sentences
from core.ids import uuid7
from core.invariants import GOODS, MONEY, REST, TERMS
from dsql import faults
from ledger import selectors as ledger_selectors
from live.tallies import tallies
from sales import counting, frames, levers, prover
from sales import services as sales
from sales.formats import Format, get_format, list_formats
from sales.models import Sale, Takings
from sales.placing import Place
from sales.proceeds import escrow_of, paid_in, passed_on
from tests.tools import shop
from tests.tools.contract import Asking, Stage, assert_refused, hot_routes, post_all, specimen_of
from tests.tools.truth import broken_checks, picture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

MINUTE = dt.timedelta(minutes=1)
HOUR = 60 * MINUTE

every_format = pytest.mark.parametrize("format", list_formats(), ids=lambda format: format.name)
every_hot_route = pytest.mark.parametrize(
    ("format", "place"), hot_routes(), ids=lambda one: one.name if isinstance(one, Format) else one.operation_id
)


@pytest.fixture
def stage(format: Format) -> Stage:
    return Stage(format)


@pytest.fixture
def ask(stage: Stage, place: Place) -> Asking:
    return Asking(stage, place, stage.publish())


@pytest.fixture
def nothing_moves(ask: Asking) -> Iterator[None]:
    """Whatever the test asks for, all rows stay as they were."""
    before = picture(ask.sale.id)
    yield
    assert picture(ask.sale.id) == before


def test_a_format_without_a_specimen_is_told_what_to_add():
    lonely = replace(list_formats()[0], name="auction", app="auctions")

    with pytest.raises(AssertionError, match=r"add auctions/tests/specimen\.py with SPECIMEN = Specimen\(\.\.\.\)"):
        specimen_of(lonely)


# A sale's life


def state_of(sale: Sale) -> str:
    """Where the sale stands now, with all of its checks holding."""
    assert broken_checks(sale.id) == []
    return Sale.objects.get(id=sale.id).state


def buy(stage: Stage, sale: Sale) -> None:
    """By the format's hot routes; its frame moves on."""
    before = frames.read_frame(sale.id)["version"]
    for place in stage.format.places:
        assert Asking(stage, place, sale)().status_code == 201
    assert paid_in([sale.id]).get(sale.id, 0) + shop.wallet(stage.fan_id).held_minor == stage.specimen.costs_minor
    assert frames.read_frame(sale.id)["version"] > before
    assert list(stage.format.rules.fans(sale, after=None, limit=9)) == [stage.fan_id]  # who is told what becomes of it
    assert list(stage.format.rules.fans(sale, after=stage.fan_id, limit=9)) == []


def close_on_time(stage: Stage, sale: Sale) -> None:
    """As the scheduler does, some time after the sale's own end."""
    now = stage.format.rules.ends_at(sale) + sales.CLOSE_GRACE
    assert sales.close_sale(sale_id=sale.id, now=now) is None


def call_off_by_staff(sale: Sale) -> None:
    levers.void_sale(sale_id=sale.id, staff_id=shop.make_fan(), reason="A doubt", now=clock.now())


def to_the_end(step: Any, sale: Sale) -> None:
    """Every step of settling or unwinding, and what waits for a deadline of its own; the checks hold after each."""
    now = max(clock.now(), Sale.objects.values_list("closed_at", flat=True).get(id=sale.id) or clock.now())
    while next_at := step(sale_id=sale.id, now=now):
        assert broken_checks(sale.id) == []
        now = max(now, next_at)
    prover.prove_now(Sale.objects.get(id=sale.id))


def assert_nothing_is_left_in(sale: Sale) -> None:
    account = escrow_of(sale)
    balance = ledger_selectors.balance(ledger_selectors.account_ids([account])[account])
    assert (balance.available_minor, balance.held_minor) == (0, 0)


def assert_fans_see(sale: Sale, pages: tuple[str, ...] = ("room", "terms", "proof", "home", "storefront")) -> None:
    """Exactly on these pages."""
    places = {
        "home": "/", "storefront": f"/s/{sale.seller.handle}/", "room": f"/sales/{sale.id}/",
        "terms": f"/sales/{sale.id}/terms/", "proof": f"/proof/{sale.id}/",
    }  # fmt: skip
    answers = {name: Client(raise_request_exception=False).get(place) for name, place in places.items()}
    assert {answer.status_code for answer in answers.values()} <= {200, 404}, answers
    shown = {name for name, answer in answers.items() if sale.title in answer.content.decode()}
    assert shown == set(pages)


def read(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return html.unescape(answer.content.decode())


def assert_the_seller_sees(stage: Stage, sale: Sale) -> None:
    for page in (f"/sell/{stage.shop.handle}/", stage.page("console", sale)):
        answer = stage.owner.get(page)
        assert (answer.status_code, sale.title in answer.content.decode()) == (200, True), page


def assert_it_is_counted(sale: Sale) -> None:
    """Its one purchase is a figure of its shop's, if the format says what fans have in it, and comes to what the ledger has."""
    to_the_end(counting.count_step, sale)
    takings = Takings.objects.get(sale_id=sale.id)
    found = 1 if get_format(sale.format).things else 0
    assert (takings.purchases, takings.buyers, takings.units) == (found, found, found)
    assert takings.gross_minor == passed_on([sale])[sale.id].gross_minor > 0


@every_format
def test_by_pages_a_sale_is_drafted_published_sold_closed_and_settled(stage):
    typed = stage.typed()
    for _ in range(2):  # a form that is sent twice makes one draft
        made = stage.owner.post(stage.page("new"), typed)
        assert made.status_code == 302, made.content.decode()
    sale = Sale.objects.get()
    assert made["Location"] == stage.page("console", sale)
    assert_the_seller_sees(stage, sale)
    assert_fans_see(sale, ())

    for _ in range(2):
        assert stage.owner.post(stage.page("publish", sale)).status_code == 302
    assert state_of(sale) == "scheduled"
    assert_fans_see(sale)
    buy(stage, sale)
    assert_fans_see(sale)
    assert_the_seller_sees(stage, sale)

    assert stage.format.presenter.close_means(sale) in read(stage.owner.get(stage.page("close", sale)))
    assert state_of(sale) == "scheduled"
    closed = stage.owner.post(stage.page("close", sale)).status_code
    if stage.specimen.seller_may_end:
        assert closed == 302
    else:
        assert (closed, state_of(sale)) == (409, "scheduled")
        close_on_time(stage, sale)
    assert state_of(sale) == "closed"
    assert_fans_see(sale)
    to_the_end(sales.settle_step, sale)
    assert state_of(sale) == "settled"
    assert_nothing_is_left_in(sale)
    assert_fans_see(sale)
    assert_the_seller_sees(stage, sale)
    assert_it_is_counted(sale)


@every_format
def test_by_pages_a_sale_is_called_off_and_everybody_has_the_money_back(stage):
    sale = stage.publish()
    buy(stage, sale)

    words = stage.format.words
    assert words.calling_off in read(stage.owner.get(stage.page("cancel", sale)))
    assert state_of(sale) == "scheduled"
    if stage.specimen.seller_may_end:
        done = read(stage.owner.post(stage.page("cancel", sale), follow=True))
        assert f"The {words.noun} is called off. {words.called_off}" in done
    else:
        assert stage.owner.post(stage.page("cancel", sale)).status_code == 409
        call_off_by_staff(sale)
    assert state_of(sale) == "cancelled"
    to_the_end(sales.unwind_step, sale)

    assert state_of(sale) == "cancelled"
    assert shop.wallet(stage.fan_id).available_minor == stage.funds_minor
    assert_nothing_is_left_in(sale)
    assert_fans_see(sale, ("room", "terms", "proof"))
    assert_the_seller_sees(stage, sale)


@every_format
def test_a_draft_is_thrown_away_by_its_page_and_a_form_that_is_not_right_makes_none(stage):
    for said in ({}, {"title": "A specimen"}, stage.typed(closes_at="2020-01-01T00:00"), stage.typed(title=" ")):
        assert stage.owner.post(stage.page("new"), said).status_code == 422, said
    assert stage.owner.get(stage.page("new")).status_code == 200
    assert Sale.objects.count() == 0
    sale = stage.draft()

    assert stage.owner.post(stage.page("cancel", sale)).status_code == 302

    assert Sale.objects.get().state == "cancelled"
    assert_fans_see(sale, ())


@every_format
def test_by_due_work_alone_a_sale_opens_closes_and_is_settled(stage):
    sale = stage.publish(opens_in=MINUTE)
    ends_at = stage.format.rules.ends_at(sale) + sales.CLOSE_GRACE

    for now, state in ((clock.now(), "scheduled"), (clock.now() + 2 * MINUTE, "live"), (ends_at + MINUTE, "settled")):
        while due_work.run_due(now=now):
            pass
        assert state_of(sale) == state


class Api:
    """The seller's, for sales of one format."""

    def __init__(self, stage: Stage) -> None:
        self.client = stage.owner
        self.place = f"/api/v1/sellers/{stage.shop.handle}/{stage.format.words.slug}"

    def post(self, path: str = "", body: Any = None) -> tuple[int, Any]:
        answer = self.client.post(self.place + path, json.dumps(body), content_type="application/json")
        return answer.status_code, answer.json()

    def get(self, path: str) -> tuple[int, Any]:
        answer = self.client.get(self.place + path)
        return answer.status_code, answer.json()


with_an_api = pytest.mark.parametrize(
    "format", [format for format in list_formats() if format.module("api")], ids=lambda format: format.name
)


def sent(stage: Stage, **more: Any) -> dict[str, Any]:
    now = clock.now()
    common = {"sale_id": str(uuid7()), "title": "A specimen", "opens_at": now.isoformat()}
    return common | {"closes_at": (now + HOUR).isoformat()} | dict(stage.specimen.api or {}) | more


@with_an_api
def test_by_the_api_a_sale_is_drafted_published_sold_closed_and_settled(stage):
    api, body = Api(stage), sent(stage)
    path = f"/{body['sale_id']}"

    drafted = api.post(body=body)
    assert (drafted[0], drafted[1]["state"]) == (201, "draft")
    assert api.post(body=body) == drafted  # a repeat
    assert api.get(path) == (200, drafted[1])
    assert api.post(body=body | {"title": "Another"})[1]["code"] == "id_taken"
    for _ in range(2):
        assert api.post(f"{path}/publish")[1]["state"] == "scheduled"
    sale = Sale.objects.get()
    assert state_of(sale) == "scheduled"
    buy(stage, sale)
    if stage.specimen.seller_may_end:
        for _ in range(2):
            assert api.post(f"{path}/close")[1]["state"] == "closed"
    else:
        assert api.post(f"{path}/close")[1]["code"] == "wrong_state"
        close_on_time(stage, sale)
    status, refusal = api.post(f"{path}/cancel")
    assert (status, refusal["code"]) == (409, "wrong_state")
    to_the_end(sales.settle_step, sale)
    assert api.get(path)[1]["state"] == state_of(sale) == "settled"
    assert_nothing_is_left_in(sale)


@with_an_api
def test_by_the_api_a_sale_is_called_off(stage):
    sale = stage.publish()
    buy(stage, sale)

    if stage.specimen.seller_may_end:
        for _ in range(2):
            assert Api(stage).post(f"/{sale.id}/cancel")[1]["state"] == "cancelled"
    else:
        assert Api(stage).post(f"/{sale.id}/cancel")[1]["code"] == "wrong_state"
        call_off_by_staff(sale)
    to_the_end(sales.unwind_step, sale)

    assert shop.wallet(stage.fan_id).available_minor == stage.funds_minor
    assert_nothing_is_left_in(sale)


@with_an_api
def test_a_draft_that_is_not_right_is_refused_by_the_api_and_not_kept(stage):
    api = Api(stage)
    for changes in BAD_DRAFTS:
        status, refusal = api.post(body=sent(stage, **changes))
        assert (status, refusal["code"]) == (422, "invalid"), changes
    post = partial(stage.owner.post, Api(stage).place, content_type="application/json")
    for raw in (b"", b"null", b"[]", b"3", b"{", b"\xff\xfe", b"[" * 100_000, b'{"title": NaN}'):
        answer = post(raw)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), raw[:20]
    assert post(b'{"title": "' + b"x" * 2_000_000 + b'"}').status_code == 413
    assert Sale.objects.count() == 0


BAD_DRAFTS: list[dict[str, Any]] = [
    {"title": ""}, {"title": "x" * 121}, {"title": None}, {"title": "a\x00b"}, {"title": "\ud800"}, {"story": "a\x00b"},
    {"story": "x" * 5_001}, {"sale_id": "x"}, {"sale_id": 7}, {"currency": "XXX"}, {"currency": "PLAY"},
    {"currency": "eur"}, {"currency": ""}, {"opens_at": "tomorrow"}, {"opens_at": "2026-03-02T12:00:00"},
    {"closes_at": "2020-01-01T00:00:00Z"}, {"closes_at": 1e400}, {"opens_at": "0001-01-01T00:00:00+14:00"},
    {"opens_at": "9999-12-31T20:00:00-14:00", "closes_at": "9999-12-31T23:59:59-14:00"},
    {"fee_bps": 0}, {"seller_id": str(uuid7())}, {"state": "live"},
]  # fmt: skip


@with_an_api
def test_another_formats_sale_is_missing_in_the_api_and_its_id_is_taken(stage):
    for other in list_formats():
        if other != stage.format:
            elsewhere = Stage(other, shop=stage.shop).publish()
            before = picture(elsewhere.id)
            assert Api(stage).get(f"/{elsewhere.id}")[0] == 404
            for act in ("publish", "close", "cancel"):
                assert Api(stage).post(f"/{elsewhere.id}/{act}")[0] == 404
            assert Api(stage).post(body=sent(stage, sale_id=str(elsewhere.id)))[1]["code"] == "id_taken"
            assert picture(elsewhere.id) == before


# A purchase and its repeats


@every_hot_route
def test_a_purchase_is_made_once_and_its_repeat_has_the_same_answer(ask):
    key = str(uuid4())

    made, repeated = ask(idempotency_key=key), ask(idempotency_key=key)

    assert (made.status_code, repeated.status_code) == (201, 200)
    assert made.json() == repeated.json()
    assert made.headers["x-request-id"] != repeated.headers["x-request-id"]


@every_hot_route
def test_one_key_for_two_things_is_a_conflict(ask):
    if ask.stage.specimen.other is None:
        return  # there is nothing to choose
    key = str(uuid4())
    made = ask(idempotency_key=key)
    before = picture(ask.sale.id)

    data = assert_refused(ask(dict(ask.stage.specimen.other), idempotency_key=key), 409, "idempotency_conflict")

    assert (made.status_code, list(data.values())) == (201, [made.json()["id"]])
    assert picture(ask.sale.id) == before


@every_hot_route
def test_fifty_taps_with_one_key_at_once_are_one_purchase(ask):
    requests = [ask.request(idempotency_key="0194f9a0-0000-7000-8000-000000000001")] * 50

    responses = post_all(requests)

    # A fan may have a few requests in the queue at a time; the others are asked to come again, and then get the same answer.
    answered = [response for response in responses if response.status_code != 503]
    assert sorted(response.status_code for response in answered) == [200] * (len(answered) - 1) + [201]
    assert len({response.json()["id"] for response in [*answered, *post_all(requests[:1])]}) == 1
    left = shop.wallet(ask.stage.fan_id).available_minor
    assert left == ask.stage.funds_minor - ask.stage.specimen.costs_minor


@every_hot_route
@pytest.mark.usefixtures("no_pauses")
def test_faults_below_do_not_show_in_the_answer(format, place):
    for fault in (faults.fail_commits, faults.lose_commit_answers):
        for times in (1, 5):
            stage, key = Stage(format), str(uuid4())
            ask = Asking(stage, place, stage.publish())
            with fault(times):
                made = ask(idempotency_key=key)

            assert made.status_code == 201, (fault, times)
            assert ask(idempotency_key=key).json() == made.json()
            left = shop.wallet(stage.fan_id).available_minor
            assert left == stage.funds_minor - stage.specimen.costs_minor, (fault, times)


# Refused


@every_hot_route
@pytest.mark.usefixtures("nothing_moves")
def test_whoever_has_no_good_token_or_is_not_verified(ask):
    good = ask.token()
    changed = [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in (0, 3, 20, len(good) - 2)]
    none = [None, "", "x", "a" * 72, "é" * 72, " " * 72]
    for text in [*none, *changed, ask.token(age_s=901), ask.token(sale_id=uuid7())]:
        response = ask(x_buy_token=text and text.encode("latin-1"))
        assert_refused(response, 401, "bad_token", text)
        assert response.headers["www-authenticate"] == "X-Buy-Token"
    assert_refused(ask(x_buy_token=ask.token(is_verified=False)), 403, "not_verified")


BAD_KEYS = [
    None, "", "x", "1", "0194f9a0000070008000000000000001", "{0194f9a0-0000-7000-8000-000000000001}",
    "urn:uuid:0194f9a0-0000-7000-8000-000000000001", "0194f9a0-0000-7000-8000-00000000000",
    "0194f9a0-0000-7000-8000-00000000000g", "0194f9a0-0000-7000-80-00000000000001",
    "0194f9a0-0000-7000-8000-000000000001, 0194f9a0-0000-7000-8000-000000000002",
]  # fmt: skip


@every_hot_route
@pytest.mark.usefixtures("nothing_moves")
def test_bad_idempotency_keys(ask):
    for key in BAD_KEYS:
        assert assert_refused(ask(idempotency_key=key), 422, "invalid", key) == {"header": "idempotency-key"}


NO_OBJECTS = [
    b"", b" ", b"null", b"[]", b"3", b'"x"', b"{", b"{}}", b"{'a': 1}", b'{"a": }', b'{} {}', b"\xff\xfe{}",
    b'{"\xc3\x28": 1}', b"[" * 2_000, b'{"a":' * 600 + b"1" + b"}" * 600, b"{" + b" " * 4_000 + b"x",
]  # fmt: skip
UNKNOWN = [b'{"price": 1}', b'{"fan_id": 2}', b'{"a\\u0000": 1}', b'{"": 1}']


# What stands for a value: of each type, and what no type of ours takes.
VALUES = [
    b"null", b"true", b"1.5", b"1e2", b"1e400", b"01", b"NaN", b"Infinity", b"1000000000000000000000000000000", b'"1"', b'"a b"',
    b'"a\\u0000b"', b'"\\ud800"', b'"\xc3\x28"', b"[1]", b'{"minor": 1}',
]  # fmt: skip


def is_taken(place: Place, body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=place.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


@every_hot_route
@pytest.mark.usefixtures("nothing_moves")
def test_bodies_that_are_not_right(ask):
    for raw in [*NO_OBJECTS, *UNKNOWN, *wrong_types(ask.place)]:
        assert_refused(ask(raw=raw), 422, "invalid", raw[:40])
    for size in (4_097, 10_000_000):
        assert_refused(ask(raw=b"{" + b" " * size + b"}"), 413, "body_too_large")


def wrong_types(place: Place) -> Iterator[bytes]:
    """Each field of the body with what its type does not take."""
    for field in msgspec.structs.fields(place.body):
        bodies = [b'{"%b": %b}' % (field.encode_name.encode(), value) for value in VALUES]
        wrong = [body for body in bodies if not is_taken(place, body)]
        assert len(wrong) >= len(VALUES) - 3, "a field that takes nearly anything wants a type"
        yield from wrong


@every_hot_route
def test_too_little_money(ask):
    costs_minor = ask.stage.specimen.costs_minor
    for funds in {0, costs_minor - 1} if costs_minor else ():
        ask.stage.fan_id = shop.make_fan(funds=funds)
        before = picture(ask.sale.id)

        refused = assert_refused(ask(), 409, "insufficient_funds")

        assert refused == {"available_minor": funds, "needed_minor": costs_minor, "currency": "EUR"}
        assert picture(ask.sale.id) == before


@every_hot_route
def test_a_sale_that_is_not_open_or_was_stopped(stage, place):
    def closed(sale: Sale) -> None:
        sales.close_sale_early(seller_id=stage.shop.id, sale_id=sale.id, now=clock.now())

    def called_off(sale: Sale) -> None:
        sales.cancel_sale(seller_id=stage.shop.id, sale_id=sale.id, now=clock.now())

    def frozen(sale: Sale) -> None:
        levers.freeze_sale(sale_id=sale.id, staff_id=stage.fan_id, reason="A look at it.", now=clock.now())

    not_yet, no_more = stage.publish(opens_in=MINUTE), stage.publish(opens_in=-2 * MINUTE, closes_in=-MINUTE)
    stopped = {stop: stage.publish() for stop in (closed, called_off, frozen)}
    for stop, sale in stopped.items():
        stop(sale)
    codes = {
        "not_open": [not_yet, no_more, stopped[closed]],
        "called_off": [stopped[called_off]],
        "frozen": [stopped[frozen]],
    }
    for code, sales_of_code in codes.items():
        for sale in sales_of_code:
            before = picture(sale.id)
            assert_refused(Asking(stage, place, sale)(), 409, code)
            assert picture(sale.id) == before, code


@every_hot_route
def test_what_is_no_sale_of_the_format_is_missing(ask):
    ids: list[UUID] = [uuid7(), ask.stage.draft().id]
    ids += [Stage(other).publish().id for other in list_formats() if other != ask.stage.format]
    for sale_id in ids:
        assert_refused(ask(sale_id=sale_id), 404, "not_found", sale_id)
    for text in ("1", "x", ""):
        path = f"{ask.place.before}{text}{ask.place.after}"
        assert post_all([(path, {"content": b"{}"})])[0].status_code == 404, path


@every_hot_route
@pytest.mark.usefixtures("nothing_moves", "no_pauses")
def test_busy_when_the_queue_is_full_or_the_database_refuses_until_the_deadline(ask, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(lanes.Lane, "queue_max", 0)
        full = ask()
    in_transaction = lanes.in_transaction
    monkeypatch.setattr(lanes, "in_transaction", lambda body, **how: in_transaction(body, **{**how, "deadline_s": 0.0}))
    with faults.fail_commits(1_000):
        refused = ask()

    for response in (full, refused):
        assert_refused(response, 503, "busy")
        assert response.headers["retry-after"] == "1"


@every_hot_route
@pytest.mark.usefixtures("nothing_moves")
def test_a_broken_program_answers_500_without_particulars(ask, monkeypatch):
    def fail(*args: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(type(ask.place.lane(ask.sale.id)), "run", fail)

    response = ask()

    assert response.status_code == 500
    assert response.json() == {"code": "error", "detail": "Something went wrong on our side.", "data": {}}


@every_format
def test_its_console_says_why_fans_were_turned_away(stage):
    sale = stage.publish()
    assert "turned away" in read(stage.owner.get(stage.page("console", sale)))
    for _number in range(2):
        tallies.refused(sale.id, "limit_reached")
    tallies.write()

    page = read(stage.owner.get(stage.page("console", sale)))

    assert sentences()["limit_reached"] in page
    assert (
        stage.owner.get(stage.page("preview", sale)).status_code == 409
    )  # it is published: there is nothing to preview


@pytest.mark.parametrize("format", list_formats(), ids=lambda format: format.name)
def test_its_checks_say_what_they_are_about(format):
    about = {check.name: check.about for check in format.checks}

    assert set(about.values()) == {GOODS, MONEY, TERMS, REST}
    known = {"in_time": GOODS, "paid_by_its_fan": MONEY, "terms_hash": TERMS, "gates": REST}
    assert {name: about[name] for name in known if name in about} == {n: a for n, a in known.items() if n in about}
