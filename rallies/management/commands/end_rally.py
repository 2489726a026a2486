from __future__ import annotations

from typing import Any
from uuid import UUID

from rallies import selectors
from rallies.models import Outcome
from sales.opening import EndSaleCommand


class Command(EndSaleCommand):
    format = "rally"
    help = (
        "Close a rally now, before its time, and settle it at once; prints what it came to. A repeat changes nothing."
    )

    def came_to(self, sale_id: UUID) -> dict[str, Any]:
        outcome = Outcome.objects.filter(rally_id=sale_id).first()
        ended = {"joiners": outcome.joiners, "price_minor": outcome.price_minor} if outcome else {}
        return {**ended, **selectors.settlement_totals(sale_id)}
