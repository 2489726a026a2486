"""The API of a seller's sales that is the same for every format: drafting, reading one, publishing, closing, calling off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext_noop as N_
from msgspec import structs
from ninja import Router, Status

from core import clock
from core.errors import Invalid, NotFound
from core.http import user_id
from sales import selectors
from sales import services as sales
from sales.drafting import ANY
from sales.models import Sale
from sales.rows import TermsRow
from sales.schemas import SaleIn, terms_in, terms_out
from sellers import selectors as seller_selectors
from sellers.api_keys import SELLER_AUTH


def lifecycle_routes(
    router: Router, *, format: str, plural: str, draft: Callable[..., TermsRow], model: type[TermsRow],
    more_in: Mapping[str, Any] | None = None, more_out: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """`POST /sellers/{handle}/{plural}` drafts what the body says; then `GET …/{sale_id}`, and `POST …/{sale_id}/publish`,
    `…/close` and `…/cancel`. Each answers with the format's row of terms.

    Bodies and answers are made of the model's columns; `more_in` and `more_out` are pydantic fields that these do not say.
    """
    said, out = terms_in(model, **(more_in or {})), terms_out(model, **(more_out or {}))
    shop = f"/sellers/{{slug:handle}}/{plural}"
    place = f"{shop}/{{uuid:sale_id}}"
    given: dict[str, Any] = {"response": out, "tags": ["seller"], "auth": SELLER_AUTH}

    def create(request: HttpRequest, handle: str, body: SaleIn) -> Status[TermsRow]:
        member = seller_selectors.get_editor(user_id(request), handle)
        _check_zones(body)
        return Status(201, draft(**body.as_draft(member.seller_id, clock.now())))

    create.__annotations__["body"] = said
    router.post(
        shop, response={201: out}, tags=["seller"], auth=SELLER_AUTH, operation_id=f"{plural}_api_create_{format}",
        summary=f"Create {format.capitalize()}", description=f"Draft a {format}. A repeat with the same sale_id returns it.",
    )(create)  # fmt: skip

    def change(request: HttpRequest, handle: str, sale_id: UUID, body: SaleIn) -> TermsRow:
        member = seller_selectors.get_editor(user_id(request), handle)
        of_format(selectors.get_sale_for_seller(member.seller_id, sale_id), format)
        _check_zones(body)
        if body.sale_id != sale_id:
            raise Invalid("The body is about another sale than the address.", field="sale_id")
        drafted = body.as_draft(member.seller_id, clock.now())
        return draft(**drafted | {"draft": structs.replace(drafted["draft"], replaces=ANY)})

    change.__annotations__["body"] = said
    router.put(
        place, operation_id=f"{plural}_change", summary=f"Change a {format} that is a draft", **given,
    )(change)  # fmt: skip

    @router.get(place, operation_id=f"{plural}_get", summary=f"One of the shop's {plural}", **given)
    def get(request: HttpRequest, handle: str, sale_id: UUID) -> Any:
        member = seller_selectors.get_membership(user_id(request), handle)
        return selectors.with_terms(model, of_format(selectors.get_sale_for_seller(member.seller_id, sale_id), format))

    def act(name: str, summary: str, service: Callable[..., Sale]) -> None:
        @router.post(f"{place}/{name}", operation_id=f"{plural}_{name}", summary=summary, **given)
        def do(request: HttpRequest, handle: str, sale_id: UUID) -> Any:
            seller_id = seller_selectors.get_editor(user_id(request), handle).seller_id
            of_format(selectors.get_sale_for_seller(seller_id, sale_id), format)
            service(seller_id=seller_id, sale_id=sale_id, now=clock.now())
            return selectors.with_terms(model, selectors.get_sale_for_seller(seller_id, sale_id))

    act("publish", f"Seal the {format}'s terms and put it on its schedule", sales.publish_sale)
    act("close", f"End a running {format} before its time; it is settled then", sales.close_sale_early)
    act("cancel", f"Call the {format} off; whatever was paid or held goes back", sales.cancel_sale)


def _check_zones(body: SaleIn) -> None:
    """Raises Invalid for a draft's times without their UTC offset."""
    if body.opens_at.tzinfo is None or body.closes_at.tzinfo is None:
        raise Invalid("Times need their UTC offset, as in 2026-01-31T18:00:00Z.", field="opens_at")


def of_format(sale: Sale, format: str) -> Sale:
    if sale.format != format:
        raise NotFound(N_("This sale does not exist."))
    return sale
