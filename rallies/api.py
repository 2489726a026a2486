from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Status
from ninja.security import django_auth

from accounts import selectors as account_selectors
from core import clock
from core.http import user_id
from rallies import selectors, services, shown
from rallies.hot import JoinIn, late_command
from rallies.models import Join, Rally
from rallies.schemas import MORE_IN, MORE_OUT, BroughtOut, LateJoinIn, LateJoinOut, MyJoinOut
from rallies.shown import JoinRow, LateRow
from sales.errors import NotVerified
from sales.frames import read_frame
from sales.lifecycle_api import lifecycle_routes
from sales.placing import Asked
from sales.things_api import BoughtOut, things_routes
from sellers import selectors as seller_selectors

router = Router(auth=django_auth)


# A fan's own joins. Joining itself is in `hot`.


@router.get("/rallies/{uuid:sale_id}/join", response=MyJoinOut, tags=["rallies"])
def get_join(request: HttpRequest, sale_id: UUID) -> JoinRow:
    return _rows([selectors.get_join(user_id(request), sale_id)])[0]


@router.post("/rallies/{uuid:sale_id}/leave", response=MyJoinOut, tags=["rallies"])
def leave_rally(request: HttpRequest, sale_id: UUID) -> JoinRow:
    """Leave before the close; the hold ends at once. A repeat returns the join as it was left."""
    mine = selectors.get_join(user_id(request), sale_id)
    services.leave_rally(rally_id=sale_id, fan_id=mine.fan_id, now=clock.now())
    return _rows([selectors.get_join(mine.fan_id, sale_id)])[0]


@router.get("/rallies/{uuid:sale_id}/invited", response=list[BroughtOut], tags=["rallies"])
def list_invited(request: HttpRequest, sale_id: UUID) -> list[dict[str, Any]]:
    """Who came by the fan's link and is still in."""
    mine = selectors.get_join(user_id(request), sale_id)
    return shown.brought_by(sale_id, mine.fan_id)


@router.post("/rallies/{uuid:sale_id}/late-joins", response={200: LateJoinOut, 201: LateJoinOut}, tags=["rallies"])
def join_late(request: HttpRequest, sale_id: UUID, body: LateJoinIn) -> Status[LateRow]:
    """Buy at the final price after the end, once. 200 with the first purchase for a repeat."""
    fan_id = user_id(request)
    if not account_selectors.is_verified(fan_id):
        raise NotVerified
    command = late_command(Asked(fan_id, body.id, clock.now(), JoinIn(body.quantity, None, body.invite)))
    late = services.join_late(sale_id, command)
    (row,) = shown.late_rows([selectors.late_joins.of_fan(fan_id, late.id)])
    return Status(201 if late.id == command.join_id else 200, row)


# A seller's rallies

lifecycle_routes(
    router,
    format="rally",
    plural="rallies",
    draft=services.draft_rally,
    model=Rally,
    more_in=MORE_IN,
    more_out=MORE_OUT,
)


for _things, _name, _at, _out, _show in (
    (selectors.joins, "joins", "/rallies/joins", MyJoinOut, shown.join_rows),
    (selectors.late_joins, "late-joins", "/rallies/late-joins", LateJoinOut, shown.late_rows),
):
    things_routes(
        router, format="rally", plural="rallies", things=_things, name=_name, mine_at=_at, out=_out, show=_show
    )


@router.post("/sellers/{slug:handle}/joins/{uuid:join_id}/remove", response=BoughtOut, tags=["seller"])
def remove_fan(request: HttpRequest, handle: str, join_id: UUID) -> JoinRow:
    """Turn a fan out before the close. A repeat changes nothing."""
    member = seller_selectors.get_editor(user_id(request), handle)
    join = selectors.joins.of_seller(member.seller_id, join_id)
    services.remove_fan(rally_id=join.rally_id, fan_id=join.fan_id, now=clock.now())
    return _rows([selectors.joins.of_seller(member.seller_id, join_id)])[0]


def _rows(joins: Sequence[Join]) -> list[JoinRow]:
    """As of the database's own frames, which the answer to a write must not lag behind."""
    return shown.join_rows(joins, {join.rally_id: read_frame(join.rally_id) for join in joins})
