from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status
from ninja.security import django_auth

from accounts import selectors as accounts
from core import clock
from core.http import user_id
from core.ids import uuid7
from core.schemas import RefusalOut
from rallies import presenters, selectors, services
from rallies.models import Join, Rally
from rallies.schemas import (
    BroughtOut,
    LateJoinIn,
    LateJoinOut,
    MyJoinOut,
    RallyIn,
    RallyOut,
    SellersJoinOut,
)
from rallies.values import JoinLate
from sales.errors import NotVerified
from sales.frames import read_frame
from sales.lifecycle_api import REFUSALS, check_zones, lifecycle_routes
from sales.selectors import with_terms
from sellers import selectors as sellers

router = Router(auth=django_auth)


# A fan's own joins. Joining itself is in `hot`.


@router.get("/rallies/joins", response={200: list[MyJoinOut], 401: RefusalOut}, tags=["rallies"])
def list_joins(request: HttpRequest) -> list[MyJoinOut]:
    return _my_joins(selectors.list_joins_of_fan(user_id(request)))


@router.get("/rallies/{uuid:sale_id}/join", response={200: MyJoinOut} | REFUSALS, tags=["rallies"])
def get_join(request: HttpRequest, sale_id: UUID) -> MyJoinOut:
    return _my_join(user_id(request), sale_id)


@router.post("/rallies/{uuid:sale_id}/leave", response={200: MyJoinOut} | REFUSALS, tags=["rallies"])
def leave_rally(request: HttpRequest, sale_id: UUID) -> MyJoinOut:
    """Leave before the close; the hold ends at once. A repeat returns the join as it was left."""
    mine = selectors.get_join_of_fan(user_id(request), sale_id)
    services.leave_rally(rally_id=sale_id, fan_id=mine.fan_id, now=clock.now())
    return _my_join(mine.fan_id, sale_id)


@router.get("/rallies/{uuid:sale_id}/invited", response={200: list[BroughtOut]} | REFUSALS, tags=["rallies"])
def list_invited(request: HttpRequest, sale_id: UUID) -> list[presenters.Brought]:
    """Who came by the fan's link and is still in."""
    mine = selectors.get_join_of_fan(user_id(request), sale_id)
    return presenters.brought_by(sale_id, mine.fan_id)


@router.post(
    "/rallies/{uuid:sale_id}/late-joins", response={200: LateJoinOut, 201: LateJoinOut} | REFUSALS, tags=["rallies"]
)
def join_late(request: HttpRequest, sale_id: UUID, body: LateJoinIn) -> Status[LateJoinOut]:
    """Buy at the final price after the end, once. 200 with the first purchase for a repeat."""
    fan_id = user_id(request)
    if not accounts.is_verified(fan_id):
        raise NotVerified
    command = JoinLate(
        join_id=uuid7(), transfer_id=uuid7(), fan_id=fan_id, idempotency_key=body.id, quantity=body.quantity,
        invite=body.invite, received_at=clock.now(),
    )  # fmt: skip
    late = services.join_late(sale_id, command)
    row = selectors.get_late_receipt(fan_id, late.id)
    price_minor = selectors.outcomes_of([sale_id])[sale_id].price_minor
    is_new = late.id == command.join_id
    return Status(201 if is_new else 200, LateJoinOut.of(row, price_minor, row.rally.sale.currency))


def _my_join(fan_id: UUID, sale_id: UUID) -> MyJoinOut:
    mine = selectors.get_join_of_fan(fan_id, sale_id)
    return _my_joins([selectors.get_receipt(fan_id, mine.id)])[0]


def _my_joins(joins: Sequence[Join]) -> list[MyJoinOut]:
    rally_ids = [join.rally_id for join in joins]
    tiers, levels = selectors.tiers_by_rally(rally_ids), _levels(rally_ids)
    return [MyJoinOut.of(join, tiers[join.rally_id], levels[join.rally_id]) for join in joins]


def _levels(rally_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Each rally's level now, or the one it ended at."""
    return {rally_id: read_frame(rally_id)["level"] for rally_id in set(rally_ids)}


# A seller's rallies


@router.post("/sellers/{slug:handle}/rallies", response={201: RallyOut} | REFUSALS, tags=["seller"])
def create_rally(request: HttpRequest, handle: str, body: RallyIn) -> Status[RallyOut]:
    """Draft a rally. A repeat with the same sale_id returns it."""
    member = sellers.get_editor(user_id(request), handle)
    check_zones(body)
    return Status(201, _rally_out(services.draft_rally(**body.as_draft(member.seller_id, clock.now()))))


lifecycle_routes(
    router, format="rally", plural="rallies", out=RallyOut, show=lambda sale: _rally_out(with_terms(Rally, sale))
)


@router.get(
    "/sellers/{slug:handle}/rallies/{uuid:sale_id}/joins",
    response={200: list[SellersJoinOut]} | REFUSALS,
    tags=["seller"],
)
def list_joins_of_rally(request: HttpRequest, handle: str, sale_id: UUID) -> list[SellersJoinOut]:
    """The newest 500 joins."""
    member = sellers.get_membership(user_id(request), handle)
    rally = selectors.get_rally_for_seller(member.seller_id, sale_id)
    tiers, level = selectors.tiers_of(sale_id), _levels([sale_id])[sale_id]
    joins = selectors.list_joins_of_rally(sale_id)
    return [SellersJoinOut.of(join, rally.sale, tiers, level) for join in joins]


@router.post(
    "/sellers/{slug:handle}/joins/{uuid:join_id}/remove", response={200: SellersJoinOut} | REFUSALS, tags=["seller"]
)
def remove_fan(request: HttpRequest, handle: str, join_id: UUID) -> SellersJoinOut:
    """Turn a fan out before the close. A repeat changes nothing."""
    member = sellers.get_editor(user_id(request), handle)
    join = selectors.get_join_for_seller(member.seller_id, join_id)
    services.remove_fan(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now())
    return _sellers_join(member.seller_id, join_id)


@router.post(
    "/sellers/{slug:handle}/joins/{uuid:join_id}/refund", response={200: SellersJoinOut} | REFUSALS, tags=["seller"]
)
def refund_join(request: HttpRequest, handle: str, join_id: UUID) -> SellersJoinOut:
    """Give a fan who paid everything back. A repeat changes nothing."""
    member = sellers.get_editor(user_id(request), handle)
    join = selectors.get_join_for_seller(member.seller_id, join_id)
    services.refund_join(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now())
    return _sellers_join(member.seller_id, join_id)


def _sellers_join(seller_id: UUID, join_id: UUID) -> SellersJoinOut:
    join = selectors.get_join_for_seller(seller_id, join_id)
    sale = join.rally.sale
    return SellersJoinOut.of(join, sale, selectors.tiers_of(sale.id), _levels([sale.id])[sale.id])


def _rally_out(rally: Rally) -> RallyOut:
    outcome = selectors.outcomes_of([rally.sale_id]).get(rally.sale_id)
    return RallyOut.of(rally, selectors.tiers_of(rally.sale_id), outcome)
