"""Who may do what: every way into the product, for every kind of visitor, on one seller's and one buyer's things.

The operations are found in the code (`tests.tools.operations`). One without a row here fails the suite, so nobody can forget to
say who may use it. Somebody else's thing must answer exactly like one that does not exist: same status, same body.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.urls import include, path
from ninja import NinjaAPI, Router

from accounts import bans
from accounts import services as accounts
from accounts.models import User
from auctions.dutch import services as dutch
from auctions.english import services as auctions
from auctions.models import Win
from core import clock
from core.ids import uuid7
from core.money import Money
from drops import services as drops
from live.hub import hub
from payments import services as payments
from pictures.models import Placed
from products import services as products
from rallies import services as rallies
from sales import levers, prover
from sales import services as sales
from sales.hot import read_frame_for_hub
from sellers import api_keys, joining
from sellers import services as sellers
from sellers.models import KeyScope, Member, Role
from tests.tools import operations, shop
from tests.tools.operations import FAMILIES, Operation
from tests.tools.truth import picture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sent_frames")]

# Logged in as nobody; as somebody without a shop; as the one whose orders and money are asked for; as the owner of another
# shop; in each role of the shop; as staff, who have their own pages and no other rights; as staff who may do nothing; and as
# somebody who was turned out while they were logged in, and is a stranger since.
ROLES = [
    "stranger",
    "banned",
    "fan",
    "buyer",
    "other seller",
    "viewer",
    "manager",
    "owner",
    "staff",
    "staff without rights",
]
STRANGERS = ("stranger", "banned")

LOGIN = "to the login page"
MOVED = "redirected"
SOCKET = "accepted"


class Row(NamedTuple):
    """What one operation answers to each role. `who` names the roles it is for; the others get `other`."""

    method: str
    path: str
    who: dict[str, Any]
    stranger: Any
    other: Any
    body: Callable[[World], Any] | None = None
    things: dict[str, str] = {}  # which of the world's things stands for a name in the path, if not the usual one

    def expected(self, role: str) -> Any:
        return self.who.get(role, self.stranger if role in STRANGERS else self.other)


@dataclass
class World:
    """One shop, one buyer, and everybody else."""

    users: dict[str, UUID] = field(default_factory=dict)
    things: dict[str, Any] = field(default_factory=dict)
    drop: Any = None
    _sessions: dict[str, Any] = field(default_factory=dict)

    def client(self, role: str) -> Client:
        """A browser with nothing but the role's session in it."""
        client = Client()
        if role != "stranger":
            if role not in self._sessions:
                client.force_login(User.objects.get(id=self.users[role]))
                self._sessions[role] = client.cookies
            client.cookies.update(self._sessions[role])
        return client


def build_world(*, formats: Collection[str] = ("rally", "english", "dutch")) -> World:
    """With sales of these formats beside the drops: they take a while to make."""
    now = clock.now()
    world = World()
    world.users = {role: shop.make_fan() for role in ROLES if role not in ("stranger", "buyer", "staff")}
    world.users["buyer"] = shop.make_fan(funds=50_000)
    world.users["staff"] = accounts.register_verified(email="staff@example.org", password=None, is_staff=True)
    User.objects.filter(id=world.users["staff without rights"]).update(is_staff=True)
    world.client("banned")  # has a session
    bans.ban(user_id=world.users["banned"], staff_id=world.users["staff"], reason="Bots", now=now)
    seller = shop.make_seller(handle="northlight", owner_id=world.users["owner"])
    shop.make_seller(handle="kiln-nine", owner_id=world.users["other seller"])
    for role in (Role.VIEWER, Role.MANAGER):
        sellers.set_member(seller_id=seller.id, user_id=world.users[role.value], role=role)
    world.drop = shop.make_drop(seller=seller, units_total=50, hold_s=600, cancel_s=600, now=now)
    prover.prove_now(world.drop.sale)
    draft = drops.draft_drop(**shop.drop_terms(seller=seller, now=now))
    buyer = world.users["buyer"]
    top_up = payments.start_top_up(top_up_id=uuid7(), user_id=buyer, amount=Money(500, "EUR"), now=now)
    world.things = {
        "handle": seller.handle, "sale_id": world.drop.sale_id, "draft_id": draft.sale_id, "currency": "EUR",
        "order_id": shop.buy(world.drop, buyer, at=now).id, "held_id": shop.buy(world.drop, buyer, hold=True, at=now).id,
        "picture_id": shop.make_picture(draft).id, "name": "640.webp", "place": "logo",
        "top_up_id": top_up.id, "number": 1, "mail": "none", "language": "de", "things": "orders",
        "joins": "joins", "kind": "csv", "what": "buyers",
        "upcoming_id": shop.make_drop(seller=seller, opens_at=now + shop.HOUR, closes_at=now + 2 * shop.HOUR, now=now).sale_id,
    }  # fmt: skip
    world.things |= {"wins": "wins", "claims": "claims"}
    world.things["user_id"] = world.users["fan"]
    world.things["key_id"] = uuid7()
    api_keys.make(
        key_id=world.things["key_id"], seller_id=seller.id, name="A system", scope=KeyScope.READ, expires_at=None,
        made_by=world.users["owner"], now=now,
    )  # fmt: skip
    product = products.add(product_id=uuid7(), seller_id=seller.id, title="A lamp", story="", now=now)
    world.things["product_id"] = product.id
    world.things["product_picture_id"] = shop.make_picture(draft, place=Placed.Place.PRODUCT, owner_id=product.id).id
    invited = User.objects.get(id=world.users["fan"]).email
    world.things["invitation_id"] = joining.invite(
        invitation_id=uuid7(), seller_id=seller.id, email=invited, role=Role.VIEWER, by=world.users["owner"], now=now
    ).id
    world.things["member_id"] = Member.objects.get(user_id=world.users["viewer"]).id
    if "rally" in formats:
        world.things |= build_rallies(seller, buyer, now)
    if "english" in formats:
        world.things |= build_auctions(seller, buyer, now)
    if "dutch" in formats:
        world.things |= build_dutch(seller, buyer, now)
    return world


def build_rallies(seller: Any, buyer: UUID, now: dt.datetime) -> dict[str, Any]:
    """A rally that the buyer is in, one that the buyer has paid in and bought of after its end, and a draft."""
    running = shop.make_rally(seller=seller, now=now)
    ended = shop.make_rally(seller=seller, cap_units=100, late_joins=True, now=now)
    paid = shop.join(ended, buyer, at=now)
    sales.close_sale_early(seller_id=seller.id, sale_id=ended.sale_id, now=now)
    while sales.settle_step(sale_id=ended.sale_id, now=now):
        pass  # ends: there is one join
    late = shop.join_late(ended, buyer, at=now)
    return {
        "rally_id": running.sale_id, "join_id": shop.join(running, buyer, at=now).id, "ended_id": ended.sale_id,
        "paid_join_id": paid.id, "late_id": late.id,
        "rally_draft_id": rallies.draft_rally(**shop.rally_terms(seller=seller, now=now)).sale_id,
    }  # fmt: skip


def build_auctions(seller: Any, buyer: UUID, now: dt.datetime) -> dict[str, Any]:
    """An auction that nobody has bid in, one that the buyer has won, and a draft."""
    running = shop.make_auction(seller=seller, now=now)
    won = shop.make_auction(seller=seller, buy_now_minor=2_000, now=now)
    auctions.place_bid(won.sale_id, shop.bid_request(buyer, None, at=now))
    now = shop.close_on_time(won.sale_id)
    sales.settle_step(sale_id=won.sale_id, now=now)
    return {
        "auction_id": running.sale_id, "won_id": won.sale_id, "win_id": Win.objects.get(sale_id=won.sale_id).id,
        "auction_draft_id": auctions.draft_english(**shop.auction_terms(seller=seller, now=clock.now())).sale_id,
    }  # fmt: skip


def build_dutch(seller: Any, buyer: UUID, now: dt.datetime) -> dict[str, Any]:
    """A falling price that nobody has claimed at, one that the buyer has, which is settled, and a draft."""
    prices = {"start_minor": 2_000, "floor_minor": 500, "step_minor": 100, "interval_s": 86_400}
    running = shop.make_dutch(seller=seller, now=now, **prices)
    claimed = shop.make_dutch(seller=seller, units_total=1, now=now, **prices)
    claim = dutch.place_claim(claimed.sale_id, shop.claim_request(buyer, 2_000, at=now))
    now = shop.close_on_time(claimed.sale_id)
    while sales.settle_step(sale_id=claimed.sale_id, now=now):
        pass  # ends: there is one claim
    return {
        "falling_id": running.sale_id, "claimed_id": claimed.sale_id, "claim_id": claim.id,
        "dutch_draft_id": dutch.draft_dutch(**shop.dutch_terms(seller=seller, now=clock.now())).sale_id,
    }  # fmt: skip


# The table


def public(method: str, path: str, **things: str) -> Row:
    return Row(method, path, who={}, stranger=200, other=200, things=things)


def api_of_user(method: str, path: str, status: int = 200, body: Any = None) -> Row:
    """About the one who asks: everybody has their own."""
    return Row(method, path, who={}, stranger=401, other=status, body=body)


def api_of_buyer(method: str, path: str, **things: str) -> Row:
    return Row(method, path, who={"buyer": 200}, stranger=401, other=404, things=things)


def api_of_members(method: str, path: str, **things: str) -> Row:
    who = dict.fromkeys(["viewer", "manager", "owner"], 200)
    return Row(method, path, who=who, stranger=401, other=404, things=things)


def api_of_editors(method: str, path: str, status: int = 200, body: Any = None, **things: str) -> Row:
    who = {"viewer": 403, "manager": status, "owner": status}
    return Row(method, path, who=who, stranger=401, other=404, body=body, things=things)


def page_of_user(method: str, path: str, status: Any = 200, body: Any = None, **things: str) -> Row:
    return Row(method, path, who={}, stranger=LOGIN, other=status, body=body, things=things)


def page_of_buyer(method: str, path: str, status: Any = 200, body: Any = None, **things: str) -> Row:
    return Row(method, path, who={"buyer": status}, stranger=LOGIN, other=404, body=body, things=things)


def page_of_members(method: str, path: str, **things: str) -> Row:
    who = dict.fromkeys(["viewer", "manager", "owner"], 200)
    return Row(method, path, who=who, stranger=LOGIN, other=404, things=things)


def page_of_owners(method: str, path: str, status: Any = 200, body: Any = None) -> Row:
    who = {"owner": status, "manager": 403, "viewer": 403}
    return Row(method, path, who=who, stranger=LOGIN, other=404, body=body)


def page_of_editors(method: str, path: str, status: Any = 200, body: Any = None, **things: str) -> Row:
    who = {"viewer": 403, "manager": status, "owner": status}
    return Row(method, path, who=who, stranger=LOGIN, other=404, body=body, things=things)


def page_of_staff(method: str, path: str, status: Any = 200, body: Any = None, **things: str) -> Row:
    return Row(method, path, who={"staff": status}, stranger=LOGIN, other=403, body=body, things=things)


def drop_body(world: World) -> dict[str, Any]:
    now = clock.now()
    return {
        "sale_id": str(uuid7()), "title": "A print", "price_minor": 100, "units_total": 1, "opens_at": now.isoformat(),
        "closes_at": (now + shop.HOUR).isoformat(),
    }  # fmt: skip


def drop_form(world: World) -> dict[str, Any]:
    closes_at = (clock.now() + dt.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    return {
        "sale_id": str(uuid7()), "title": "A print", "price": "1.00", "currency": "EUR", "units_total": "1",
        "hold_minutes": "0", "give_back_minutes": "0", "opens": "now", "closes_at": closes_at,
    }  # fmt: skip


def product_form(world: World) -> dict[str, Any]:
    return {"product_id": str(uuid7()), "title": "A lamp", "story": "", "format": "drop"}


def key_form(world: World) -> dict[str, Any]:
    return {"key_id": str(uuid7()), "name": "A system", "scope": "read", "days": ""}


def rally_body(world: World) -> dict[str, Any]:
    now = clock.now()
    return {
        "sale_id": str(uuid7()), "title": "A lamp", "tiers": [{"from_count": 1, "price_minor": 100}],
        "opens_at": now.isoformat(), "closes_at": (now + shop.HOUR).isoformat(),
    }  # fmt: skip


def drop_change(world: World) -> dict[str, Any]:
    return drop_body(world) | {"sale_id": str(world.things["draft_id"])}


def rally_change(world: World) -> dict[str, Any]:
    return rally_body(world) | {"sale_id": str(world.things["rally_draft_id"])}


def rally_form(world: World) -> dict[str, Any]:
    closes_at = (clock.now() + dt.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    return {
        "sale_id": str(uuid7()), "title": "A lamp", "currency": "EUR", "rows": "2", "tier_price_0": "2.00",
        "tier_count_1": "3", "tier_price_1": "1.00", "basis": "joiners", "minimum": "1", "limit_per_fan": "1",
        "audience": "everyone", "repeats_left": "0", "opens": "now", "closes_at": closes_at,
    }  # fmt: skip


def auction_body(world: World) -> dict[str, Any]:
    now = clock.now()
    return {
        "sale_id": str(uuid7()), "title": "A painting", "start_minor": 100, "steps": "0:100", "opens_at": now.isoformat(),
        "closes_at": (now + shop.HOUR).isoformat(),
    }  # fmt: skip


def auction_change(world: World) -> dict[str, Any]:
    return auction_body(world) | {"sale_id": str(world.things["auction_draft_id"])}


def auction_form(world: World) -> dict[str, Any]:
    closes_at = (clock.now() + dt.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    return {
        "sale_id": str(uuid7()), "title": "A painting", "start": "1.00", "currency": "EUR", "steps": "0:1", "reserve": "",
        "buy_now": "", "window_minutes": "3", "extension_minutes": "3", "overtime_minutes": "60", "premium_bps": "0",
        "opens": "now", "closes_at": closes_at,
    }  # fmt: skip


def dutch_body(world: World) -> dict[str, Any]:
    now = clock.now()
    return {
        "sale_id": str(uuid7()), "title": "A rug", "start_minor": 200, "floor_minor": 100, "step_minor": 10,
        "opens_at": now.isoformat(), "closes_at": (now + shop.HOUR).isoformat(),
    }  # fmt: skip


def dutch_change(world: World) -> dict[str, Any]:
    return dutch_body(world) | {"sale_id": str(world.things["dutch_draft_id"])}


def dutch_form(world: World) -> dict[str, Any]:
    closes_at = (clock.now() + dt.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    return {
        "sale_id": str(uuid7()), "title": "A rug", "start": "2.00", "floor": "1.00", "step": "0.10", "interval_s": "60",
        "currency": "EUR", "units_total": "1", "pays": "own", "premium_bps": "0", "opens": "now", "closes_at": closes_at,
    }  # fmt: skip


def claim_form(world: World) -> dict[str, Any]:
    return {"key": str(uuid7()), "at_most": "2000", "quantity": "1"}


def bid_form(world: World) -> dict[str, Any]:
    return {"key": str(uuid7()), "max": "10.00"}


def refund_body(world: World) -> dict[str, Any]:
    return {"amount_minor": shop.PRICE_MINOR}


def refund_form(world: World) -> dict[str, Any]:
    return {"number": "1", "amount": "10.00"}


def staff_refund_form(world: World) -> dict[str, Any]:
    return refund_form(world) | {"reason": "It never came"}


def purchase_form(world: World) -> dict[str, Any]:
    return {"key": str(uuid7()), "quantity": "1"}


def shop_form(world: World) -> dict[str, Any]:
    return {"seller_id": str(uuid7()), "name": "A shop", "handle": f"shop-{uuid7().hex[-12:]}"}


def invite_form(world: World) -> dict[str, Any]:
    return {"invitation_id": str(uuid7()), "email": "new@example.org", "role": "viewer"}


def top_up_form(world: World) -> dict[str, Any]:
    return {"top_up_id": str(uuid7()), "amount": "5.00", "currency": "EUR"}


ROWS = [
    public("GET", "/api/v1/openapi.json"),
    # a fan's own, by API
    api_of_user("GET", "/api/v1/orders"),
    api_of_buyer("GET", "/api/v1/orders/{order_id}"),
    api_of_buyer("POST", "/api/v1/orders/{order_id}/confirm", order_id="held_id"),
    api_of_buyer("POST", "/api/v1/orders/{order_id}/cancel"),
    api_of_user("GET", "/api/v1/wallet"),
    api_of_user("GET", "/api/v1/wallet/{currency}/statement"),
    api_of_user("POST", "/api/v1/top-ups", 201, lambda world: {"id": str(uuid7()), "amount_minor": 500}),
    # sales, by API
    public("GET", "/api/v1/sales"),
    public("GET", "/api/v1/sales/{sale_id}"),
    public("GET", "/api/v1/sales/{sale_id}/terms"),
    public("GET", "/api/v1/sales/{sale_id}/proof"),
    api_of_user("POST", "/api/v1/sales/{sale_id}/buy-token"),
    # a seller's drops, by API
    api_of_editors("POST", "/api/v1/sellers/{handle}/drops", 201, drop_body),
    api_of_members("GET", "/api/v1/sellers/{handle}/drops/{sale_id}"),
    api_of_members("GET", "/api/v1/sellers/{handle}/drops/{sale_id}/orders"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/drops/{sale_id}/publish", sale_id="draft_id"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/drops/{sale_id}/close"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/drops/{sale_id}/cancel"),
    api_of_editors(
        "PUT", "/api/v1/sellers/{handle}/drops/{sale_id}/orders/{id}/refunds/{number}", 200, refund_body, id="order_id"
    ),
    # a fan's own in rallies, by API. Everybody but the buyer has no money to buy late.
    api_of_user("GET", "/api/v1/rallies/joins"),
    api_of_user("GET", "/api/v1/rallies/late-joins"),
    api_of_buyer("GET", "/api/v1/rallies/{sale_id}/join", sale_id="rally_id"),
    api_of_buyer("GET", "/api/v1/rallies/{sale_id}/invited", sale_id="rally_id"),
    api_of_buyer("POST", "/api/v1/rallies/{sale_id}/leave", sale_id="rally_id"),
    Row(
        "POST", "/api/v1/rallies/{sale_id}/late-joins", who={"buyer": 200}, stranger=401, other=409,
        body=lambda world: {"id": str(uuid7())}, things={"sale_id": "ended_id"},
    ),
    # a seller's rallies, by API
    api_of_editors("POST", "/api/v1/sellers/{handle}/rallies", 201, rally_body),
    api_of_members("GET", "/api/v1/sellers/{handle}/rallies/{sale_id}", sale_id="rally_id"),
    api_of_members("GET", "/api/v1/sellers/{handle}/rallies/{sale_id}/joins", sale_id="rally_id"),
    api_of_members("GET", "/api/v1/sellers/{handle}/rallies/{sale_id}/late-joins", sale_id="ended_id"),
    api_of_editors(
        "PUT", "/api/v1/sellers/{handle}/rallies/{sale_id}/joins/{id}/refunds/{number}", 200, refund_body,
        sale_id="ended_id", id="paid_join_id",
    ),
    api_of_editors(
        "PUT", "/api/v1/sellers/{handle}/rallies/{sale_id}/late-joins/{id}/refunds/{number}", 200, refund_body,
        sale_id="ended_id", id="late_id",
    ),
    api_of_editors("POST", "/api/v1/sellers/{handle}/rallies/{sale_id}/publish", sale_id="rally_draft_id"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/rallies/{sale_id}/close", sale_id="rally_id"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/rallies/{sale_id}/cancel", sale_id="rally_id"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/joins/{join_id}/remove"),
    # auctions, by API
    public("GET", "/api/v1/auctions/{sale_id}/log", sale_id="auction_id"),
    api_of_user("GET", "/api/v1/auctions/wins"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/auctions", 201, auction_body),
    api_of_members("GET", "/api/v1/sellers/{handle}/auctions/{sale_id}", sale_id="auction_id"),
    api_of_members("GET", "/api/v1/sellers/{handle}/auctions/{sale_id}/wins", sale_id="won_id"),
    api_of_editors(
        "PUT", "/api/v1/sellers/{handle}/auctions/{sale_id}/wins/{id}/refunds/{number}", 200, refund_body, sale_id="won_id",
        id="win_id",
    ),
    api_of_editors("POST", "/api/v1/sellers/{handle}/auctions/{sale_id}/publish", sale_id="auction_draft_id"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/auctions/{sale_id}/close", sale_id="auction_id"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/auctions/{sale_id}/cancel", sale_id="auction_id"),
    api_of_editors("PUT", "/api/v1/sellers/{handle}/auctions/{sale_id}", body=auction_change, sale_id="auction_draft_id"),
    Row("POST", "/api/v1/auctions/{sale_id}/bids", who={}, stranger=401, other=401, things={"sale_id": "auction_id"}),
    # falling prices, by API
    api_of_user("GET", "/api/v1/auctions/claims"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/falling-prices", 201, dutch_body),
    api_of_members("GET", "/api/v1/sellers/{handle}/falling-prices/{sale_id}", sale_id="falling_id"),
    api_of_members("GET", "/api/v1/sellers/{handle}/falling-prices/{sale_id}/claims", sale_id="claimed_id"),
    api_of_editors(
        "PUT", "/api/v1/sellers/{handle}/falling-prices/{sale_id}/claims/{id}/refunds/{number}", 200, refund_body,
        sale_id="claimed_id", id="claim_id",
    ),
    api_of_editors("POST", "/api/v1/sellers/{handle}/falling-prices/{sale_id}/publish", sale_id="dutch_draft_id"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/falling-prices/{sale_id}/close", sale_id="falling_id"),
    api_of_editors("POST", "/api/v1/sellers/{handle}/falling-prices/{sale_id}/cancel", sale_id="falling_id"),
    api_of_editors("PUT", "/api/v1/sellers/{handle}/falling-prices/{sale_id}", body=dutch_change, sale_id="dutch_draft_id"),
    Row("POST", "/api/v1/auctions/{sale_id}/claims", who={}, stranger=401, other=401, things={"sale_id": "falling_id"}),
    # the lean layer. It knows no sessions: who buys shows a token, and a cookie counts for nothing.
    Row("POST", "/api/v1/drops/{sale_id}/orders", who={}, stranger=401, other=401),
    Row("POST", "/api/v1/rallies/{sale_id}/joins", who={}, stranger=401, other=401, things={"sale_id": "rally_id"}),
    public("GET", "/api/v1/sales/{sale_id}/frame"),
    public("GET", "/live/{sale_id}/"),
    public("GET", "/healthz"),
    public("GET", "/readyz"),
    public("GET", "/metrics"),  # in production behind a token
    Row("SOCKET", "/ws/sales/{sale_id}/", who={}, stranger=SOCKET, other=SOCKET),
    # public pages
    public("GET", "/robots.txt"),
    public("GET", "/sitemap.xml"),
    public("GET", "/dev/parts/"),  # the same
    public("GET", "/dev/mail/"),  # on one machine; in production there is no such page
    Row("GET", "/dev/mail/{mail}/", who={}, stranger=404, other=404),
    Row("GET", "/favicon.ico", who={}, stranger=MOVED, other=MOVED),
    Row("GET", "/.well-known/security.txt", who={}, stranger=404, other=404),  # nobody is named here
    Row("GET", "/.well-known/change-password", who={}, stranger=MOVED, other=MOVED),
    public("GET", "/"),
    public("GET", "/s/{handle}/"),
    public("GET", "/s/{handle}/theme.css"),
    public("GET", "/live-cards/"),
    public("GET", "/sales/{sale_id}/calendar.ics"),
    Row("POST", "/appearance/", who={}, stranger=MOVED, other=MOVED),
    Row("POST", "/language/", who={}, stranger=MOVED, other=MOVED),
    public("GET", "/words/{language}/"),
    Row("GET", "/media/pictures/{picture_id}/{name}", who={}, stranger=404, other=404),  # its file is not made yet
    public("GET", "/sales/{sale_id}/"),
    public("GET", "/sales/{sale_id}/terms/"),
    public("GET", "/proof/"),
    public("GET", "/proof/{sale_id}/"),
    Row("POST", "/proof/{sale_id}/again/", who={}, stranger=MOVED, other=MOVED),
    # a fan's own pages
    page_of_user("GET", "/sales/{sale_id}/buy/", MOVED),
    # Everybody but the buyer has no money, and is told so on the page.
    Row(
        "POST", "/sales/{sale_id}/buy/", who={"buyer": MOVED}, stranger=LOGIN, other=409,
        body=lambda world: {"key": str(uuid7()), "quantity": "1"},
    ),
    page_of_user("GET", "/things/"),
    page_of_buyer("GET", "/things/{id}/receipt.pdf", id="order_id"),
    page_of_user("GET", "/s/{handle}/follow/", MOVED),
    page_of_user("POST", "/s/{handle}/follow/", MOVED),
    page_of_user("GET", "/s/{handle}/follow/not/", MOVED),
    page_of_user("POST", "/s/{handle}/follow/not/", MOVED),
    page_of_user("GET", "/orders/"),
    page_of_buyer("GET", "/orders/{id}/", id="order_id"),
    page_of_user("GET", "/orders/{id}/confirm/", MOVED, id="order_id"),
    page_of_buyer("POST", "/orders/{id}/confirm/", MOVED, id="held_id"),
    page_of_user("GET", "/orders/{id}/give-back/", MOVED, id="order_id"),
    page_of_buyer("POST", "/orders/{id}/give-back/", MOVED, id="order_id"),
    page_of_user("GET", "/sales/{sale_id}/join/", MOVED, sale_id="rally_id"),
    Row(
        "POST", "/sales/{sale_id}/join/", who={"buyer": MOVED}, stranger=LOGIN, other=409, body=purchase_form,
        things={"sale_id": "rally_id"},
    ),
    page_of_user("GET", "/sales/{sale_id}/leave/", MOVED, sale_id="rally_id"),
    page_of_buyer("POST", "/sales/{sale_id}/leave/", MOVED, sale_id="rally_id"),
    page_of_user("GET", "/sales/{sale_id}/join-late/", MOVED, sale_id="ended_id"),
    Row(
        "POST", "/sales/{sale_id}/join-late/", who={"buyer": MOVED}, stranger=LOGIN, other=409, body=purchase_form,
        things={"sale_id": "ended_id"},
    ),
    page_of_user("GET", "/rallies/"),
    page_of_buyer("GET", "/rallies/joins/{id}/", id="join_id"),
    page_of_buyer("GET", "/rallies/late-joins/{id}/", id="late_id"),
    page_of_user("GET", "/auctions/claims/"),
    page_of_buyer("GET", "/auctions/claims/{id}/", id="claim_id"),
    page_of_user("GET", "/sales/{sale_id}/claim/", MOVED, sale_id="falling_id"),
    Row(
        "POST", "/sales/{sale_id}/claim/", who={"buyer": MOVED, "viewer": 403, "manager": 403, "owner": 403}, stranger=LOGIN,
        other=409, body=claim_form, things={"sale_id": "falling_id"},
    ),
    page_of_user("GET", "/auctions/won/"),
    page_of_buyer("GET", "/auctions/won/{id}/", id="win_id"),
    page_of_user("GET", "/sales/{sale_id}/bid/", MOVED, sale_id="auction_id"),
    # Everybody but the buyer has no money; who is of the shop, or staff without any, is refused as well.
    Row(
        "POST", "/sales/{sale_id}/bid/", who={"buyer": MOVED, "viewer": 403, "manager": 403, "owner": 403}, stranger=LOGIN,
        other=409, body=bid_form, things={"sale_id": "auction_id"},
    ),
    page_of_user("GET", "/wallet/"),
    page_of_user("GET", "/pay/"),
    page_of_user("POST", "/pay/", MOVED, top_up_form),
    page_of_buyer("GET", "/pay/simulated/{top_up_id}/"),
    page_of_buyer("POST", "/pay/simulated/{top_up_id}/", MOVED, lambda world: {"answer": "pay"}),
    page_of_user("GET", "/sales/{sale_id}/remind/", MOVED),
    page_of_user("POST", "/sales/{sale_id}/remind/", MOVED, sale_id="upcoming_id"),
    page_of_user("GET", "/sales/{sale_id}/remind/not/", MOVED),
    page_of_user("POST", "/sales/{sale_id}/remind/not/", MOVED),
    page_of_user("GET", "/account/close/"),  # whoever has a password is asked for it first
    page_of_user("GET", "/account/export/"),
    page_of_user("GET", "/account/notifications/"),
    page_of_user("POST", "/account/notifications/", MOVED, lambda world: {"mail": "sales"}),
    page_of_user("GET", "/account/"),
    page_of_user("POST", "/account/", MOVED, lambda world: {"display_name": "Somebody"}),
    page_of_user("GET", "/account/notifications/newest/"),
    # a seller's pages
    page_of_user("GET", "/sell/"),
    page_of_user("POST", "/sell/", MOVED, shop_form),
    page_of_members("GET", "/sell/{handle}/"),
    page_of_members("GET", "/sell/{handle}/money/"),
    page_of_members("GET", "/sell/{handle}/members/"),
    page_of_owners("POST", "/sell/{handle}/members/", MOVED, invite_form),
    page_of_owners("POST", "/sell/{handle}/members/{member_id}/", MOVED, lambda world: {"role": "viewer"}),
    page_of_owners("POST", "/sell/{handle}/invitations/{invitation_id}/", MOVED),
    page_of_user("GET", "/sell/join/{invitation_id}/"),
    Row("POST", "/sell/join/{invitation_id}/", who={"fan": MOVED}, stranger=LOGIN, other=409),
    page_of_owners("POST", "/sell/{handle}/ask/", MOVED),
    page_of_staff("GET", "/staff/search/"),
    page_of_staff("GET", "/staff/fans/{user_id}/"),
    page_of_staff("POST", "/staff/fans/{user_id}/", MOVED, lambda world: {"act": "turn_out", "reason": "Bots"}),
    page_of_staff("GET", "/staff/purchases/{sale_id}/{purchase_id}/", purchase_id="order_id"),
    page_of_staff("POST", "/staff/purchases/{sale_id}/{purchase_id}/", MOVED, staff_refund_form, purchase_id="order_id"),
    page_of_members("GET", "/sell/{handle}/brand/"),
    page_of_editors("POST", "/sell/{handle}/brand/", MOVED, lambda world: {"name": "N", "about": "", "hue": "10", "chroma": "5"}),
    page_of_editors("GET", "/sell/{handle}/launch/"),
    api_of_members("GET", "/api/v1/sellers/{handle}/sales"),
    api_of_members("GET", "/api/v1/sellers/{handle}/proceeds"),
    page_of_members("GET", "/sell/{handle}/growth/"),
    page_of_members("GET", "/sell/{handle}/growth/{what}/{kind}/"),
    page_of_members("GET", "/sell/{handle}/keys/"),
    page_of_owners("POST", "/sell/{handle}/keys/", 200, key_form),
    page_of_owners("POST", "/sell/{handle}/keys/{key_id}/revoke/", MOVED),
    page_of_members("GET", "/sell/{handle}/log/"),
    page_of_members("GET", "/sell/{handle}/followers/"),
    page_of_members("GET", "/sell/{handle}/products/"),
    page_of_editors("POST", "/pictures/{handle}/products/", MOVED, product_form),
    page_of_members("GET", "/sell/{handle}/products/{product_id}/"),
    page_of_editors("POST", "/sell/{handle}/products/{product_id}/", MOVED, lambda world: {"title": "A lamp", "story": ""}),
    page_of_editors("POST", "/sell/{handle}/products/{product_id}/away/", MOVED),
    page_of_editors("POST", "/pictures/{handle}/products/{product_id}/", MOVED),
    page_of_editors("POST", "/pictures/{handle}/products/{product_id}/{picture_id}/away/", MOVED),
    page_of_editors("POST", "/pictures/{handle}/products/{product_id}/{picture_id}/first/", MOVED, picture_id="product_picture_id"),
    page_of_editors("GET", "/sell/{handle}/drops/{sale_id}/preview/", sale_id="draft_id"),
    page_of_editors("GET", "/sell/{handle}/rallies/{sale_id}/preview/", sale_id="rally_draft_id"),
    page_of_editors("POST", "/pictures/{handle}/{place}/", MOVED),
    page_of_editors("POST", "/pictures/{handle}/{sale_id}/", MOVED, sale_id="draft_id"),
    page_of_editors("POST", "/pictures/{handle}/{sale_id}/{picture_id}/away/", MOVED, sale_id="draft_id"),
    page_of_editors("POST", "/pictures/{handle}/{sale_id}/{picture_id}/first/", MOVED, sale_id="draft_id"),
    page_of_members("GET", "/sell/{handle}/drops/{sale_id}/"),
    page_of_editors("GET", "/sell/{handle}/drops/new/"),
    page_of_editors("POST", "/sell/{handle}/drops/new/", MOVED, drop_form),
    page_of_user("GET", "/sell/{handle}/drops/{sale_id}/publish/", MOVED),
    page_of_editors("POST", "/sell/{handle}/drops/{sale_id}/publish/", MOVED, sale_id="draft_id"),
    page_of_editors("GET", "/sell/{handle}/drops/{sale_id}/close/"),
    page_of_editors("POST", "/sell/{handle}/drops/{sale_id}/close/", MOVED),
    page_of_editors("GET", "/sell/{handle}/drops/{sale_id}/cancel/"),
    page_of_editors("POST", "/sell/{handle}/drops/{sale_id}/cancel/", MOVED),
    page_of_members("GET", "/sell/{handle}/rallies/{sale_id}/", sale_id="rally_id"),
    page_of_editors("GET", "/sell/{handle}/rallies/new/"),
    page_of_editors("POST", "/sell/{handle}/rallies/new/", MOVED, rally_form),
    page_of_user("GET", "/sell/{handle}/rallies/{sale_id}/publish/", MOVED, sale_id="rally_draft_id"),
    page_of_editors("POST", "/sell/{handle}/rallies/{sale_id}/publish/", MOVED, sale_id="rally_draft_id"),
    page_of_editors("GET", "/sell/{handle}/rallies/{sale_id}/close/", sale_id="rally_id"),
    page_of_editors("POST", "/sell/{handle}/rallies/{sale_id}/close/", MOVED, sale_id="rally_id"),
    page_of_editors("GET", "/sell/{handle}/rallies/{sale_id}/cancel/", sale_id="rally_id"),
    page_of_editors("POST", "/sell/{handle}/rallies/{sale_id}/cancel/", MOVED, sale_id="rally_id"),
    page_of_members("GET", "/sell/{handle}/falling-prices/{sale_id}/", sale_id="falling_id"),
    page_of_editors("GET", "/sell/{handle}/falling-prices/new/"),
    page_of_editors("POST", "/sell/{handle}/falling-prices/new/", MOVED, dutch_form),
    page_of_editors("GET", "/sell/{handle}/falling-prices/{sale_id}/preview/", sale_id="dutch_draft_id"),
    page_of_user("GET", "/sell/{handle}/falling-prices/{sale_id}/publish/", MOVED, sale_id="dutch_draft_id"),
    page_of_editors("POST", "/sell/{handle}/falling-prices/{sale_id}/publish/", MOVED, sale_id="dutch_draft_id"),
    page_of_editors("GET", "/sell/{handle}/falling-prices/{sale_id}/close/", sale_id="falling_id"),
    page_of_editors("POST", "/sell/{handle}/falling-prices/{sale_id}/close/", MOVED, sale_id="falling_id"),
    page_of_editors("GET", "/sell/{handle}/falling-prices/{sale_id}/cancel/", sale_id="falling_id"),
    page_of_editors("POST", "/sell/{handle}/falling-prices/{sale_id}/cancel/", MOVED, sale_id="falling_id"),
    page_of_editors("GET", "/sell/{handle}/falling-prices/{sale_id}/edit/", sale_id="dutch_draft_id"),
    page_of_editors("POST", "/sell/{handle}/falling-prices/{sale_id}/edit/", 422, dutch_form, sale_id="dutch_draft_id"),
    page_of_editors("GET", "/sell/{handle}/falling-prices/{sale_id}/copy/", sale_id="falling_id"),
    page_of_members(
        "GET", "/sell/{handle}/falling-prices/{sale_id}/export/{things}/{kind}/", sale_id="claimed_id", things="claims"
    ),
    page_of_members(
        "GET", "/sell/{handle}/falling-prices/{sale_id}/claims/{purchase_id}/", sale_id="claimed_id", purchase_id="claim_id"
    ),
    page_of_editors(
        "POST", "/sell/{handle}/falling-prices/{sale_id}/claims/{purchase_id}/", MOVED, refund_form, sale_id="claimed_id",
        purchase_id="claim_id",
    ),
    page_of_members("GET", "/sell/{handle}/auctions/{sale_id}/", sale_id="auction_id"),
    page_of_editors("GET", "/sell/{handle}/auctions/new/"),
    page_of_editors("POST", "/sell/{handle}/auctions/new/", MOVED, auction_form),
    page_of_editors("GET", "/sell/{handle}/auctions/{sale_id}/preview/", sale_id="auction_draft_id"),
    page_of_user("GET", "/sell/{handle}/auctions/{sale_id}/publish/", MOVED, sale_id="auction_draft_id"),
    page_of_editors("POST", "/sell/{handle}/auctions/{sale_id}/publish/", MOVED, sale_id="auction_draft_id"),
    page_of_editors("GET", "/sell/{handle}/auctions/{sale_id}/close/", sale_id="auction_id"),
    page_of_editors("POST", "/sell/{handle}/auctions/{sale_id}/close/", MOVED, sale_id="auction_id"),
    page_of_editors("GET", "/sell/{handle}/auctions/{sale_id}/cancel/", sale_id="auction_id"),
    page_of_editors("POST", "/sell/{handle}/auctions/{sale_id}/cancel/", MOVED, sale_id="auction_id"),
    page_of_editors("GET", "/sell/{handle}/auctions/{sale_id}/edit/", sale_id="auction_draft_id"),
    page_of_editors("POST", "/sell/{handle}/auctions/{sale_id}/edit/", 422, auction_form, sale_id="auction_draft_id"),
    page_of_editors("GET", "/sell/{handle}/auctions/{sale_id}/copy/", sale_id="auction_id"),
    page_of_members("GET", "/sell/{handle}/auctions/{sale_id}/export/{things}/{kind}/", sale_id="won_id", things="wins"),
    page_of_members("GET", "/sell/{handle}/auctions/{sale_id}/wins/{purchase_id}/", sale_id="won_id", purchase_id="win_id"),
    page_of_editors(
        "POST", "/sell/{handle}/auctions/{sale_id}/wins/{purchase_id}/", MOVED, refund_form, sale_id="won_id",
        purchase_id="win_id",
    ),
    page_of_editors("GET", "/sell/{handle}/joins/{join_id}/remove/"),
    page_of_editors("POST", "/sell/{handle}/joins/{join_id}/remove/", MOVED),
    page_of_members("GET", "/sell/{handle}/drops/{sale_id}/orders/{purchase_id}/", purchase_id="order_id"),
    page_of_editors("GET", "/sell/{handle}/drops/{sale_id}/edit/", sale_id="draft_id"),
    page_of_editors(
        "POST", "/sell/{handle}/drops/{sale_id}/edit/", 422, drop_form, sale_id="draft_id"
    ),  # says nothing of the draft that it changes
    page_of_editors("POST", "/sell/{handle}/rallies/{sale_id}/edit/", 422, rally_form, sale_id="rally_draft_id"),
    page_of_editors("GET", "/sell/{handle}/drops/{sale_id}/copy/"),
    page_of_editors("GET", "/sell/{handle}/rallies/{sale_id}/edit/", sale_id="rally_draft_id"),
    page_of_editors("GET", "/sell/{handle}/rallies/{sale_id}/copy/", sale_id="rally_id"),
    api_of_editors("PUT", "/api/v1/sellers/{handle}/drops/{sale_id}", body=drop_change, sale_id="draft_id"),
    api_of_editors("PUT", "/api/v1/sellers/{handle}/rallies/{sale_id}", body=rally_change, sale_id="rally_draft_id"),
    page_of_members("GET", "/sell/{handle}/drops/{sale_id}/export/{things}/{kind}/"),
    page_of_members("GET", "/sell/{handle}/rallies/{sale_id}/export/{things}/{kind}/", sale_id="rally_id", things="joins"),
    page_of_editors(
        "POST", "/sell/{handle}/drops/{sale_id}/orders/{purchase_id}/", MOVED, refund_form, purchase_id="order_id"
    ),
    page_of_members(
        "GET", "/sell/{handle}/rallies/{sale_id}/joins/{purchase_id}/", sale_id="ended_id", purchase_id="paid_join_id"
    ),
    page_of_editors(
        "POST", "/sell/{handle}/rallies/{sale_id}/joins/{purchase_id}/", MOVED, refund_form, sale_id="ended_id",
        purchase_id="paid_join_id",
    ),
]  # fmt: skip

# What allauth mounts; it has its own rules. A path that is new here wants a look first.
ALLAUTH = {
    "signup/", "login/", "logout/", "inactive/", "email/", "confirm-email/", "password/change/", "password/set/",
    "password/reset/", "password/reset/done/", "password/reset/key/done/", "reauthenticate/", "login/code/", "login/code/confirm/",
    "sessions/", "2fa/", "2fa/authenticate/", "2fa/reauthenticate/", "2fa/totp/activate/", "2fa/totp/deactivate/",
    "2fa/recovery-codes/", "2fa/recovery-codes/download/", "2fa/recovery-codes/generate/", "2fa/webauthn/", "2fa/webauthn/add/",
    "2fa/webauthn/login/", "2fa/webauthn/reauthenticate/", "2fa/webauthn/keys/<int:pk>/edit/", "2fa/webauthn/keys/<int:pk>/remove/",
    r"^confirm-email/(?P<key>[-:\w]+)/$", r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
}  # fmt: skip


# Every operation has a row


def missing_rows(found: set[Operation]) -> set[Operation]:
    """Operations that no row speaks of. A page needs one row at least: it decides about methods itself."""
    rows = {Operation(row.method, row.path) for row in ROWS}
    pages = {Operation("PAGE", row.path) for row in ROWS if row.method in ("GET", "POST")}
    return found - rows - pages


def test_every_operation_has_a_row():
    found = operations.all_operations()

    assert missing_rows(found) == set()
    assert {row.path for row in ROWS} - {operation.path for operation in found} == set(), "rows of what is gone"
    assert len(found) > 40


def test_an_operation_without_a_row_is_noticed():
    router = Router()
    router.post("/{uuid:sale_id}/give-away")(lambda request, sale_id: None)
    api = NinjaAPI(urls_namespace="with one more")
    api.add_router("/sales", router)

    class Resolver:
        url_patterns = [path("", include([path("sales/<uuid:sale_id>/secrets/", lambda request: None)]))]

    unspoken = missing_rows({*operations.api_operations(api), *operations.pages(Resolver())})

    assert unspoken == {
        Operation("POST", "/api/v1/sales/{sale_id}/give-away"), Operation("PAGE", "/sales/{sale_id}/secrets/"),
    }  # fmt: skip


def test_what_is_mounted_is_known():
    assert operations.family_paths("accounts/") == ALLAUTH
    assert set(FAMILIES) == {"accounts/", "staff/"}


# Every cell is as tabled

THINGS_OF = {
    "rally": {"rally_id", "join_id", "ended_id", "paid_join_id", "late_id", "rally_draft_id"},
    "english": {"auction_id", "won_id", "win_id", "auction_draft_id"},
    "dutch": {"falling_id", "claimed_id", "claim_id", "dutch_draft_id"},
}
SALES = [
    "sale_id",
    "draft_id",
    "rally_id",
    "ended_id",
    "rally_draft_id",
    "auction_id",
    "won_id",
    "auction_draft_id",
    "falling_id",
    "claimed_id",
    "dutch_draft_id",
]


def test_reading():
    """All rows that change nothing, in one world."""
    world = build_world()
    before = [picture(world.things[name]) for name in SALES]
    rows = [row for row in ROWS if row.method in ("GET", "SOCKET")]

    assert mismatches(rows, world) == []
    assert [picture(world.things[name]) for name in SALES] == before


@pytest.mark.parametrize("row", [row for row in ROWS if row.method in ("POST", "PUT")], ids=lambda row: row.path)
def test_writing(row):
    """Those who may not come first, and must have moved nothing; those who may come after them, and repeat each other."""
    world = build_world(formats=spoken_of(row))
    things = [world.things[name] for name in SALES if name in world.things]
    before = [picture(sale_id) for sale_id in things]
    allowed = [role for role in ROLES if row.expected(role) in (200, 201, MOVED)]

    assert mismatches([row], world, [role for role in ROLES if role not in allowed]) == []
    assert [picture(sale_id) for sale_id in things] == before
    assert mismatches([row], world, allowed) == []


def is_editors(row: Row) -> bool:
    return row.method != "GET" and "{handle}" in row.path and row.who.get("owner") not in (None, 404)


@pytest.mark.parametrize("row", [row for row in ROWS if is_editors(row)], ids=lambda row: row.path)
def test_the_members_of_a_shop_that_is_off_change_nothing(row):
    """They may look. What is closed or called off needs staff, who switched it off."""
    world = build_world(formats=spoken_of(row))
    levers.switch_shop_off(
        seller_id=world.drop.sale.seller_id, staff_id=world.users["staff"], reason="A doubt", now=clock.now()
    )
    things = [world.things[name] for name in SALES if name in world.things]
    before = [picture(sale_id) for sale_id in things]

    assert ask(row, "owner", world).status in (403, 404, 409)
    assert [picture(sale_id) for sale_id in things] == before


def spoken_of(row: Row) -> list[str]:
    """The formats beside drops whose sales this row is about."""
    named = {*row.things.values(), *re.findall(r"{(\w+)}", row.path)}
    return [format for format, things in THINGS_OF.items() if not things.isdisjoint(named)]


def mismatches(rows: list[Row], world: World, roles: list[str] = ROLES) -> list[str]:
    found = []
    for row in rows:
        for role in roles:
            answer = ask(row, role, world)
            if answer.status != row.expected(role):
                found.append(f"{row.method} {row.path} as {role}: {answer.status}, not {row.expected(role)}")
            if answer.status == 404:
                found += difference_from_missing(row, role, world, answer)
            found += leaks(row, role, world, answer)
    return found


def difference_from_missing(row: Row, role: str, world: World, answer: Answer) -> list[str]:
    """Ask for the same under ids and a shop that do not exist: the answers must be the same, byte for byte."""
    found = []
    for name in set(re.findall(r"{(\w+)}", row.path)) - {"number", "things", "kind", "what", "mail", "name"}:
        missing = ask(row, role, world, instead={name: "no-such-shop" if name == "handle" else uuid7()})
        if (missing.status, missing.body) != (answer.status, answer.body):
            found.append(f"{row.method} {row.path} as {role}: a missing {name} answers otherwise")
    return found


def leaks(row: Row, role: str, world: World, answer: Answer) -> list[str]:
    """The buyer's orders and joins, and drafts, are named to nobody else but the shop's members."""
    drafts = {"draft_id", "rally_draft_id", "auction_draft_id", "dutch_draft_id"}
    secrets = {"order_id", "held_id", "join_id", "paid_join_id", "late_id", "win_id", "claim_id"} | drafts
    if role == "buyer":
        secrets = drafts
    elif role in ("viewer", "manager", "owner"):
        secrets = set()
    return [
        f"{row.method} {row.path} as {role} shows {name}"
        for name in secrets & world.things.keys()
        if str(world.things[name]) in answer.raw and f"{{{name}}}" not in row.path and name not in row.things.values()
    ]


# Asking


class Answer(NamedTuple):
    status: Any
    raw: str
    body: str  # without what differs from one answer to the next


def ask(row: Row, role: str, world: World, instead: dict[str, Any] | None = None) -> Answer:
    things = world.things | {name: world.things[other] for name, other in row.things.items()} | (instead or {})
    path = row.path.format(**things)
    client = world.client(role)
    if Operation(row.method, row.path) in LEAN:
        return ask_lean(row.method, path, client)
    body = row.body(world) if row.body else {}
    if row.method == "GET":
        response = client.get(path)
    elif path.startswith("/api/"):
        send = client.put if row.method == "PUT" else client.post
        response = send(path, json.dumps(body), content_type="application/json")
    else:
        response = client.post(path, body)
    body = (_streamed(response) if response.streaming else response.content).decode(errors="replace")
    return Answer(_status(response), body, _without_what_always_differs(body, things))


def _streamed(response: Any) -> bytes:
    async def read() -> bytes:
        return b"".join([part async for part in response.streaming_content])

    return async_to_sync(read)()


def _status(response: Any) -> Any:
    if response.status_code != 302:
        return response.status_code
    return LOGIN if response["Location"].startswith("/accounts/login/") else MOVED


IDS_IN_PATHS = (
    "handle", "sale_id", "order_id", "top_up_id", "join_id", "id", "purchase_id", "member_id", "invitation_id", "picture_id",
    "product_id", "key_id", "place",
)  # fmt: skip


def _without_what_always_differs(body: str, things: dict[str, Any]) -> str:
    """Without the ids that were asked for, tokens against forgery, and times."""
    body = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", body)
    body = re.sub(r'(content|value|data-now|datetime)="[^"]*\d{4}-\d\d-\d\dT[^"]*"', "", body)
    for name in IDS_IN_PATHS:
        body = body.replace(f"/{things.get(name)}/", "/…/")
    return body


LEAN = {*operations.lean_operations(), *operations.sockets()}


def ask_lean(method: str, path: str, client: Client) -> Answer:
    """Over ASGI, with the session's cookie, as a browser would send it."""
    from dropfront.asgi import application

    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"cookie", cookie.encode())]
    is_socket = method == "SOCKET"
    scope = {
        "type": "websocket" if is_socket else "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "scheme": "ws" if is_socket else "http", "client": ("127.0.0.1", 1),
        "server": ("localhost", 80), "http_version": "1.1", "root_path": "", "subprotocols": [], "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def first_answer() -> Answer:
        hub.fallback_read = read_frame_for_hub
        first = {"type": "websocket.connect"} if is_socket else {"type": "http.request", "body": b"{}"}
        incoming: asyncio.Queue[Any] = asyncio.Queue()
        incoming.put_nowait(first)
        sent: asyncio.Queue[Any] = asyncio.Queue()
        running = asyncio.create_task(application(scope, incoming.get, sent.put))
        try:
            start, message = await asyncio.wait_for(sent.get(), 10), None
            if start["type"] == "http.response.start":
                message = await asyncio.wait_for(sent.get(), 10)
        finally:
            incoming.put_nowait({"type": "websocket.disconnect" if is_socket else "http.disconnect", "code": 1000})
            await asyncio.wait([running], timeout=10)
            await hub.close()
            hub.fallback_read = None
        if is_socket:
            return Answer(SOCKET if start["type"] == "websocket.accept" else start["type"], "", "")
        body = (message or {}).get("body", b"").decode()
        return Answer(start["status"], body, body)

    return asyncio.run(first_answer())


# The families


STAFF_PAGES = [
    "", "accounts/user/", "auth/group/", "sales/sale/", "ledger/transfer/", "ledger/account/", "drops/order/", "drops/drop/",
    "rallies/rally/", "rallies/outcome/", "rallies/settlement/", "auctions/english/", "auctions/win/", "auctions/dutch/",
    "auctions/claim/", "auctions/dutchsettlement/",
    "payments/topup/", "sellers/seller/", "core/duework/", "password_change/", "jsi18n/", "autocomplete/",
]  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_staff_pages_are_for_staff(role):
    client = build_world().client(role)

    answers = {page: client.get(f"/staff/{page}").status_code for page in STAFF_PAGES}

    if role == "staff":
        assert {page: status for page, status in answers.items() if status != 200} == {"autocomplete/": 403}
    elif role == "staff without rights":
        assert {page for page, status in answers.items() if status == 200} <= {"", "password_change/", "jsi18n/"}, (
            answers
        )
        assert "have permission to view or edit anything" in client.get("/staff/").content.decode()
    else:
        assert set(answers.values()) <= {302, 403}, answers


def test_nobody_rewrites_the_books_not_even_staff():
    world = build_world()
    client = world.client("staff")
    before = picture(world.drop.sale_id)
    order_id = world.things["order_id"]

    for page in (f"drops/order/{order_id}/change/", f"drops/order/{order_id}/delete/", "ledger/transfer/add/"):
        assert client.post(f"/staff/{page}", {"state": "refunded", "post": "yes"}).status_code in (403, 404), page
    assert picture(world.drop.sale_id) == before


@pytest.mark.parametrize("path", sorted(path for path in ALLAUTH if not path.startswith("^") and "<" not in path))
def test_account_pages_answer_a_stranger(path):
    assert Client().get(f"/accounts/{path}").status_code in (200, 302)


def test_metrics_need_their_token_in_production(settings):
    settings.METRICS_TOKEN = "a token of its own"

    assert ask_lean("GET", "/metrics", Client()).status == 401
    settings.METRICS_TOKEN, settings.PRODUCTION = "", True
    assert ask_lean("GET", "/metrics", Client()).status == 401


def test_a_draft_is_missing_to_everybody_but_its_shop():
    world = build_world()
    draft_id = world.things["draft_id"]

    for url in ("/api/v1/sales/{}", "/api/v1/sales/{}/terms", "/api/v1/sales/{}/proof", "/sales/{}/", "/proof/{}/"):
        missing = Client().get(url.format(uuid7()))
        assert Client().get(url.format(draft_id)).status_code == missing.status_code == 404, url
    assert ask_lean("GET", f"/api/v1/sales/{draft_id}/frame", Client()).status == 404
