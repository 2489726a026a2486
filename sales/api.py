from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from ninja.security import django_auth
from pydantic import Field

from core import clock, rate_limit
from core.errors import NotFound
from core.http import began_at, user_id
from core.paging import Page
from sales import earning, prover, selectors, services
from sales.errors import BeingChecked
from sales.models import Sale, SealedTerms
from sales.proceeds import Proceeds
from sales.schemas import BuyTokenOut, ProceedsOut, ProofOut, SaleOut, TermsOut
from sellers import selectors as sellers
from sellers.api_keys import SELLER_AUTH

router = Router(tags=["sales"])
shop_router = Router(tags=["seller"], auth=SELLER_AUTH)


class SalesPage(Schema):
    items: list[SaleOut] = Field(alias="rows")
    next: str | None


class ProceedsPage(Schema):
    items: list[ProceedsOut] = Field(alias="rows")
    next: str | None


@router.get("", response=SalesPage)
def list_sales(
    request: HttpRequest, when: Literal["open", "upcoming", "past"] = "open", after: str = Query("", max_length=120)
) -> Page[Sale]:
    """Sales that are open (the next to close first), will open (the next first) or are over (the newest first).

    Goes on with `?after=` and the `next` of the page before.
    """
    if when == "past":
        return selectors.page_of_past(after)
    page = selectors.page_of_open if when == "open" else selectors.page_of_upcoming
    return page(clock.now(), after)


@shop_router.get("/{slug:handle}/sales", response=SalesPage)
def list_shops_sales(request: HttpRequest, handle: str, after: str = Query("", max_length=120)) -> Page[Sale]:
    """All of the shop's sales, drafts too, the last to open first."""
    member = sellers.get_membership(user_id(request), handle)
    return selectors.page_of_sellers_sales(member.seller_id, after)


@shop_router.get("/{slug:handle}/proceeds", response=ProceedsPage)
def list_proceeds(request: HttpRequest, handle: str, after: str = Query("", max_length=120)) -> Page[Proceeds]:
    """What each settled sale brought the shop, the last to be settled first: what fans paid, the house's fee, refunds since.

    The sum of `net` in a currency is what the shop has earned in it. Goes on with `?after=` and the `next` of the page before.
    """
    member = sellers.get_membership(user_id(request), handle)
    return earning.page_of_proceeds(member.seller_id, after)


@router.get("/{uuid:sale_id}", response=SaleOut)
def get_sale(request: HttpRequest, sale_id: UUID) -> Sale:
    return selectors.get_public_sale(sale_id)


@router.get("/{uuid:sale_id}/terms", response=TermsOut)
def get_terms(request: HttpRequest, sale_id: UUID) -> SealedTerms:
    """The sealed terms as canonical text: its SHA-256 is in every receipt."""
    sale = selectors.get_public_sale(sale_id)
    terms = selectors.find_terms(sale.id, sale.terms_version)
    if terms is None:
        raise NotFound
    return terms


@router.post("/{uuid:sale_id}/buy-token", auth=django_auth, response=BuyTokenOut)
def make_buy_token(request: HttpRequest, sale_id: UUID) -> dict[str, Any]:
    """A short-lived permission to buy in this sale, for the header X-Buy-Token."""
    sale = selectors.get_public_sale(sale_id)
    return services.issue_buy_token(user_id=user_id(request), sale_id=sale.id, now=began_at(request))


@router.get("/{uuid:sale_id}/proof", response=ProofOut)
def get_proof(request: HttpRequest, sale_id: UUID) -> dict[str, Any]:
    """The newest run of the sale's checks: sentence, SQL, expected and found value; the books have a run of their own.

    Asking runs nothing: it has a running sale checked anew soon when `ran_at` is old (`is_being_checked`). A sale that was
    never checked answers 503 `being_checked` with Retry-After until its first run has ended.
    """
    rate_limit.check("proof", rate_limit.client_address(request), allowed=60, window_s=60)
    sale = selectors.get_public_sale(sale_id)
    run = prover.look_at(sale, now=clock.now())
    found = prover.read_proof(run)
    if run is None or found is None:
        raise BeingChecked(retry_after_s=2)
    return {
        "sale_id": sale.id,
        "holds": found.holds,
        "ran_at": found.ran_at,
        "took_ms": found.took_ms,
        "is_being_checked": run.asked_at is not None,
        "checks": [finding.as_json() for finding in found.findings],
    }
