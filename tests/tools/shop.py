"""A small world to test in, made through the same services that sellers and fans use."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from accounts import services as accounts
from auctions.dutch import services as dutch
from auctions.dutch.state import ClaimValue, PlaceClaim
from auctions.english import services as english
from auctions.english.state import BidValue, PlaceBid
from auctions.models import Dutch, English
from core import clock
from core.ids import uuid7
from core.money import Money
from core.transactions import in_transaction
from drops import rules
from drops import services as drops
from drops.models import Drop
from drops.rules import OrderValue
from ledger import selectors as ledger_selectors
from ledger.rules import Balance
from pictures import services as pictures
from pictures.models import Picture, Placed
from rallies import services as rallies
from rallies import values
from rallies.models import Rally
from rallies.pricing import PriceTier
from rallies.values import JoinValue, LateJoinValue
from sales import levers, minting, refunds
from sales import services as sales
from sales.drafting import SaleDraft
from sales.formats import get_format
from sales.models import Sale
from sellers import services as sellers
from sellers.models import Seller

# Services are told the time, so most tests stand still at this second.
NOW = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
AFTER_THE_END = NOW + 2 * HOUR  # of what is sold for an hour
PRICE_MINOR = 1_000
TIERS = [PriceTier(1, 10_000), PriceTier(3, 8_000), PriceTier(5, 5_200)]


def make_seller(*, handle: str | None = None, owner_id: UUID | None = None, fee_bps: int = 500) -> Seller:
    """A shop with an owner."""
    seller_id = uuid7()
    seller = sellers.open_shop(
        seller_id=seller_id,
        owner_id=owner_id or make_fan(),
        handle=handle or f"shop-{seller_id.hex[-10:]}",
        name="A shop",
    )
    Seller.objects.filter(id=seller.id).update(fee_bps=fee_bps)
    seller.fee_bps = fee_bps
    return seller


def make_fan(*, funds: int = 0, currency: str = "EUR", now: dt.datetime = NOW) -> UUID:
    """A verified fan with `funds` minor units in the wallet; with none, the fan has no wallet yet."""
    if not funds:
        return accounts.register_verified(email=f"{uuid7().hex}@example.org", password=None)
    return make_fans(1, funds=funds, currency=currency, now=now)[0]


def make_fans(count: int, *, funds: int, currency: str = "EUR", now: dt.datetime = NOW) -> list[UUID]:
    chunks = minting.mint_fans(count=count, funds=Money(funds, currency), now=now)
    return [fan_id for chunk in chunks for fan_id in chunk]


def make_drop(*, seller: Seller | None = None, now: dt.datetime = NOW, **terms: Any) -> Drop:
    """A published drop of 3 units at 10.00 that opened a minute before `now` and closes an hour after."""
    return drops.open_drop(**drop_terms(seller=seller, now=now, **terms))


def drop_terms(*, seller: Seller | None = None, now: dt.datetime = NOW, **terms: Any) -> dict[str, Any]:
    """What `open_drop` and `draft_drop` take, with defaults."""
    defaults = {
        "price_minor": PRICE_MINOR,
        "units_total": 3,
        "limit_per_fan": None,
        "hold_s": 0,
        "cancel_s": 0,
    }
    return drafted("A print", seller, now, defaults | terms)


def drafted(title: str, seller: Seller | None, now: dt.datetime, terms: dict[str, Any]) -> dict[str, Any]:
    """Terms with what is common to every draft of them gathered in `draft`."""
    common: dict[str, Any] = {
        "sale_id": uuid7(),
        "seller_id": None,
        "title": title,
        "story": "",
        "currency": "EUR",
        "opens_at": now - dt.timedelta(minutes=1),
        "closes_at": now + HOUR,
        "now": now,
    }
    common |= {name: terms.pop(name) for name in list(terms) if name in common}
    common["seller_id"] = common["seller_id"] or (seller or make_seller()).id
    return {"draft": SaleDraft(**common), **terms}


def purchase(
    fan_id: UUID, quantity: int = 1, *, hold: bool = False, key: UUID | None = None, at: dt.datetime = NOW
) -> rules.PlaceOrder:
    """One request to buy, with ids of its own."""
    return rules.PlaceOrder(
        order_id=uuid7(), transfer_id=uuid7(), fan_id=fan_id, idempotency_key=key or uuid7(), quantity=quantity,
        hold=hold, received_at=at,
    )  # fmt: skip


def buy(drop: Drop, fan_id: UUID, quantity: int = 1, **request: Any) -> OrderValue:
    """Buy, or hold, through this process' lane. Raises the refusals."""
    return drops.place_order(drop.sale_id, purchase(fan_id, quantity, **request))


class Process:
    """The lane of one web process, without its queue: what two processes do to each other, they do in here."""

    def __init__(self, drop: Drop, *, home: int = 0) -> None:
        self.lane = drops.OrderLane(drop.sale_id)
        self.lane.slot = home

    def do(self, command: rules.Command) -> OrderValue:
        """One command in a batch of its own. Raises its refusal."""
        (outcome,) = self.do_batch(command)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def do_batch(self, *commands: rules.Command) -> list[Any]:
        return list(in_transaction(lambda: self.lane.run(commands), name=self.lane.name, replayable=True))


def make_rally(*, seller: Seller | None = None, now: dt.datetime = NOW, **terms: Any) -> Rally:
    """A published rally with `TIERS` that opened a minute before `now` and closes an hour after; at most 5 units a fan."""
    return rallies.open_rally(**rally_terms(seller=seller, now=now, **terms))


def rally_terms(*, seller: Seller | None = None, now: dt.datetime = NOW, **terms: Any) -> dict[str, Any]:
    """What `open_rally` and `draft_rally` take, with defaults."""
    defaults = {
        "tiers": TIERS,
        "basis": "joiners",
        "minimum": 1,
        "cap_units": None,
        "limit_per_fan": 5,
        "audience": "everyone",
        "late_joins": False,
    }
    return drafted("A lamp", seller, now, defaults | terms)


def join_request(
    fan_id: UUID,
    quantity: int = 1,
    *,
    only: int | None = None,
    invite: str = "",
    key: UUID | None = None,
    at: dt.datetime = NOW,
) -> values.JoinRally:
    """One request to join, with ids of its own; `only` is the limit on the price of a unit, in minor units."""
    return values.JoinRally(
        join_id=uuid7(), transfer_id=uuid7(), fan_id=fan_id, idempotency_key=key or uuid7(), quantity=quantity,
        only_at_or_below_minor=only, invite=invite, invite_code=rallies.new_invite_code(), received_at=at,
    )  # fmt: skip


def join(rally: Rally, fan_id: UUID, quantity: int = 1, **request: Any) -> JoinValue:
    """Join through this process' lane. Raises the refusals."""
    return rallies.join_rally(rally.sale_id, join_request(fan_id, quantity, **request))


class RallyProcess:
    """The lane of one web process, without its queue; see `Process`."""

    def __init__(self, rally: Rally, *, home: int = 0) -> None:
        self.lane = rallies.RallyLane(rally.sale_id)
        self.lane.slot = home

    def do(self, command: values.Command) -> JoinValue | LateJoinValue:
        """One command in a batch of its own. Raises its refusal."""
        (outcome,) = self.do_batch(command)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def do_batch(self, *commands: values.Command) -> list[Any]:
        return list(in_transaction(lambda: self.lane.run(commands), name=self.lane.name, replayable=True))


def late_request(
    fan_id: UUID, quantity: int = 1, *, invite: str = "", key: UUID | None = None, at: dt.datetime = AFTER_THE_END
) -> values.JoinLate:
    """One request to buy at a rally's final price after its end, with ids of its own."""
    return values.JoinLate(
        join_id=uuid7(), transfer_id=uuid7(), fan_id=fan_id, idempotency_key=key or uuid7(), quantity=quantity,
        invite=invite, received_at=at,
    )  # fmt: skip


def join_late(rally: Rally, fan_id: UUID, quantity: int = 1, **request: Any) -> LateJoinValue:
    """Join late through this process' lane. Raises the refusals."""
    return rallies.join_late(rally.sale_id, late_request(fan_id, quantity, **request))


def make_auction(*, seller: Seller | None = None, now: dt.datetime = NOW, **terms: Any) -> English:
    """A published auction from 10.00 in steps of 1.00, premium 12.5 %, that opened a minute before `now` and closes an hour after;
    bids in the last three minutes move the end, for an hour at most."""
    return english.open_english(**auction_terms(seller=seller, now=now, **terms))


def auction_terms(*, seller: Seller | None = None, now: dt.datetime = NOW, **terms: Any) -> dict[str, Any]:
    """What `open_english` and `draft_english` take, with defaults."""
    defaults = {
        "start_minor": 1_000, "steps": "0:100", "reserve_minor": None, "buy_now_minor": None, "window_s": 180,
        "extension_s": 180, "overtime_s": 3_600, "premium_bps": 1_250,
    }  # fmt: skip
    return drafted("A painting", seller, now, defaults | terms)


def bid_request(fan_id: UUID, most: int | None, *, key: UUID | None = None, at: dt.datetime = NOW) -> PlaceBid:
    """One request to bid up to `most`, or with None to buy now, with ids of its own."""
    return PlaceBid(uuid7(), uuid7(), fan_id, key or uuid7(), most, at)


class AuctionProcess:
    """The lane of one web process, without its queue; see `Process`."""

    def __init__(self, auction: English, *, home: int = 0) -> None:
        self.lane = english.BidLane(auction.sale_id)
        self.lane.slot = home

    def do(self, command: PlaceBid) -> BidValue:
        """One command in a batch of its own. Raises its refusal."""
        (outcome,) = self.do_batch(command)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def do_batch(self, *commands: PlaceBid) -> list[Any]:
        return list(in_transaction(lambda: self.lane.run(commands), name=self.lane.name, replayable=True))


def make_dutch(*, seller: Seller | None = None, now: dt.datetime = NOW, **terms: Any) -> Dutch:
    """A published falling price, from 100.00 by 5.00 a minute to 40.00, of three units, premium 12.5 %, that opened a minute before
    `now` and closes an hour after."""
    return dutch.open_dutch(**dutch_terms(seller=seller, now=now, **terms))


def dutch_terms(*, seller: Seller | None = None, now: dt.datetime = NOW, **terms: Any) -> dict[str, Any]:
    """What `open_dutch` and `draft_dutch` take, with defaults."""
    defaults = {
        "start_minor": 10_000, "floor_minor": 4_000, "step_minor": 500, "interval_s": 60, "units_total": 3, "pays": "own",
        "premium_bps": 1_250,
    }  # fmt: skip
    return drafted("A rug", seller, now, defaults | terms)


def claim_request(
    fan_id: UUID, at_most: int = 10_000, quantity: int = 1, *, key: UUID | None = None, at: dt.datetime = NOW
) -> PlaceClaim:
    """One request to claim units at up to `at_most` each, with ids of its own."""
    return PlaceClaim(uuid7(), uuid7(), fan_id, key or uuid7(), at_most, quantity, at)


class ClaimProcess:
    """The lane of one web process, without its queue; see `Process`."""

    def __init__(self, sale: Dutch, *, home: int = 0) -> None:
        self.lane = dutch.ClaimLane(sale.sale_id)
        self.lane.slot = home

    def do(self, command: PlaceClaim) -> ClaimValue:
        """One command in a batch of its own. Raises its refusal."""
        (outcome,) = self.do_batch(command)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def do_batch(self, *commands: PlaceClaim) -> list[Any]:
        return list(in_transaction(lambda: self.lane.run(commands), name=self.lane.name, replayable=True))


def refund(sale: Sale, purchase_id: UUID, amount_minor: int, *, number: int = 1, at: dt.datetime | None = None) -> None:
    """As the seller does it, for no reason."""
    refunds.refund(
        seller_id=sale.seller_id, sale_id=sale.id, purchase_id=purchase_id, number=number, amount_minor=amount_minor,
        reason="", made_by=make_fan(), now=at or clock.now(),
    )  # fmt: skip


def close_on_time(sale_id: UUID) -> dt.datetime:
    """Close a sale when its time has come, as a worker does, and not before it as its seller may. Gives the second."""
    sale = Sale.objects.get(id=sale_id)
    now = get_format(sale.format).rules.ends_at(sale) + sales.CLOSE_GRACE
    sales.close_sale(sale_id=sale_id, now=now)
    return now


def settle_one(sale_id: UUID) -> None:
    """The first of the purchases, and no other."""
    now, rules = close_on_time(sale_id), get_format(Sale.objects.get(id=sale_id).format).rules
    sale = Sale.objects.select_related("seller").get(id=sale_id)
    in_transaction(lambda: rules.settle_step(sale, now, limit=1), name="test")
    Sale.objects.filter(id=sale_id).update(state="settling")


def wallet(fan_id: UUID, currency: str = "EUR") -> Balance:
    """The fan's money; nothing when there is no wallet."""
    found = ledger_selectors.wallets([fan_id], currency).get(fan_id)
    return found.balance if found else Balance(0, 0)


def pause(sale_id: UUID, seconds: int, *, at: dt.datetime = NOW) -> None:
    """Staff freeze the sale and let it go on so much later."""
    staff_id = make_fan()
    levers.freeze_sale(sale_id=sale_id, staff_id=staff_id, reason="A doubt", now=at)
    resumed_at = at + dt.timedelta(seconds=seconds)
    levers.resume_sale(sale_id=sale_id, staff_id=staff_id, reason="All is well", now=resumed_at)


def picture_file(width: int = 400, height: int = 300, *, format: str = "PNG", **options: Any) -> SimpleUploadedFile:
    """A picture as a browser uploads it."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 80, 40)).save(out, format, **options)
    return SimpleUploadedFile(f"picture.{format.lower()}", out.getvalue())


def make_picture(row: Any, *, place: Placed.Place = Placed.Place.SALE, owner_id: UUID | None = None) -> Picture:
    """One of the sale's, uploaded and not made ready."""
    picture_id = uuid7()
    pictures.upload(
        picture_id=picture_id, seller_id=row.sale.seller_id, place=place, owner_id=owner_id or row.sale_id,
        file=picture_file(), alt="What it shows", now=clock.now(),
    )  # fmt: skip
    return Picture.objects.get(id=picture_id)
