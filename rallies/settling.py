"""How a rally is settled, pure: nobody asks for it. The count fixes the price once, then each join is charged or let go."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from core.money import share_bps
from ledger import rules as ledger_rules
from ledger.rules import Transfer
from rallies.pricing import crowds
from rallies.values import JOINED, PAID, RELEASED, Counts, JoinValue, OutcomeValue, RallyTerms, crowd


def fix_outcome(terms: RallyTerms, counts: Counts, *, is_early: bool) -> OutcomeValue:
    """What a closed rally ends at. Who accepts the final price pays it, if they are as many as the minimum asks for.

    A seller who closes early has taken time away in which the price might have fallen, so everybody pays the next price.
    """
    level = crowd(terms, counts).level
    if is_early:
        level = min(level + 1, len(terms.tiers) - 1)
    joiners, units = crowds(counts.joiners)[level], crowds(counts.units)[level]
    did_run = (units if terms.counts_units else joiners) >= terms.minimum
    return OutcomeValue(joiners, units, level, terms.tiers[level].price_minor, did_run)


class Settled(Struct, gc=False):
    """A chunk of joins with their end, and what it comes to. Minor units."""

    joins: list[JoinValue]
    transfers: list[Transfer]
    charged: int = 0
    released_units: int = 0
    gross_minor: int = 0
    fee_minor: int = 0


def settle(
    terms: RallyTerms, outcome: OutcomeValue, chunk: Sequence[tuple[JoinValue, Transfer]], at: dt.datetime
) -> Settled:
    """Charge each join the final price out of its hold, or end the hold when it is not to pay."""
    settled = Settled([], [])
    for join, hold in chunk:
        assert join.state == JOINED, join
        if outcome.did_run and join.level <= outcome.level:
            paid_minor = outcome.price_minor * join.quantity
            settled.transfers.append(ledger_rules.post(hold, amount_minor=paid_minor, code="capture", at=at))
            settled.joins.append(replace(join, state=PAID, changed_at=at))
            settled.charged += 1
            settled.gross_minor += paid_minor
            # Per join and rounded down each time, so that the fee does not depend on how the joins fall into chunks.
            settled.fee_minor += share_bps(paid_minor, terms.fee_bps)
        else:
            settled.transfers.append(ledger_rules.void(hold, code="release", at=at))
            settled.joins.append(replace(join, state=RELEASED, changed_at=at))
            settled.released_units += join.quantity
    return settled
