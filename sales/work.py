"""The lifecycle's due work: what beat sets off, each a thin call of a service."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.utils.translation import gettext_noop as N_

from core.alarms import counts_stuck
from core.due_work import handles
from sales import counting, services, stuck, telling

counts_stuck(N_("purchases"))(stuck.count)
counts_stuck(N_("sales of shops that are off"))(stuck.count_waiting_for_staff)


@handles(services.ANNOUNCE)
def announce(sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    services.announce_sale(sale_id=sale_id, now=now)
    return None


@handles(services.CLOSE, urgent=True)
def close(sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    return services.close_sale(sale_id=sale_id, now=now)


@handles(services.SETTLE, urgent=True)
def settle(sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    return services.settle_step(sale_id=sale_id, now=now)


@handles(services.UNWIND, urgent=True)
def unwind(sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    return services.unwind_step(sale_id=sale_id, now=now)


@handles(counting.COUNT)
def count(sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    return counting.count_step(sale_id=sale_id, now=now)


@handles(telling.TELL)
def tell(sale_id: UUID, now: dt.datetime) -> dt.datetime | None:
    return telling.tell_step(sale_id=sale_id, now=now)
