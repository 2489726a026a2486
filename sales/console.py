"""A seller's pages that are the same for every format: drafting, one sale's page, publishing, closing, calling off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe
from msgspec import structs

from core import clock, language, rate_limit
from core.errors import Conflict, Invalid, NotFound
from core.http import user_id
from core.ids import is_uuid, uuid7
from core.money import amount_text
from core.paging import cursor_of
from pictures import services as pictures
from pictures.models import Placed
from pictures.selectors import all_of
from products import selectors as products
from products import services as catalogue
from products.models import Product
from sales import exports, presenters, refunds, selectors
from sales import services as sales
from sales.buying import place_page
from sales.drafting import fingerprint
from sales.errors import DraftChanged, WrongState
from sales.formats import Format, get_format
from sales.forms import NOW, RefundForm, SaleForm
from sales.mine import Shelf, param_of, shelf, shown
from sales.models import Sale, SaleState
from sales.phases import standing
from sales.things import Things
from sales.views import render_room, with_way_back
from sellers import selectors as seller_selectors
from sellers.models import MAY_EDIT_SALES, Member

DAYS_OPEN = dt.timedelta(days=3)  # what the form of a new sale begins with

asks_first = require_http_methods(["GET", "HEAD", "POST"])  # a question by GET, the act by POST


def urls_of(format: Format) -> tuple[list[URLPattern], str]:
    """The format's own pages, if it has a module of them, and the ones that the spine makes; for `include`."""
    module = format.module("urls")
    own = module.urlpatterns if module else []
    news = [] if any(page.name == "new" for page in own) else [_new_path(format)]
    places = [
        path(f"sales/<uuid:sale_id>/{place.page}/", place_page, {"place": place}, name=place.page)
        for place in format.places
        if place.page
    ]
    return [*own, *places, *news, *console_paths(format)], format.label


def _new_path(format: Format) -> URLPattern:
    return path(f"sell/<slug:handle>/{format.words.slug}/new/", new, {"format_name": format.name}, name="new")


def console_paths(format: Format) -> list[URLPattern]:
    """`/sell/{handle}/{plural}/{sale_id}/…` under the names "console", "publish", "close", "cancel"."""
    sale = f"sell/<slug:handle>/{format.words.slug}/<uuid:sale_id>/"
    given = {"format_name": format.name}
    return [
        path(sale, page, given, name="console"),
        path(f"{sale}edit/", edit, given, name="edit"),
        path(f"{sale}copy/", copy, given, name="copy"),
        path(f"{sale}preview/", preview, given, name="preview"),
        path(f"{sale}publish/", publish, given, name="publish"),
        path(f"{sale}close/", close, given, name="close"),
        path(f"{sale}cancel/", cancel, given, name="cancel"),
        path(f"{sale}{format.words.things}/<uuid:purchase_id>/", purchase, given, name="purchase"),
        path(f"{sale}export/<slug:things>/<slug:kind>/", export, given, name="export"),
    ]


@asks_first
@login_required
def new(request: HttpRequest, handle: str, format_name: str) -> HttpResponse:
    """A form that drafts a sale. Sending it twice drafts one."""
    member = seller_selectors.get_editor(user_id(request), handle)
    closes_at = (clock.now() + DAYS_OPEN).astimezone(ZoneInfo(_zone())).replace(minute=0, second=0, microsecond=0)
    said: dict[str, Any] = {"sale_id": uuid7(), "zone": _zone(), "closes_at": closes_at.replace(tzinfo=None)}
    product_id = request.POST.get("product") or request.GET.get("product", "")
    if not is_uuid(product_id):
        return _form_page(request, member, get_format(format_name), said)
    product = products.get_product(member.seller_id, UUID(product_id))
    said |= {"title": product.title, "story": product.story}
    return _form_page(request, member, get_format(format_name), said, product=product)


@asks_first
@login_required
def edit(request: HttpRequest, handle: str, sale_id: UUID, format_name: str) -> HttpResponse:
    """The same form for a draft that is there. Of two who change it at once the second is told."""
    member = seller_selectors.get_editor(user_id(request), handle)
    sale, format = _sale(member, sale_id, format_name)
    if sale.state != SaleState.DRAFT:
        raise WrongState(state=sale.state)
    said = format.form.saying(_terms_of(sale), _zone()) | {"replaces": fingerprint(sale)}
    return _form_page(request, member, format, said, edits=sale)


@require_safe
@login_required
def copy(request: HttpRequest, handle: str, sale_id: UUID, format_name: str) -> HttpResponse:
    """A new sale that begins with what another one says; when it opens and closes is asked anew."""
    member = seller_selectors.get_editor(user_id(request), handle)
    sale, format = _sale(member, sale_id, format_name)
    asked_anew = {"sale_id": uuid7(), "opens": NOW, "opens_at": None, "closes_at": None}
    said = format.form.saying(_terms_of(sale), _zone()) | asked_anew
    return _form_page(request, member, format, said, copy_of=sale.id)


def _terms_of(sale: Sale) -> Any:
    row = getattr(sale, sale.format)
    row.sale = sale
    return row


def _form_page(
    request: HttpRequest, member: Member, format: Format, said: Mapping[str, Any], edits: Sale | None = None,
    copy_of: UUID | None = None, product: Product | None = None,
) -> HttpResponse:  # fmt: skip
    """`copy_of` is the sale whose pictures the new one shows too; `product` the one that it begins from."""
    handle = member.seller.handle
    again = format.form.asked_again(request.POST.dict())
    form = again or format.form(request.POST if request.method == "POST" else None, initial=dict(said))
    if copy_of is None and is_uuid(request.POST.get("copy_of", "")):
        copy_of = selectors.get_sale_for_seller(member.seller_id, UUID(request.POST["copy_of"])).id
    if form.is_valid() and (sale_id := _draft_from(form, member, format.draft, edits)):
        if copy_of is not None:
            pictures.copy_places(from_owner=copy_of, to_owner=sale_id)
        if product is not None:
            catalogue.offer(product_id=product.id, sale_id=sale_id)
        answer = redirect(format.url("console", handle, sale_id))
        language.keep(answer, zone=form.cleaned_data["zone"])
        return answer
    context = {
        "shop": member.seller, "format": format, "form": form, "now": clock.now(), "edits": edits, "copy_of": copy_of,
        "product": product, "pictures": all_of(product.id, Placed.Place.PRODUCT) if product else [],
        "form_url": format.url("edit", handle, edits.id) if edits else format.url("new", handle),
    }  # fmt: skip
    context |= format.presenter.new(form, member.seller)
    return render(request, format.presenter.new_template, context, status=422 if form.errors else 200)


def _zone() -> str:
    """The reader's, for times that are typed."""
    name = timezone.get_current_timezone_name()
    return name if language.is_zone(name) else "UTC"


def _draft_from(form: SaleForm, member: Member, draft: Callable[..., Any], edits: Sale | None) -> UUID | None:
    """Draft what the form says; the sale's id, or None when the form shows now why it was refused."""
    said = form.as_draft(member.seller_id, clock.now())
    if edits is not None:
        said["draft"] = structs.replace(said["draft"], sale_id=edits.id, replaces=said["draft"].replaces or "nothing")
    try:
        row = draft(**said)
    except (Invalid, DraftChanged) as refusal:
        form.add_refusal(str(refusal.data.get("field", "")), refusal.said)
        return None
    return UUID(str(row.pk))


@require_safe
@login_required
def page(request: HttpRequest, handle: str, sale_id: UUID, format_name: str) -> HttpResponse:
    """A draft to look over and publish, or a running or ended sale's numbers."""
    member = seller_selectors.get_membership(user_id(request), handle)
    sale, format = _sale(member, sale_id, format_name)
    now = clock.now()
    context = {
        "shop": member.seller,
        "sale": sale,
        **standing(sale, now),
        "may_edit": member.role in MAY_EDIT_SALES,
    }
    if sale.state == SaleState.DRAFT:
        context |= {"terms_text": sales.draft_text(sale), "pictures": all_of(sale.id), **format.presenter.draft(sale)}
        return render(request, format.presenter.draft_template, context)
    frame = presenters.newest_frames([sale.id])[sale.id]
    context |= {
        "shelves": [_shelf(request, format, things, member, sale_id) for things in format.things],
        "search": request.GET.get("search", ""),
        **standing(sale, now, frame.get("units_left")),
        "frame": frame,
        "terms": selectors.find_terms(sale.id, sale.terms_version),
        "sums": format.presenter.sums([sale])[sale.id],
        "pulse": presenters.pulse_of(sale, now),
        **format.presenter.console(request, sale, now),
    }
    return render(request, format.presenter.console_template, context)


def _shelf(request: HttpRequest, format: Format, things: Things[Any], member: Member, sale_id: UUID) -> Shelf:
    found = things.page_of_sale(
        sale_id, cursor_of(request, param_of(format, things)), search=request.GET.get("search", "")[:120],
        state=request.GET.get("state", "") if things.states else "", emails=member.role in MAY_EDIT_SALES,
    )  # fmt: skip
    return shelf(format, things, found)


@require_safe
@login_required
def export(
    request: HttpRequest, handle: str, sale_id: UUID, format_name: str, things: str, kind: str
) -> StreamingHttpResponse:
    """All of a sale's purchases of one kind as a file."""
    member = seller_selectors.get_membership(user_id(request), handle)
    sale, format = _sale(member, sale_id, format_name)
    chosen = next((each for each in format.things if each.slug == things), None)
    if chosen is None or kind not in exports.FILES:
        raise NotFound
    rate_limit.check("export", str(member.user_id), allowed=30, window_s=3_600)
    rows = exports.rows_of(format, chosen, sale, emails=member.role in MAY_EDIT_SALES)
    return exports.FILES[kind](rows, f"{chosen.slug}-{sale.id}")


@asks_first
@login_required
def purchase(request: HttpRequest, handle: str, sale_id: UUID, purchase_id: UUID, format_name: str) -> HttpResponse:
    """One purchase with its refunds, and a form for the next one. Sending that twice refunds once."""
    member = seller_selectors.get_membership(user_id(request), handle)
    sale, format = _sale(member, sale_id, format_name)
    _sale_of, _things, record = refunds.find_purchase(member.seller_id, sale_id, purchase_id)
    (row,) = shown(format, [record])
    form = RefundForm(
        sale.currency,
        request.POST or None,
        initial={"number": row.next_refund, "amount": amount_text(row.may_refund.minor, sale.currency)},
    )
    if request.method == "POST":
        seller_selectors.get_editor(user_id(request), handle)
        if form.is_valid() and _refunded(form, member, sale_id, purchase_id):
            messages.success(
                request, _("{amount} is in the fan's wallet again.").format(amount=form.cleaned_data["amount"])
            )
            return redirect(format.url("purchase", handle, sale_id, purchase_id))
    context = {
        "shop": member.seller, "sale": sale, "format": format, "row": row, "form": form, "now": clock.now(),
        "may_edit": member.role in MAY_EDIT_SALES,
    }  # fmt: skip
    return render(request, "sales/purchase.html", context, status=422 if form.errors else 200)


def _refunded(form: RefundForm, member: Member, sale_id: UUID, purchase_id: UUID) -> bool:
    said = form.cleaned_data
    try:
        refunds.refund(
            seller_id=member.seller_id, sale_id=sale_id, purchase_id=purchase_id, number=said["number"],
            amount_minor=said["amount"].minor, reason=said["reason"], made_by=member.user_id, now=clock.now(),
        )  # fmt: skip
    except Conflict as refusal:
        form.add_error(None, refusal.said)
        return False
    return True


@require_safe
@login_required
def preview(request: HttpRequest, handle: str, sale_id: UUID, format_name: str) -> HttpResponse:
    """The draft's room as fans would find it: it is published for as long as it takes to draw the page, and that is undone."""
    member = seller_selectors.get_editor(user_id(request), handle)
    sale, _format = _sale(member, sale_id, format_name)
    if sale.state != SaleState.DRAFT:
        raise WrongState(state=sale.state)
    rate_limit.check("preview", str(member.user_id), allowed=60, window_s=60)
    with transaction.atomic():
        published = sales.publish(seller_id=member.seller_id, sale_id=sale_id, now=clock.now(), is_preview=True)
        page = render_room(request, published, is_preview=True, may_edit=True)
        transaction.set_rollback(True)
    return page


@with_way_back
@login_required
def publish(request: HttpRequest, handle: str, sale_id: UUID, format_name: str) -> HttpResponse:
    """Seal the draft's terms and put it on its schedule."""
    if request.method == "GET":
        return redirect(get_format(format_name).url("console", handle, sale_id))
    member = seller_selectors.get_editor(user_id(request), handle)
    sale, format = _sale(member, sale_id, format_name)
    sales.publish_sale(seller_id=member.seller_id, sale_id=sale_id, now=clock.now())
    messages.success(request, _("{title} is published and its terms are sealed.").format(title=sale.title))
    return redirect(format.url("console", handle, sale_id))


@asks_first
@login_required
def close(request: HttpRequest, handle: str, sale_id: UUID, format_name: str) -> HttpResponse:
    """End a running sale now; first ask."""
    member = seller_selectors.get_editor(user_id(request), handle)
    sale, format = _sale(member, sale_id, format_name)
    words = format.words
    return ask_first(
        request, sale, _("Close {title} now?").format(title=sale.title), lambda: format.presenter.close_means(sale),
        _("Close the {noun}").format(noun=_(words.noun)),
        act=lambda: sales.close_sale_early(seller_id=member.seller_id, sale_id=sale_id, now=clock.now()),
        done=_("The {noun} is closed; its {things} are being settled.").format(
            noun=_(words.noun), things=_(words.things)
        ),
    )  # fmt: skip


@asks_first
@login_required
def cancel(request: HttpRequest, handle: str, sale_id: UUID, format_name: str) -> HttpResponse:
    """Call a sale off; first ask."""
    member = seller_selectors.get_editor(user_id(request), handle)
    sale, format = _sale(member, sale_id, format_name)
    words = format.words
    return ask_first(
        request, sale, _("Call {title} off?").format(title=sale.title),
        lambda: _("Nobody has seen it yet.") if sale.state == SaleState.DRAFT else _calling_off(format, sale), _("Call it off"),
        act=lambda: sales.cancel_sale(seller_id=member.seller_id, sale_id=sale_id, now=clock.now()),
        done=_("The {noun} is called off. {called_off}").format(noun=_(words.noun), called_off=_(words.called_off)),
    )  # fmt: skip


FANS_COUNTED = 1_000


def _calling_off(format: Format, sale: Sale) -> str:
    """What it will mean, and for how many."""
    fans = len(format.rules.fans(sale, after=None, limit=FANS_COUNTED))
    if not fans:
        return _("Nobody is in it yet. {calling_off}").format(calling_off=_(format.words.calling_off))
    many = ngettext("{count} fan", "{count} fans", fans).format(count=language.number(fans))
    if fans == FANS_COUNTED:
        many = _("at least {many}").format(many=many)
    return _("It is told to {many} who bought or joined. {calling_off}").format(
        many=many, calling_off=_(format.words.calling_off)
    )


def ask_first(
    request: HttpRequest, sale: Sale, heading: str, means: Callable[[], str], action: str, *, act: Callable[[], Any],
    done: str,
) -> HttpResponse:  # fmt: skip
    """Before something that cannot be undone: a page that asks, whose button posts to the same address. Then back to the
    sale's page, which says that it is `done`. `means` is a sentence of what it will do, worked out only to be read."""
    back = get_format(sale.format).url("console", sale.seller.handle, sale.id)
    if request.method == "POST":
        act()
        messages.success(request, done)
        return redirect(back)
    context = {"heading": heading, "sentence": means(), "action": action, "back": back}
    return render(request, "confirm.html", context)


def _sale(member: Member, sale_id: UUID, format_name: str) -> tuple[Sale, Format]:
    sale = selectors.get_sale_for_seller(member.seller_id, sale_id)
    if sale.format != format_name:
        raise NotFound
    return sale, get_format(format_name)
