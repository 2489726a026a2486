"""The life of a falling price beside its claims: publishing, its end, charging, passing on, calling off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Max, Min, Sum
from django.utils.translation import gettext as _
from msgspec.structs import replace

from auctions.charges import Charge
from auctions.dutch import loading, selectors
from auctions.dutch.loading import CLAIMS
from auctions.dutch.rules import unit_to_pay
from auctions.dutch.state import HELD, PAID, REFUNDED, RELEASED, ClaimValue, FallingTerms
from auctions.models import Claim, DutchBucket, DutchSettlement
from core.ids import named_id, uuid7
from core.sql import execute_all
from core.transactions import joins_transaction
from ledger import rules as ledger_rules
from ledger import services as ledger
from ledger.models import HOUSE, AccountKey, AccountKind
from ledger.rules import Transfer
from sales.deciding import Move, journal
from sales.errors import WrongState
from sales.formats import BaseRules
from sales.models import Sale, SaleState
from sales.proceeds import Line, escrow_of, proceeds_transfers, sellers_lines
from sales.selectors import stuck_row_ids
from sales.stock import bucket_count, split_units
from sales.terms import TermValue, sealed


class DutchRules(BaseRules):
    """What the spine asks of a format (`sales.formats.Rules`)."""

    # A settled claim is three written rows (itself, the end of its hold, the wallet), and DSQL takes 3,000 a transaction.
    settle_chunk = 900
    # One given back after it was passed on is six: itself, three transfers and the wallet.
    unwind_chunk = 400
    # The price is worked out from these by whoever looks: it is no fact of a moment. While it sells no claim is read.
    frame_sql = """
        SELECT dutch.units_total, coalesce(stock.units_left, dutch.units_total)::bigint AS units_left, claimed.last_minor,
               dutch.start_minor, dutch.floor_minor, dutch.step_minor, dutch.interval_s, dutch.pays,
               least(CASE WHEN stock.units_left = 0 THEN claimed.last_at END,
                     sale.closes_at + sale.frozen_ms * interval '1 millisecond') AS ends_at
          FROM auctions_dutch AS dutch
          JOIN sales_sale AS sale ON sale.id = dutch.sale_id
         CROSS JOIN (SELECT sum(units_left) AS units_left FROM auctions_dutchbucket WHERE sale_id = %(sale_id)s) AS stock
          LEFT JOIN LATERAL (SELECT min(unit_price_minor) AS last_minor, max(claimed_at) AS last_at
                               FROM auctions_claim WHERE sale_id = %(sale_id)s) AS claimed
               ON stock.units_left = 0 OR sale.state NOT IN ('draft', 'scheduled', 'live', 'frozen')
         WHERE dutch.sale_id = %(sale_id)s
    """

    def terms(self, sale: Sale) -> Mapping[str, TermValue]:
        columns = (
            "start_minor",
            "floor_minor",
            "step_minor",
            "interval_s",
            "units_total",
            "pays",
            "premium_bps",
            "fee_bps",
        )
        return sealed(sale.dutch, *columns)

    def publish(self, sale: Sale, now: dt.datetime) -> None:
        units_total = sale.dutch.units_total
        shares = split_units(units_total, bucket_count(units_total))
        DutchBucket.objects.bulk_create(
            DutchBucket(sale_id=sale.id, number=number, units_left=units) for number, units in enumerate(shares)
        )

    def ends_at(self, sale: Sale) -> dt.datetime:
        """At the close, or with the last unit."""
        closes_at = super().ends_at(sale)
        left = DutchBucket.objects.filter(sale_id=sale.id).aggregate(left=Sum("units_left"))["left"]
        if left != 0:
            return closes_at
        last_at: dt.datetime = Claim.objects.filter(sale_id=sale.id).aggregate(at=Max("claimed_at"))["at"]
        return min(last_at, closes_at)

    def check_seller_may_end(self, sale: Sale) -> None:
        if Claim.objects.filter(sale_id=sale.id).exists():
            raise WrongState(
                _(
                    "Fans have claimed units, so it runs to its end. If something is wrong with it, ask staff to call it off."
                ),
                state=sale.state,
            )

    def settle_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        return now if settle_chunk(sale, now, limit=limit) else None

    def unwind_step(self, sale: Sale, now: dt.datetime, *, limit: int) -> dt.datetime | None:
        return now if give_back_chunk(sale, now, limit=limit) else None

    def next_row(self, sale: Sale, now: dt.datetime) -> UUID | None:
        states = [HELD, PAID] if sale.state == SaleState.CANCELLED else [HELD]
        moving = selectors.claims.moving(sale.id).filter(state__in=states)
        return moving.order_by("id").values_list("id", flat=True).first()

    def fans(self, sale: Sale, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        return selectors.claims.fans(sale.id, after=after, limit=limit)

    def frame_facts(self, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"ends_at": row["ends_at"].isoformat()}


@joins_transaction
def settle_chunk(sale: Sale, now: dt.datetime, *, limit: int) -> int:
    """Charge the next claims out of their holds, and pass the money on. Returns how many there were."""
    terms = loading.load_terms(sale.id)
    chunk = loading.load_chunk(sale.id, [HELD], aside=stuck_row_ids(sale.id), limit=limit)
    if not chunk:
        return 0
    last_minor = lowest_claimed(sale.id)
    settlement_id, paid, transfers, charges = uuid7(), [], [], []
    for claim, hold in chunk:
        unit_minor = unit_to_pay(terms.pays, claim.unit_price_minor, last_minor)
        charge = charge_of(terms, claim.quantity * unit_minor)
        transfers.append(ledger_rules.post(hold, amount_minor=charge.paid_minor, code="capture", at=now))
        paid.append(replace(claim, state=PAID, unit_paid_minor=unit_minor, settlement_id=settlement_id, changed_at=now))
        charges.append(charge)
    settlement = DutchSettlement(
        id=settlement_id, sale_id=sale.id, number=DutchSettlement.objects.filter(sale_id=sale.id).count(), claims=len(chunk),
        gross_minor=sum(charge.price_minor for charge in charges), fee_minor=sum(charge.fee_minor for charge in charges),
        premium_minor=sum(charge.premium_minor for charge in charges), created_at=now,
    )  # fmt: skip
    settlement.save(force_insert=True)
    lines = [
        *sellers_lines(sale, gross_minor=settlement.gross_minor, fee_minor=settlement.fee_minor),
        Line("premium", escrow_of(sale), AccountKey(HOUSE, AccountKind.FEES, sale.currency), settlement.premium_minor),
    ]
    passed_on = proceeds_transfers(sale, lines, id=settlement.id, at=now)
    was = [claim for claim, _hold in chunk]
    execute_all(
        [
            *CLAIMS.update(
                paid, was, changed=("state", "unit_paid_minor", "settlement_id", "changed_at"), guard=("state",)
            ),
            *ledger.transfer_statements([*transfers, *passed_on]),
        ]
    )
    return len(chunk)


def charge_of(terms: FallingTerms, price_minor: int) -> Charge:
    return Charge.of(price_minor, premium_bps=terms.premium_bps, fee_bps=terms.fee_bps)


def lowest_claimed(sale_id: UUID) -> int:
    """The price only falls, so the last one that was claimed is the lowest. Minor units."""
    lowest: int = Claim.objects.filter(sale_id=sale_id).aggregate(lowest=Min("unit_price_minor"))["lowest"]
    return lowest


@joins_transaction
def give_back_chunk(sale: Sale, now: dt.datetime, *, limit: int) -> int:
    """The sale was called off: the next claims are not charged, or have back what was taken for them. Returns how many."""
    terms = loading.load_terms(sale.id)
    chunk = loading.load_chunk(sale.id, [HELD, PAID], aside=stuck_row_ids(sale.id), limit=limit)
    if not chunk:
        return 0
    done, transfers = [], []
    for claim, hold in chunk:
        if claim.state == HELD:
            transfers.append(ledger_rules.void(hold, code="release", at=now))
            done.append(replace(claim, state=RELEASED, changed_at=now))
        else:
            transfers += refund_of(terms, claim, hold, now)
            done.append(replace(claim, state=REFUNDED, changed_at=now))
    was = [claim for claim, _hold in chunk]
    execute_all(
        [
            *CLAIMS.update(done, was, changed=("state", "changed_at"), guard=("state",)),
            *ledger.transfer_statements(transfers),
        ]
    )
    return len(chunk)


def refund_of(terms: FallingTerms, claim: ClaimValue, hold: Transfer, at: dt.datetime) -> list[Transfer]:
    """All that was paid, once it was passed on: the price from the seller, who has the fee back, and the premium from the house."""
    assert claim.unit_paid_minor is not None, claim
    charge, wallet = charge_of(terms, claim.quantity * claim.unit_paid_minor), hold.debit_account_id
    proceeds, fees = terms.proceeds_account_id, terms.fees_account_id
    moves = [
        Move("refund", named_id("refund", hold.id), proceeds, wallet, charge.price_minor),
        Move("fee_back", named_id("fee_back", hold.id), fees, proceeds, charge.fee_minor),
        Move("premium_back", named_id("premium_back", hold.id), fees, wallet, charge.premium_minor),
    ]
    return journal(moves, currency=terms.currency, subject_id=claim.id, at=at)
