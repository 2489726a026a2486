"""What the spine's pages show of a sale; a format's presenter adds what is its own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import selectors as account_selectors
from core.errors import sentences
from core.ids import is_uuid, uuid7
from core.invariants import GOODS, MONEY, REST, TERMS, Finding
from core.money import Money
from core.paging import Page
from ledger import selectors as ledger_selectors
from ledger.errors import InsufficientFunds
from live import store, tallies
from payments.templatetags.top_up import top_up_url, top_up_words
from pictures.selectors import Shown as Picture
from pictures.selectors import pictures_of
from sales import frames, prover, refunds, selectors
from sales.bought import BoughtRow
from sales.formats import Format, Sums, Verdict, get_format
from sales.models import UNENDED_STATES, ProofRun, Sale, SaleState, StaffAction
from sales.phases import Phase, ends_at, ends_in, opens_at, phase_of
from sales.proof import Proof
from sales.pseudonyms import pseudonym
from sales.services import issue_buy_token
from sellers import selectors as sellers
from sellers.models import Seller

QUANTITY_MAX = 10
REFUNDS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Card:
    """A sale in a list."""

    sale: Sale
    phase: Phase
    opens_at: dt.datetime
    ends_at: dt.datetime
    frame: Mapping[str, Any]
    format: Format
    verdict: Verdict
    picture: Picture | None

    @property
    def mark(self) -> str:
        """Changes whenever what the card shows does, but for its countdowns."""
        return f"{self.sale.id}.{self.frame['version']}.{self.phase}"


def cards(sales: Sequence[Sale], now: dt.datetime) -> list[Card]:
    ids = [sale.id for sale in sales]
    newest, pictures = newest_frames(ids), pictures_of(ids)
    return [_card(sale, newest[sale.id], pictures[sale.id], now) for sale in sales]


def hottest(dealt: Sequence[Card]) -> Card | None:
    """The open sale in which most is going on: a frame's version grows with every batch of purchases."""
    is_open = [card for card in dealt if card.phase == Phase.OPEN]
    return max(is_open, key=lambda card: card.frame["version"], default=None)


@dataclass(frozen=True, slots=True)
class CardShelf:
    """A page of cards. `name` is also that of its cursor in the address."""

    name: str
    page: Page[Card]


def card_shelves(pages: Mapping[str, Page[Sale]], now: dt.datetime) -> list[CardShelf]:
    """What has just ended stands among the past ones, until it is closed and the database knows."""
    dealt = cards([sale for page in pages.values() for sale in page.rows], now)
    by_sale = {card.sale.id: card for card in dealt}
    ended = [card for card in dealt if card.phase == Phase.ENDED and card.sale.state in UNENDED_STATES]
    shelves = []
    for name, page in pages.items():
        own = [by_sale[sale.id] for sale in page.rows]
        own = ended + own if name == "past" else [card for card in own if card not in ended]
        shelves.append(CardShelf(name, Page(own, page.next)))
    return shelves


def _card(sale: Sale, frame: Mapping[str, Any], pictures: Sequence[Picture], now: dt.datetime) -> Card:
    ends, format = ends_in(frame) or ends_at(sale), get_format(sale.format)
    phase = phase_of(sale, now, frame.get("units_left"), ends=ends)
    verdict = format.presenter.verdict(sale, frame)
    return Card(sale, phase, opens_at(sale), ends, frame, format, verdict, pictures[0] if pictures else None)


def newest_frames(sale_ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    """Each sale's frame as viewers have it. The database is only asked for what the store does not have."""
    found = {}
    is_up = True
    for sale_id in sale_ids:
        stored = None
        if is_up:
            try:
                stored = store.latest(sale_id)
            except store.STORE_ERRORS:
                is_up = False  # do not wait for it once per sale
        found[sale_id] = msgspec.json.decode(stored) if stored else frames.read_frame(sale_id)
    return found


def may_buy(sale: Sale, fan_id: UUID, began_at: dt.datetime) -> dict[str, Any]:
    """What the form of a room needs of the fan who is logged in, for a request that began then."""
    if not account_selectors.is_verified(fan_id):
        return {"is_verified": False}
    # The key is for forms without scripts; a script makes its own, one per purchase.
    own = {"is_verified": True, "key": uuid7()}
    if sale.state not in UNENDED_STATES:
        return own
    return own | issue_buy_token(user_id=fan_id, sale_id=sale.id, now=began_at)


@dataclass(frozen=True, slots=True)
class Refused:
    """So many were refused for this reason: `percent` of the most frequent one."""

    sentence: str
    count: int
    percent: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """How it goes on a sale's page of its seller, by the second."""

    viewers: int
    per_s: float | None  # units sold, or fans who joined, in the last seconds; None where the format does not tell
    refused_count: int
    refused: list[Refused]


def pulse_of(sale: Sale, now: dt.datetime) -> Pulse | None:
    """None before it is open, and while nobody can tell."""
    tally = tallies.read(sale.id) if now >= opens_at(sale) else None
    if tally is None:
        return None
    words, most = sentences(), max(tally.refused.values(), default=1)
    refused = [Refused(words.get(code, code), count, 100 * count // most) for code, count in tally.refused.items()]
    is_open = phase_of(sale, now).is_open
    per_s = get_format(sale.format).presenter.pace(sale, now) if is_open else None
    return Pulse(tally.viewers, per_s, tally.refused_count, refused)


@dataclass(frozen=True, slots=True)
class Ready:
    """One thing that taking part takes: whether the fan has it, and the way on if not."""

    is_met: bool
    words: str
    url: str = ""
    way_on: str = ""


def readiness(sale: Sale, fan_id: UUID, *, is_verified: bool, back: str) -> list[Ready]:
    """What the fan who is logged in has and lacks for a sale that opens later, in time to do something about it."""
    found = [
        Ready(True, _("Your e-mail address is confirmed."))
        if is_verified
        else Ready(
            False, _("Your e-mail address is not confirmed."), reverse("account_email"), _("Send the link again")
        )
    ]
    entry = get_format(sale.format).presenter.entry(sale)
    if entry is None:
        return found
    wallet = ledger_selectors.wallets_of(fan_id).get(sale.currency)
    has = Money(wallet.balance.available_minor if wallet else 0, sale.currency)
    words = _("Your wallet has {has}; one takes {entry}.").format(has=has, entry=entry)
    if has.minor >= entry.minor:
        return [*found, Ready(True, words)]
    short = InsufficientFunds(available_minor=has.minor, needed_minor=entry.minor, currency=sale.currency)
    return [*found, Ready(False, words, top_up_url(short, back), top_up_words(short))]


def quantities(*limits: int | None) -> range:
    """How many a form offers: more than QUANTITY_MAX at once is bought through the API."""
    return range(1, min([limit for limit in limits if limit is not None], default=QUANTITY_MAX) + 1)[:QUANTITY_MAX]


@dataclass(frozen=True, slots=True)
class ConsoleRow:
    """A sale in its seller's list."""

    sale: Sale
    phase: Phase
    sums: Sums
    url: str


def console_rows(sales: Sequence[Sale], now: dt.datetime) -> list[ConsoleRow]:
    sums: dict[UUID, Sums] = {}
    for format in {sale.format for sale in sales}:
        sums |= get_format(format).presenter.sums([sale for sale in sales if sale.format == format])
    return [
        ConsoleRow(
            sale,
            phase_of(sale, now),
            sums[sale.id],
            get_format(sale.format).url("console", sale.seller.handle, sale.id),
        )
        for sale in sales
    ]


@dataclass(frozen=True, slots=True)
class Task:
    """Something that needs a hand of the shop's."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Overview:
    """How a shop stands."""

    earned: list[Money]
    running: list[ConsoleRow]  # open, the next to close first
    coming: list[ConsoleRow]  # the next to open first
    followers: int
    tasks: list[Task]


OVERVIEW_ROWS = 6


def overview(seller: Seller, now: dt.datetime) -> Overview:
    find = selectors.Find(seller_id=seller.id)
    running, coming = (
        console_rows(page.rows[:OVERVIEW_ROWS], now)
        for page in (selectors.page_of_open(now, find=find), selectors.page_of_upcoming(now, find=find))
    )
    earned = [
        Money(ledger_selectors.balance(account_id).available_minor, currency)
        for currency, account_id in ledger_selectors.proceeds_of(seller.id).items()
    ]
    return Overview(earned, running, coming, sellers.count_followers(seller.id), list(_tasks(seller, running, now)))


def _tasks(seller: Seller, running: Sequence[ConsoleRow], now: dt.datetime) -> Iterator[Task]:
    for sale in selectors.list_drafts(seller.id, limit=OVERVIEW_ROWS):
        words = (
            _("{title} is a draft, and its opening time has passed") if sale.opens_at < now else _("{title} is a draft")
        )
        yield Task(
            words.format(title=sale.title),
            get_format(sale.format).url("console", seller.handle, sale.id),
        )
    for row in running:
        if row.phase == Phase.FROZEN:
            yield Task(_("{title} is paused by staff").format(title=row.sale.title), row.url)
        elif row.phase == Phase.OPEN and row.sums.units_total and row.sums.units >= row.sums.units_total:
            yield Task(_("{title} is sold out: make another like it").format(title=row.sale.title), row.url)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was done to a sale, told on its proof. `at` is None for what is only counted."""

    at: dt.datetime | None
    words: str
    reason: str = ""


def timeline(sale: Sale, proof: Proof | None, happened: Iterable[Event], now: dt.datetime) -> list[Event]:
    """From its announcement to its proof, with what `happened` to it in between (`events`), in the order of time."""
    at = opens_at(sale)
    steps = [
        Event(sale.published_at, _("Announced, its terms sealed")),
        Event(at, _("Opened") if at <= now else _("Opens")),
        Event(sale.closed_at if sale.state != SaleState.CANCELLED else None, _("Closed")),
        Event(sale.settled_at, _("Settled: everybody paid or paid back")),
        Event(proof.ran_at if proof else None, _("Checked")),
    ]
    dated = [(event.at, event) for event in [*steps, *happened] if event.at is not None]
    return [event for _, event in sorted(dated, key=lambda pair: pair[0])]


def receipt_in(sale: Sale, number: str, now: dt.datetime) -> BoughtRow | None:
    """The row of the purchase with this number in the sale, without a name, or None."""
    format = get_format(sale.format)
    for things in format.things if is_uuid(number) else ():
        if rows := things.page_of_sale(sale.id, search=number, size=1).rows:
            return next(iter(format.presenter.rows(rows, now)))
    return None


def events(sale: Sale) -> list[Event]:
    """What staff and the seller did that its terms do not say: paused, ended early, called off, and to single fans."""
    actions = selectors.list_staff_actions(sale.id)
    found = [
        Event(action.at, _("{action} by staff").format(action=action.get_kind_display()), action.reason)
        for action in actions
    ]
    if sale.state == SaleState.CANCELLED and not any(action.kind == StaffAction.Kind.VOID for action in actions):
        found.append(Event(sale.closed_at, _("Called off by the seller")))
    elif sale.closed_at is not None and sale.state != SaleState.CANCELLED and sale.closed_at < ends_at(sale):
        found.append(Event(sale.closed_at, _("Closed by the seller before its time")))
    counted = [Event(None, words) for words in get_format(sale.format).presenter.happened(sale)]
    # Without its reason: that is the seller's word to the fan, who may be named in it.
    given = [
        Event(
            refund.at,
            _("{amount} of {paid} refunded to {pseudonym}").format(
                amount=refund.amount, paid=refund.paid, pseudonym=pseudonym(sale.id, refund.fan_id)
            ),
        )
        for refund in refunds.list_refunds(sale, limit=REFUNDS_SHOWN)
    ]
    return found + counted + given


@dataclass(frozen=True, slots=True)
class Group:
    """Findings about one thing."""

    title: str
    findings: list[Finding]

    @property
    def held(self) -> int:
        return sum(finding.holds for finding in self.findings)

    @property
    def holds(self) -> bool:
        return self.held == len(self.findings)


def grouped(findings: Sequence[Finding]) -> list[Group]:
    """By what they are about, the most asked for first."""
    groups = [
        Group(about, [each for each in findings if each.check.about == about]) for about in (GOODS, MONEY, TERMS, REST)
    ]
    return [group for group in groups if group.findings]


# The list of proofs


@dataclass(frozen=True, slots=True)
class Mark:
    """A sale in the list, with what its newest run said. `holds` is None as long as there is none."""

    sale: Sale
    holds: bool | None
    ran_at: dt.datetime | None


def proof_marks(sales: Sequence[Sale]) -> list[Mark]:
    runs = prover.runs_of([sale.id for sale in sales])
    return [
        Mark(sale, run.holds if run else None, run.ran_at if run else None)
        for sale in sales
        for run in [runs.get(sale.id)]
    ]


@dataclass(frozen=True, slots=True)
class ShownProof:
    """The newest run of a sale or of the books as pages show it."""

    proof: Proof | None  # None: no run has come to its end
    is_being_checked: bool
    error: str  # why the newest try has no answers

    @property
    def groups(self) -> list[Group]:
        return grouped(self.proof.findings) if self.proof else []

    @classmethod
    def of(cls, run: ProofRun | None) -> ShownProof:
        if run is None:
            return cls(None, True, "")
        return cls(prover.read_proof(run), run.asked_at is not None, run.error)


def has_doors() -> bool:
    """Whether the database is reached through more than one endpoint."""
    route = getattr(connection, "route", None)
    return route is not None and len(route.endpoints) > 1


def is_live() -> bool:
    """Whether the database is Aurora DSQL itself."""
    return bool(getattr(connection, "is_live", False))


def database_name() -> str:
    """Which database a proof ran on, in words for its reader."""
    if is_live():
        return "Amazon Aurora DSQL"
    connection.ensure_connection()
    major, minor = divmod(getattr(connection, "pg_version", 0), 10_000)
    name = f"PostgreSQL {major}.{minor}"
    if getattr(connection, "is_strict", False):
        return _("one {name}, which stands in for Amazon Aurora DSQL and is held to its rules").format(name=name)
    return _("one {name}, which stands in for Amazon Aurora DSQL").format(name=name)
