"""The registry of sale formats. A format is a folder that registers one `Format`; the rest of the site asks this list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from django.apps import apps
from django.db import connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts.services import Message
from core.errors import NotFound
from core.invariants import Check
from core.language import number
from core.money import Money
from sales.bought import BoughtRow
from sales.models import Sale
from sales.placing import Place
from sales.proceeds import paid_in
from sales.terms import TermValue
from sales.things import Things
from sellers.models import Seller

if TYPE_CHECKING:
    from sales.console import SaleForm


class Rules(Protocol):
    """What the spine asks of a format. All but `terms`, `ends_at` and the frame's two are parts of the spine's transaction.

    Steps are bounded (DSQL takes 3,000 rows a transaction) and safe to run again after a kill. Their `limit` is how many of the
    format's own rows they take at most: `settle_chunk` or `unwind_chunk` at first, fewer after a conflict, down to one.
    """

    settle_chunk: int
    unwind_chunk: int
    frame_sql: str  # one row with the format's public numbers; `%(sale_id)s` stands for the sale

    def terms(self, sale: Sale) -> Mapping[str, TermValue]:
        """The promises to seal, beside the ones every sale makes."""

    def publish(self, sale: Sale, now: dt.datetime) -> None:
        """Make the rows buyers contend on. Raises Invalid when the sale is not complete."""

    def schedule(self, sale: Sale) -> None:
        """Schedule the format's own work: when the sale was published, and when its deadlines have moved."""

    def ends_at(self, sale: Sale) -> dt.datetime:
        """When buying ends, as it stands now. The one place that knows."""

    def check_seller_may_end(self, sale: Sale) -> None:
        """Raises WrongState when its seller may not close the running sale or call it off: because who could would profit by it."""

    def close(self, sale: Sale) -> None:
        """Meet the purchases that could still move the end, so that either they or the closing come to see the other."""

    def settle_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        """Pay the next chunk. The time of the next step, or None when this one found nothing left to do.

        The first one passed the gate, so nobody buys any more.
        """

    def unwind_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        """Give the next chunk of buyers of a cancelled sale their money back. Answers like `settle_step`."""

    def sells_until(self, sale: Sale) -> dt.datetime | None:
        """Until when fans can buy of a sale that is settled; None when they cannot."""

    def sold_since(self, sale_ids: Collection[UUID]) -> Mapping[UUID, tuple[int, int]]:
        """Sale → (what fans paid for it after it was settled, the house's fee on that), of these settled sales; minor units."""

    def next_row(self, sale: Sale, now: dt.datetime) -> UUID | None:
        """The row that the next step would take first: it is the one that failed when a step of one row did."""

    def look_again(self, sale: Sale) -> None:
        """Have the next step begin anew: rows that were set aside before it got here are free again."""

    def fans(self, sale: Sale, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        """The next fans, in the order of their ids, who bought or joined: whoever is told when staff or the seller stop it."""

    def messages(self, sale: Sale, event: str, *, after: UUID | None, limit: int) -> Sequence[Message]:
        """What to tell the next fans, in the order of their ids, of an event that the format named (`sales.telling`)."""

    def frame_facts(self, row: dict[str, Any]) -> dict[str, Any]:
        """What viewers are shown, from the row that `frame_sql` gave, by the names of its columns."""


class BaseRules:
    """Defaults of `Rules` for a format without an end of its own and without events. A forgotten step must not pass mypy."""

    settle_chunk = 500
    unwind_chunk = 500
    frame_sql = "SELECT"

    def schedule(self, sale: Sale) -> None: ...

    def ends_at(self, sale: Sale) -> dt.datetime:
        return sale.closes_at + sale.moved_by

    def check_seller_may_end(self, sale: Sale) -> None: ...

    def close(self, sale: Sale) -> None: ...

    def sells_until(self, sale: Sale) -> dt.datetime | None:
        return None

    def sold_since(self, sale_ids: Collection[UUID]) -> Mapping[UUID, tuple[int, int]]:
        return {}

    def next_row(self, sale: Sale, now: dt.datetime) -> UUID | None:
        return None

    def look_again(self, sale: Sale) -> None: ...

    def fans(self, sale: Sale, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        return []

    def messages(self, sale: Sale, event: str, *, after: UUID | None, limit: int) -> Sequence[Message]:
        raise AssertionError(event)  # a format that names events says what to tell of them

    def frame_facts(self, row: dict[str, Any]) -> dict[str, Any]:
        return row


@dataclass(frozen=True, slots=True)
class Sums:
    """What a sale has sold so far, for its seller."""

    units: int
    units_total: int | None  # None: as many as want it
    gross: Money


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a sale that is over came to, in a few words, for whoever looks. No names."""

    words: str  # without a full stop
    detail: str = ""  # a sentence more
    tone: str = "quiet"  # or "good": as its seller and its fans had wished


Template = str | Sequence[str]  # of several the first that there is


class Presenter(Protocol):
    """What a format shows on the spine's pages."""

    # The templates of the spine's pages, or of their parts.
    room_template: Template
    card_template: Template
    lead_figure_template: Template
    totals_template: Template
    newest_template: Template
    new_template: Template
    draft_template: Template
    console_template: Template
    terms_template: Template
    hero_template: Template
    dock_template: Template
    refusal_template: Template

    def room(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        """What the room's template needs beside the sale, its frame and its phase, which every room has."""

    def entry(self, sale: Sale) -> Money | None:
        """The least money that taking part asks for, or None when nobody can know before."""

    def verdict(self, sale: Sale, frame: Mapping[str, Any]) -> Verdict:
        """What the sale came to, from its frame alone, as soon as its time is over."""

    def told(self, sale: Sale) -> list[str]:
        """The sale in three sentences with figures, for the head of its proof. No names."""

    def proof(self, sale: Sale) -> dict[str, Any]:
        """What the proof's totals and newest orders need: no names."""

    def sums(self, sales: Collection[Sale]) -> dict[UUID, Sums]: ...

    def rows(self, records: Sequence[Any], now: dt.datetime) -> Sequence[BoughtRow]:
        """What fans made, all of one kind (`Format.things`) and each read with its sale, as pages show it."""

    def happened(self, sale: Sale) -> list[str]:
        """Sentences for the proof: what the seller did to single fans, beside refunds. No names."""

    def new(self, form: SaleForm, shop: Seller) -> dict[str, Any]:
        """What the page of a new sale needs beside its form."""

    def draft(self, sale: Sale) -> dict[str, Any]:
        """What the seller's page of a draft needs beside the sale and the text that will be sealed."""

    def pace(self, sale: Sale, now: dt.datetime) -> float | None:
        """What sells a second just now, in what the format counts; None when it does not tell."""

    def console(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        """What the seller's page of a published sale needs beside the sale, its phase, terms and sums."""

    def close_means(self, sale: Sale) -> str:
        """What closing the running sale now would do, for the seller who is about to."""


_PAGES = (
    "room",
    "_card",
    "_lead_figure",
    "_totals",
    "_newest",
    "new",
    "draft",
    "console",
    "_terms",
    "_hero",
    "_dock",
    "_refusal",
)


class BasePresenter:
    """Defaults of `Presenter`: the templates in the format's `folder`, else the spine's own, and nothing beside the sale."""

    room_template: Template = ["sales/room.html"]
    card_template: Template = ["sales/_card.html"]
    lead_figure_template: Template = ["sales/_lead_figure.html"]
    totals_template: Template = ["sales/_totals.html"]
    newest_template: Template = ["sales/_newest.html"]
    new_template: Template = ["sales/new.html"]
    draft_template: Template = ["sales/draft.html"]
    console_template: Template = ["sales/console_frame.html"]
    terms_template: Template = ["sales/_terms.html"]
    hero_template: Template = ["sales/_hero.html"]
    dock_template: Template = ["sales/_dock.html"]
    refusal_template: Template = ["sales/_refusal.html"]

    def __init_subclass__(cls, folder: str = "") -> None:
        for page in _PAGES if folder else ():
            name = f"{page.removeprefix('_')}_template"
            setattr(cls, name, [f"{folder}/{page}.html", *getattr(cls, name)])

    def room(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        return {}

    def entry(self, sale: Sale) -> Money | None:
        return None

    def verdict(self, sale: Sale, frame: Mapping[str, Any]) -> Verdict:
        return Verdict(_("It is over"))

    def told(self, sale: Sale) -> list[str]:
        sums = self.sums([sale])[sale.id]
        return [_("{units} sold.").format(units=number(sums.units)), _("Fans paid {gross}.").format(gross=sums.gross)]

    def proof(self, sale: Sale) -> dict[str, Any]:
        return {"sums": self.sums([sale])[sale.id]}

    def sums(self, sales: Collection[Sale]) -> dict[UUID, Sums]:
        """What each sale's format counts, a question for each sale, and what fans have paid."""
        paid = paid_in([sale.id for sale in sales])
        units = {sale.id: get_format(sale.format).count.of(sale.id) for sale in sales}
        return {sale.id: Sums(units[sale.id], None, Money(paid.get(sale.id, 0), sale.currency)) for sale in sales}

    def rows(self, records: Sequence[Any], now: dt.datetime) -> Sequence[BoughtRow]:
        return []

    def happened(self, sale: Sale) -> list[str]:
        return []

    def new(self, form: SaleForm, shop: Seller) -> dict[str, Any]:
        return {}

    def draft(self, sale: Sale) -> dict[str, Any]:
        return {}

    def console(self, request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
        return {}

    def pace(self, sale: Sale, now: dt.datetime) -> float | None:
        return None

    def close_means(self, sale: Sale) -> str:
        return _("It cannot be opened again.")


@dataclass(frozen=True, slots=True)
class Count:
    """The number that a sale is about, read by one statement: the proof reads it through every endpoint of the database."""

    name: str
    sql: str  # `%(sale_id)s` stands for the sale

    def of(self, sale_id: UUID) -> int:
        with connection.cursor() as cursor:
            cursor.execute(self.sql, {"sale_id": sale_id})
            return int(cursor.fetchone()[0])


@dataclass(frozen=True, slots=True)
class GiveBack:
    """How a seller gives all of a purchase back before it is settled: its money, and its units to the stock."""

    total_minor: Callable[[Any], int]  # what the fan gets; 0 for a purchase that it is not for (any more)
    is_done: Callable[[Any], bool]  # everything was given back already
    act: Callable[[Any, dt.datetime], Any]


@dataclass(frozen=True, slots=True)
class Words:
    """What a format is called on pages and in messages, in English, marked by `N_`: pages show it by `said`, and addresses are made
    of the plural. Small letters; pages begin sentences with them by `capfirst`."""

    noun: str
    plural: str
    things: str  # what fans make in it: orders, joins, bids
    calling_off: str  # a sentence: what calling a running one off will mean to those who are in
    called_off: str  # the same once it has happened
    idea: str | Promise = ""  # a sentence for a seller who chooses among formats
    hint: str = ""  # a sentence for the seller's empty console: what making one takes

    @property
    def slug(self) -> str:
        """The plural as a part of addresses."""
        return self.plural.replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Format:
    """All that the rest of the site may know of a format."""

    name: str  # as in Sale.format
    app: str  # its folder, dotted
    words: Words
    count: Count
    rules: Rules
    checks: Sequence[Check]
    presenter: Presenter
    # The form of a new sale, and the service that drafts what it says. Its page is the spine's, unless the format's urls have
    # one called "new".
    form: type[SaleForm]
    draft: Callable[..., Any]
    things: Sequence[Things[Any]] = ()  # what fans make in it: the spine lists them and refunds them
    give_back: GiveBack | None = None  # before they are settled
    places: Sequence[Place] = ()  # its hot routes
    mine: str = ""  # the URL name of a fan's list of what they have in these sales
    _modules: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        assert self.checks, f"the format {self.name} has no checks"

    def module(self, name: str) -> Any | None:
        """A module of the format's folder that it may have or not ("urls", "api", "demo"), imported when it is asked for."""
        if name not in self._modules:
            path = f"{self.app}.{name}"
            self._modules[name] = import_module(path) if find_spec(path) else None
        return self._modules[name]

    def url(self, page: str, *args: Any) -> str:
        """A page of the format's own, or of the console for it: `url("console", handle, sale.id)`."""
        return reverse(f"{self.label}:{page}", args=args)

    @property
    def label(self) -> str:
        """The name of its folder, and the namespace of its URLs."""
        return self.app.rpartition(".")[2]

    @property
    def app_label(self) -> str:
        """Of the Django app that has its models: of its folder, or of one around it."""
        config = apps.get_containing_app_config(self.app)
        assert config is not None, self.app
        return config.label


_formats: dict[str, Format] = {}


def register(format: Format) -> None:
    assert format.name not in _formats, format.name
    _formats[format.name] = format


def get_format(name: str) -> Format:
    if name not in _formats:
        raise NotFound(_("This kind of sale does not exist."))
    return _formats[name]


def list_formats() -> list[Format]:
    """Every format there is, in the order of INSTALLED_APPS."""
    return list(_formats.values())
