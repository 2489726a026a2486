"""What `tests/test_contract.py` asks of every format: one sale of it to look at, and the way there.

A format brings a `Specimen` as `SPECIMEN` in `tests/specimen.py` of its folder, and is tested as all others are.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import httpx
from django.test import Client
from msgspec.structs import replace

from accounts.models import User
from core import clock
from core.ids import uuid7
from sales import services as sales
from sales.formats import Format, list_formats
from sales.models import Sale
from sales.placing import Place
from sales.tokens import make_buy_token
from sellers.models import Seller
from tests.tools.shop import make_fan, make_seller

HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Specimen:
    """A sale of the format in EUR, and a purchase that it takes at each of its hot routes."""

    form: Mapping[str, str]  # what its seller types, beside the title and the times
    purchase: Mapping[str, Any]  # the body of a purchase
    costs_minor: int  # what that takes out of a wallet, paid or held; 0: nothing
    other: Mapping[str, Any] | None = None  # another body; None: there is nothing to choose
    seller_may_end: bool = True  # also after that purchase: close the sale early, and call it off
    api: Mapping[str, Any] | None = None  # what its seller sends instead; None: it is not drafted by the API


def specimen_of(format: Format) -> Specimen:
    module = f"{format.app}.tests.specimen"
    try:
        specimen: Specimen = import_module(module).SPECIMEN
    except (ModuleNotFoundError, AttributeError) as error:
        raise AssertionError(
            f"The format {format.name!r} has no specimen, so nothing shows that it keeps the contract of formats: add "
            f"{module.replace('.', '/')}.py with SPECIMEN = Specimen(...), see tests/tools/contract.py"
        ) from error
    assert (specimen.api is None) == (format.module("api") is None), (
        f"The format {format.name!r} has an api.py, so its specimen says what the API takes (api=), or neither."
    )
    return specimen


class Stage:
    """A shop with its owner, and a fan with money enough for two purchases."""

    def __init__(self, format: Format, *, shop: Seller | None = None) -> None:
        self.format, self.specimen = format, specimen_of(format)
        owner_id = make_fan()
        self.shop = shop or make_seller(owner_id=owner_id)
        self.funds_minor = 2 * self.specimen.costs_minor
        self.fan_id = make_fan(funds=self.funds_minor)
        self.owner = logged_in(owner_id)

    def typed(self, **more: str) -> dict[str, str]:
        """The form of a new sale, as it is sent."""
        closes_at = (clock.now() + 2 * HOUR).strftime("%Y-%m-%dT%H:%M")
        common = {"sale_id": str(uuid7()), "title": "A specimen", "opens": "now", "closes_at": closes_at}
        return common | dict(self.specimen.form) | more

    def draft(self, *, opens_in: dt.timedelta = -HOUR / 60, closes_in: dt.timedelta = HOUR) -> Sale:
        """A draft whose times count from now, made long before, as the form says it."""
        now = clock.now()
        form = self.format.form(self.typed(), initial={})
        assert form.is_valid(), form.errors
        said = form.as_draft(self.shop.id, now - HOUR)
        draft = replace(said.pop("draft"), opens_at=now + opens_in, closes_at=now + closes_in)
        self.format.draft(draft, **said)
        return Sale.objects.get(id=draft.sale_id)

    def publish(self, **times: dt.timedelta) -> Sale:
        return sales.publish_sale(
            seller_id=self.shop.id, sale_id=self.draft(**times).id, now=clock.now() - HOUR + HOUR / 60
        )

    def page(self, name: str, *sale: Sale) -> str:
        return self.format.url(name, self.shop.handle, *(one.id for one in sale))


def logged_in(user_id: UUID) -> Client:
    client = Client()
    client.force_login(User.objects.get(id=user_id))
    return client


class Asking:
    """Requests to one hot route, each of which would be answered 201 but for what is changed in it."""

    def __init__(self, stage: Stage, place: Place, sale: Sale) -> None:
        self.stage, self.place, self.sale = stage, place, sale

    def token(self, *, sale_id: UUID | None = None, is_verified: bool = True, age_s: float = 0) -> str:
        now_s = clock.now().timestamp() - age_s
        sale_id = sale_id or self.sale.id
        return make_buy_token(fan_id=self.stage.fan_id, sale_id=sale_id, is_verified=is_verified, now_s=now_s)

    def request(
        self, body: Any = None, *, raw: bytes | None = None, sale_id: UUID | None = None, **headers: Any
    ) -> Any:
        sent = {
            "x-buy-token": self.token(sale_id=sale_id),
            "idempotency-key": str(uuid4()),
            "content-type": "application/json",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        content = (
            json.dumps(dict(self.stage.specimen.purchase) if body is None else body).encode() if raw is None else raw
        )
        headers = {name: value for name, value in sent.items() if value is not None}
        path = f"{self.place.before}{sale_id or self.sale.id}{self.place.after}"
        return path, {"content": content, "headers": headers}

    def __call__(self, *args: Any, **changes: Any) -> httpx.Response:
        return post_all([self.request(*args, **changes)])[0]


def post_all(requests: list[tuple[str, dict[str, Any]]]) -> list[httpx.Response]:
    """All of them at once, in one event loop, as one web process would serve them."""
    from dropfront.asgi import application

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await asyncio.gather(*[client.post(path, **request) for path, request in requests])

    return asyncio.run(send())


def assert_refused(response: httpx.Response, status: int, code: str, asked: Any = None) -> dict[str, Any]:
    """Refused as every hot route refuses; what its `data` says."""
    answer = response.json()
    assert (response.status_code, answer["code"]) == (status, code), (answer, asked)
    assert set(answer) == {"code", "detail", "data"}
    assert answer["detail"]
    assert response.headers["content-type"] == "application/json"
    data: dict[str, Any] = answer["data"]
    return data


def hot_routes() -> list[tuple[Format, Place]]:
    return [(format, place) for format in list_formats() for place in format.places]
