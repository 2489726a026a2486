"""Demo data, loaded through the same services that sellers and fans use. Loading it again only adds what has run out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from accounts import services as accounts
from core import clock
from core.errors import Refusal
from core.ids import uuid7
from core.money import Money
from drops import rules
from drops import services as drops
from ledger import selectors as ledger
from payments import services as payments
from payments.providers import Simulated
from rallies import rules as rally_rules
from rallies import services as rallies
from rallies.pricing import Tier
from sales import minting, prover
from sales import services as sales
from sales.models import RUNNING_STATES, Sale, SaleState
from sellers import services as sellers
from sellers.models import Seller

PASSWORD = "drop-front-demo"  # noqa: S105  # printed by bin/up; refused in production


@dataclass(frozen=True, slots=True)
class Login:
    role: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class DemoDrop:
    """A drop to have running at all times. Times count from now."""

    shop: str
    title: str
    story: str
    price_minor: int
    units: int
    opens_in: dt.timedelta
    open_for: dt.timedelta
    limit: int | None = None
    hold_s: int = 0
    cancel_s: int = 0


@dataclass(frozen=True, slots=True)
class DemoRally:
    """A rally to have running at all times, with some fans in it. Every tenth joins only for a tier's price further down."""

    shop: str
    title: str
    story: str
    tiers: tuple[Tier, ...]
    minimum: int
    open_for: dt.timedelta
    fans: int
    limit: int = 1
    cap: int | None = None
    late_joins: bool = False


FAN = Login("fan", "fan@example.org", "Demo fan")
SELLER = Login("seller", "seller@example.org", "Demo seller")
STAFF = Login("staff", "staff@example.org", "Demo staff")
LOGINS = [FAN, SELLER, STAFF]

SHOPS = {
    "northlight": ("Northlight Press", "Small runs of printed things, numbered by hand."),
    "kiln-nine": ("Kiln Nine", "Stoneware, fired once a month, sold until the shelf is empty."),
}

RUNNING = [
    DemoDrop(
        "northlight", "Aurora risograph, first edition",
        "Three colours on recycled stock. Every sheet is numbered; when they are gone they are gone.",
        price_minor=2_400, units=120, limit=2, opens_in=dt.timedelta(0), open_for=dt.timedelta(hours=6), cancel_s=600,
    ),
    DemoDrop(
        "kiln-nine", "Tide bowl, ash glaze",
        "Thrown in one sitting. You can hold one for two minutes while you make up your mind.",
        price_minor=5_800, units=40, limit=1, hold_s=120, opens_in=dt.timedelta(0), open_for=dt.timedelta(hours=3),
    ),
    DemoDrop(
        "kiln-nine", "Moon jar, November firing",
        "Eight jars came out of the kiln whole.",
        price_minor=14_000, units=8, limit=1, opens_in=dt.timedelta(minutes=5), open_for=dt.timedelta(hours=1),
    ),
]  # fmt: skip
PAST = DemoDrop(
    "northlight", "Harbour map, letterpress",
    "Two hundred prints of the harbour as it was drawn in the pilot's book.",
    price_minor=1_800, units=200, limit=1, opens_in=dt.timedelta(0), open_for=dt.timedelta(hours=1),
)  # fmt: skip
RALLY = DemoRally(
    "kiln-nine", "Storm lantern, group kiln",
    "The kiln costs the same whether it is full or not. The more of you there are, the less each lantern costs.",
    tiers=(Tier(1, 10_000), Tier(25, 8_800), Tier(50, 7_600), Tier(100, 6_400), Tier(200, 5_200)),
    minimum=10, limit=3, open_for=dt.timedelta(hours=8), fans=43,
)  # fmt: skip
PAST_RALLY = DemoRally(
    "northlight", "Field notebook, bulk binding",
    "Bound when enough of you had come together, at the price that the crowd had earned.",
    tiers=(Tier(1, 2_400), Tier(20, 1_900), Tier(60, 1_400)),
    minimum=20, limit=2, open_for=dt.timedelta(hours=1), fans=72, cap=120, late_joins=True,
)  # fmt: skip
PAST_BUYERS = 260  # more than there are prints, so that some are turned away


def load() -> Iterator[str]:
    """Bring the demo up to date; yields a line for each thing done."""
    users = {login.role: _register(login) for login in LOGINS}
    shops = {handle: _shop(handle, users["seller"]) for handle in SHOPS}
    if not _has_wallet_money(users["fan"]):
        _top_up(users["fan"], Money(20_000, "EUR"))
        yield "topped up the demo fan's wallet"
    for demo_drop in RUNNING:
        if not _sales_of(shops[demo_drop.shop], demo_drop).filter(state__in=RUNNING_STATES).exists():
            _open(shops[demo_drop.shop], demo_drop)
            yield f"opened {demo_drop.title}"
    if not _sales_of(shops[PAST.shop], PAST).exists():
        sold, refused = _run_past_drop(shops[PAST.shop])
        yield f"sold out and settled {PAST.title}: {sold} orders, {refused} refused"
    if not _sales_of(shops[RALLY.shop], RALLY).filter(state__in=RUNNING_STATES).exists():
        _open_rally(shops[RALLY.shop], RALLY)
        yield f"opened {RALLY.title}, with {RALLY.fans} fans in it"
    if not _sales_of(shops[PAST_RALLY.shop], PAST_RALLY).exists():
        _run_past_rally(shops[PAST_RALLY.shop])
        yield f"settled {PAST_RALLY.title} for {PAST_RALLY.fans} fans"


def _register(login: Login) -> UUID:
    return accounts.register_verified(
        email=login.email, password=PASSWORD, display_name=login.name, is_staff=login.role == "staff"
    )


def _shop(handle: str, owner_id: UUID) -> Seller:
    existing = Seller.objects.filter(handle=handle).first()
    if existing is not None:
        return existing
    name, about = SHOPS[handle]
    return sellers.open_shop(seller_id=uuid7(), owner_id=owner_id, handle=handle, name=name, about=about)


def _has_wallet_money(user_id: UUID) -> bool:
    return bool(ledger.wallets_of(user_id))


def _top_up(user_id: UUID, amount: Money) -> None:
    top_up = payments.start_top_up(top_up_id=uuid7(), user_id=user_id, amount=amount, now=clock.now())
    payments.complete_top_up(event=Simulated().decided(top_up, is_paid=True), now=clock.now())


def _sales_of(shop: Seller, sale: DemoDrop | DemoRally):  # type: ignore[no-untyped-def]  # a queryset; django-stubs names it clumsily
    return Sale.objects.filter(seller=shop, title=sale.title)


def _open(shop: Seller, drop: DemoDrop) -> UUID:
    now = clock.now()
    sale_id = uuid7()
    drops.open_drop(
        sale_id=sale_id, seller_id=shop.id, title=drop.title, story=drop.story, currency="EUR",
        price_minor=drop.price_minor, units_total=drop.units, limit_per_fan=drop.limit, hold_s=drop.hold_s,
        cancel_s=drop.cancel_s, opens_at=now + drop.opens_in, closes_at=now + drop.opens_in + drop.open_for, now=now,
    )  # fmt: skip
    return sale_id


def _run_past_drop(shop: Seller) -> tuple[int, int]:
    """A whole sale: more fans than prints, each buying through the lane, then closed early and settled."""
    sale_id = _open(shop, PAST)
    fans = [
        fan
        for chunk in minting.mint_fans(count=PAST_BUYERS, funds=Money(5_000, "EUR"), now=clock.now())
        for fan in chunk
    ]
    sold = refused = 0
    for fan_id in fans:
        try:
            drops.place_order(sale_id, _purchase(fan_id))
            sold += 1
        except Refusal:
            refused += 1
    _end(shop, sale_id)
    return sold, refused


def _end(shop: Seller, sale_id: UUID) -> None:
    sales.close_sale_early(seller_id=shop.id, sale_id=sale_id, now=clock.now())
    while Sale.objects.filter(id=sale_id).exclude(state=SaleState.SETTLED).exists():
        sales.settle_step(sale_id=sale_id, now=clock.now())
    prover.prove_now(Sale.objects.get(id=sale_id))


def _purchase(fan_id: UUID) -> rules.PlaceOrder:
    return rules.PlaceOrder(
        order_id=uuid7(), transfer_id=uuid7(), fan_id=fan_id, idempotency_key=uuid7(), quantity=1, hold=False,
        received_at=clock.now(),
    )  # fmt: skip


def _open_rally(shop: Seller, rally: DemoRally) -> UUID:
    now = clock.now()
    sale_id = uuid7()
    rallies.open_rally(
        sale_id=sale_id, seller_id=shop.id, title=rally.title, story=rally.story, currency="EUR", tiers=rally.tiers,
        basis="joiners", minimum=rally.minimum, cap_units=rally.cap, limit_per_fan=rally.limit, audience="everyone",
        late_joins=rally.late_joins, opens_at=now, closes_at=now + rally.open_for, now=now,
    )  # fmt: skip
    funds = Money(rally.tiers[0].price_minor * rally.limit, "EUR")
    chunks = minting.mint_fans(count=rally.fans, funds=funds, now=clock.now())
    invite = ""
    for number, fan_id in enumerate(fan_id for chunk in chunks for fan_id in chunk):
        joined = rallies.join_rally(sale_id, _join(rally, fan_id, number, invite))
        # Every eighth fan brings the next ones.
        invite = joined.invite_code if number % 8 == 0 else invite
    return sale_id


def _join(rally: DemoRally, fan_id: UUID, number: int, invite: str) -> rally_rules.JoinRally:
    waits = number % 10 == 9
    return rally_rules.JoinRally(
        join_id=uuid7(), transfer_id=uuid7(), fan_id=fan_id, idempotency_key=uuid7(),
        quantity=1 + number % rally.limit, only_at_or_below_minor=rally.tiers[-2].price_minor if waits else None,
        invite=invite, invite_code=rallies.new_invite_code(), received_at=clock.now(),
    )  # fmt: skip


def _run_past_rally(shop: Seller) -> None:
    _end(shop, _open_rally(shop, PAST_RALLY))
