from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core import clock, rate_limit
from core.errors import NotFound, Refusal
from core.http import began_at, user_id
from core.ids import is_uuid
from core.money import EXPONENTS
from core.paging import cursor_of
from live.viewers import mark_of
from pictures.models import Placed
from pictures.selectors import pictures_of
from sales import presenters, prover, selectors, telling
from sales.calendars import calendar_entry
from sales.formats import get_format, list_formats
from sales.forms import FindForm
from sales.mine import shown
from sales.models import Sale
from sales.phases import Phase, phase_of, standing
from sales.readings import shared_readings
from sales.selectors import Find
from sellers import selectors as seller_selectors
from sellers import services as sellers
from sellers.models import MAY_EDIT_SALES, Seller
from sellers.theme import stylesheet

View = Callable[..., HttpResponse]

# For a view behind a login: what a button sends may be met by the login page first, from which the browser comes back by GET.
with_way_back = require_http_methods(["GET", "POST"])


def button(back: str) -> Callable[[View], View]:
    """A view behind a login that a button posts to; a browser that the login page sent here by GET goes on to `back`.

    `back` is a URL's name, with the same arguments in its path.
    """

    def decorate(view: View) -> View:
        @with_way_back
        @login_required
        @wraps(view)
        def pressed(request: HttpRequest, **arguments: Any) -> HttpResponse:
            if request.method == "GET":
                captured = request.resolver_match.captured_kwargs  # type: ignore[union-attr]  # unknown to its stubs
                return redirect(back, **captured)
            return view(request, **arguments)

        return pressed

    return decorate


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    find = FindForm(request.GET).as_find()
    if find.q:  # every title is looked through
        rate_limit.check("search", rate_limit.client_address(request), allowed=120, window_s=60)
    shelves = _shelves(request, find)
    context: dict[str, Any] = {"shelves": shelves, "is_narrow": find.is_narrow, "formats": list_formats()}
    if not request.GET:
        context["hottest"] = presenters.hottest(shelves[0].page.rows)
    return render(request, "sales/home.html", context)


@require_safe
def storefront(request: HttpRequest, handle: str) -> HttpResponse:
    shop = seller_selectors.get_seller(handle)
    shelves = _shelves(request, Find(seller_id=shop.id))
    # Without a wish the first shelf that something stands on.
    first = next((tab for tab, shelf in zip(TABS, shelves, strict=False) if shelf.page.rows), "now")
    tab = request.GET.get("tab", first)
    context = {
        "shop": shop,
        "tab": tab if tab in TABS else first,
        "tabs": TABS,
        "shelves": shelves,
        "followers": seller_selectors.count_followers(shop.id),
        "is_following": request.user.is_authenticated and seller_selectors.is_following(shop.id, user_id(request)),
        "record": selectors.record_of(shop.id),
        "cover": next(iter(pictures_of([shop.id], Placed.Place.COVER)[shop.id]), None),
        "logo": next(iter(pictures_of([shop.id], Placed.Place.LOGO)[shop.id]), None),
    }
    return render(request, "sales/storefront.html", context)


TABS = {"now": _l("Now"), "next": _l("Next"), "past": _l("Past"), "about": _l("About")}


def _shelves(request: HttpRequest, find: Find) -> list[presenters.CardShelf]:
    """Sales by where they stand: open, upcoming, past. Each goes on by itself."""
    now = clock.now()
    pages = {
        "open": selectors.page_of_open(now, cursor_of(request, "open"), find),
        "upcoming": selectors.page_of_upcoming(now, cursor_of(request, "upcoming"), find),
        "past": selectors.page_of_past(cursor_of(request, "past"), find),
    }
    return presenters.card_shelves(pages, now)


NEWEST_SHOWN = 12  # purchases on a proof
CARDS_MAX = 72  # on a page that follows them


@require_safe
def live_cards(request: HttpRequest) -> HttpResponse:
    """Of the cards that a page shows, those that show something else by now: `at` has a mark for each (`presenters.Card.mark`)."""
    rate_limit.check("cards", rate_limit.client_address(request), allowed=3_000, window_s=60)
    marks = set(request.GET.get("at", "").split(",")[:CARDS_MAX])
    ids = [UUID(mark[:36]) for mark in marks if is_uuid(mark[:36])]
    sales = selectors.published_sales().select_related("seller").filter(id__in=ids, seller__is_active=True)
    changed = [card for card in presenters.cards(list(sales), clock.now()) if card.mark not in marks]
    return render(request, "sales/live_cards.html", {"cards": changed})


@require_safe
def theme(request: HttpRequest, handle: str) -> HttpResponse:
    """A shop's colour, as a stylesheet of its own: no page has styles inline."""
    answer = HttpResponse(stylesheet(seller_selectors.get_seller(handle)), content_type="text/css; charset=utf-8")
    answer["Cache-Control"] = "public, max-age=60"
    return answer


@button("sales:storefront")
def follow(request: HttpRequest, handle: str) -> HttpResponse:
    """Hear of this shop's new sales."""
    shop = seller_selectors.get_seller(handle)
    sellers.follow(seller_id=shop.id, fan_id=user_id(request), now=clock.now())
    return redirect("sales:storefront", handle)


@button("sales:storefront")
def unfollow(request: HttpRequest, handle: str) -> HttpResponse:
    """Hear no more of them."""
    shop = seller_selectors.get_seller(handle)
    sellers.unfollow(seller_id=shop.id, fan_id=user_id(request), now=clock.now())
    return redirect("sales:storefront", handle)


@require_safe
def calendar(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """The sale as an entry for the reader's calendar, with an alarm shortly before it opens."""
    sale = selectors.get_public_sale(sale_id)
    url = request.build_absolute_uri(reverse("sales:room", args=[sale.id]))
    answer = HttpResponse(calendar_entry(sale, url, now=clock.now()), content_type="text/calendar; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{sale.slug}.ics"'
    return answer


@require_safe
def room(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    return render_room(request, selectors.get_public_sale(sale_id))


def render_room(request: HttpRequest, sale: Sale, *, refusal: Refusal | None = None, **more: Any) -> HttpResponse:
    """The room of the sale's format, with what was refused just now, if anything."""
    now = clock.now()
    presenter = get_format(sale.format).presenter
    frame = presenters.newest_frames([sale.id])[sale.id]
    path = reverse("sales:room", args=[sale.id])
    context = {
        "sale": sale,
        **standing(sale, now, frame.get("units_left")),
        "staff_action": selectors.newest_staff_action(sale.id),
        "frame": frame,
        "verdict": presenter.verdict(sale, frame),
        "pictures": pictures_of([sale.id])[sale.id],
        "exponent": EXPONENTS[sale.currency],
        "room_url": path,
        "room_path": path,
        "share_url": request.build_absolute_uri(path),
        "refusal": refusal,
        **_own(request, sale, now),
        **_dock(sale),
        **presenter.room(request, sale, now),
        **more,
    }
    return render(request, presenter.room_template, context, status=refusal.status if refusal else 200)


def _own(request: HttpRequest, sale: Sale, now: dt.datetime) -> dict[str, Any]:
    """What only the fan who is logged in sees."""
    if not request.user.is_authenticated:
        return {"is_reminded": False, "is_verified": False}
    fan_id = user_id(request)
    own: dict[str, Any] = {"is_reminded": telling.is_reminded(sale.id, fan_id), "viewer_mark": mark_of(fan_id)}
    own |= presenters.may_buy(sale, fan_id, began_at(request))
    if phase_of(sale, now) == Phase.UPCOMING:
        own["ready"] = presenters.readiness(sale, fan_id, is_verified=own["is_verified"], back=request.get_full_path())
    return own


def _dock(sale: Sale) -> dict[str, Any]:
    """What the dock of a format without one of its own needs: the page of its place."""
    format = get_format(sale.format)
    page = next((place.page for place in format.places if place.page), None)
    return {"verb": page, "page_url": format.url(page, sale.id)} if page else {}


@button("sales:room")
def remind(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Ask to be told when the sale opens."""
    telling.remind(sale_id=sale_id, fan_id=user_id(request), now=clock.now())
    return redirect("sales:room", sale_id)


@button("sales:room")
def forget_reminder(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Take that wish back."""
    telling.forget_reminder(sale_id=sale_id, fan_id=user_id(request))
    return redirect("sales:room", sale_id)


@require_safe
def sealed_terms(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    sale = selectors.get_public_sale(sale_id)
    terms = selectors.find_terms(sale.id, sale.terms_version)
    if terms is None:
        raise NotFound(_("This sale was called off before its terms were sealed."))
    return render(request, "sales/terms.html", {"sale": sale, "terms": terms})


@require_safe
def proof_list(request: HttpRequest) -> HttpResponse:
    _limit_proofs(request)
    page = selectors.page_of_settled(cursor_of(request))
    context = {
        "page": page.map(presenters.proof_marks),
        "books": presenters.ShownProof.of(prover.look_at_books(now=clock.now())),
        "database": presenters.database_name(),
    }
    return render(request, "sales/proof_list.html", context)


@require_safe
def proof(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """Every check of one sale as it was last run: what it says, what it must give and gave, and the SQL. Runs nothing itself."""
    _limit_proofs(request)
    sale = selectors.get_public_sale(sale_id)
    format = get_format(sale.format)
    now = clock.now()
    run = prover.look_at(sale, now=now)
    shown_proof, happened = presenters.ShownProof.of(run), presenters.events(sale)
    number = request.GET.get("receipt", "").strip()[:40]
    context = {
        "sale": sale,
        "format": format,
        "shown": shown_proof,
        "books": presenters.ShownProof.of(prover.look_at_books(now=now)),
        "readings": shared_readings(sale) if presenters.has_doors() else None,
        "has_doors": presenters.has_doors(),
        "is_one_database": not presenters.is_live(),
        "terms": selectors.find_terms(sale.id, sale.terms_version),
        "database": presenters.database_name(),
        "presenter": format.presenter,
        "told": format.presenter.told(sale),
        "timeline": presenters.timeline(sale, shown_proof.proof, happened, now),
        "counted": [event for event in happened if event.at is None],
        "number": number,
        "receipt": presenters.receipt_in(sale, number, now),
        "newest": [
            row
            for things in format.things[:1]
            for row in shown(format, things.page_of_sale(sale.id, size=NEWEST_SHOWN).rows)
        ],
        "now": now,
        **prover.totals_beside(sale, run),
    }
    return render(request, "sales/proof.html", context)


@require_POST
def prove_again(request: HttpRequest, sale_id: UUID) -> HttpResponse:
    """The button: have the sale checked again soon."""
    rate_limit.check("prove", rate_limit.client_address(request), allowed=10, window_s=60)
    prover.look_again(selectors.get_public_sale(sale_id), now=clock.now())
    return redirect("sales:proof", sale_id)


def _limit_proofs(request: HttpRequest) -> None:
    rate_limit.check("proof", rate_limit.client_address(request), allowed=60, window_s=60)


@require_safe
@login_required
def console(request: HttpRequest, handle: str) -> HttpResponse:
    """A shop's sales as its members see them."""
    member = seller_selectors.get_membership(user_id(request), handle)
    search = request.GET.get("search", "").strip()[:120]
    if found := _purchase_of(member.seller, search):
        return redirect(found)
    page = selectors.page_of_sellers_sales(member.seller_id, cursor_of(request), search=search)
    context = {
        "shop": member.seller,
        "may_edit": member.role in MAY_EDIT_SALES,
        "page": page.map(lambda sales: presenters.console_rows(sales, clock.now())),
        "search": search,
        "overview": None if search or cursor_of(request) else presenters.overview(member.seller, clock.now()),
    }
    return render(request, "sales/console.html", context)


def _purchase_of(seller: Seller, number: str) -> str | None:
    """The page of the purchase with this number in any of the seller's sales."""
    if not is_uuid(number):
        return None
    id = UUID(number)
    for format in list_formats():
        for things in format.things:
            with suppress(NotFound):
                sale = getattr(things.of_seller(seller.id, id), things.terms).sale
                return format.url("purchase", seller.handle, sale.id, id)
    return None
