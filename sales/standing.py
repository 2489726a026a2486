"""Where a sale stands for the batch that is being decided, and its terms, pure: what every format's rules go by."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.utils.translation import gettext_noop as N_
from msgspec import Struct

from sales.errors import CalledOff, Frozen, NotOpen

RUNNING = ("scheduled", "live")


class Standing(Struct, frozen=True, gc=False):
    """One snapshot's view of the sale's row, and the database's clock. Times are later by `frozen_ms` than sealed."""

    state: str
    opens_at: dt.datetime
    closes_at: dt.datetime
    frozen_ms: int
    terms_sha256: str
    now: dt.datetime


class SaleTerms(Struct, frozen=True, gc=False):
    """The part of the sealed terms that the rules of every format go by, and the sale's accounts. A format adds its own."""

    currency: str
    sha256: str
    fee_bps: int
    escrow_account_id: UUID
    proceeds_account_id: UUID
    fees_account_id: UUID


# The columns of `Standing`, in its order.
STANDING_SQL = """
    SELECT state, opens_at + frozen_ms * interval '1 millisecond', closes_at + frozen_ms * interval '1 millisecond', frozen_ms,
           terms_sha256, clock_timestamp()
      FROM sales_sale WHERE id = %s AND published_at IS NOT NULL
"""


# Said on the hot path, in English; pages translate it.
NOT_YET = N_("This sale has not opened yet.")
CLOSED = N_("This sale has closed.")


def check_open(standing: Standing, at: dt.datetime, *, ends_at: dt.datetime | None = None) -> None:
    """Raise unless something received `at` may still change the sale. `ends_at` where the end is not the sealed one."""
    ends_at = ends_at or standing.closes_at
    check_not_stopped(standing)
    if at < standing.opens_at:
        raise NotOpen(NOT_YET, opens_at=standing.opens_at.isoformat())
    if at >= ends_at or standing.state not in RUNNING:
        raise NotOpen(CLOSED, closes_at=ends_at.isoformat())


def check_not_stopped(standing: Standing) -> None:
    """Raise when staff have frozen the sale, or it was called off: then nothing may be bought, confirmed or left either."""
    if standing.state == "frozen":
        raise Frozen
    if standing.state == "cancelled":
        raise CalledOff
