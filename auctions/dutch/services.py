"""What fans and sellers ask of a falling price. What touches its units is a command of `state.decide`, through its lane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from auctions.dutch import loading
from auctions.dutch.state import ClaimValue, Decision, FallingTerms, PlaceClaim, State, decide
from auctions.dutch.writing import write_decision
from auctions.models import Dutch
from core import due_work
from core.errors import Invalid
from core.lanes import Lanes
from core.money import MINOR_MAX
from core.transactions import joins_transaction, retried_transaction
from sales import gates
from sales import services as sales
from sales.drafting import SaleDraft, check_worth, draft_once
from sales.lanes import SaleLane
from sales.rows import LIMIT_MAX


class ClaimLane(SaleLane[PlaceClaim, ClaimValue]):
    """All claims in one sale that reach this process."""

    name = "auctions.claim"
    format = "dutch"

    def load_terms(self) -> FallingTerms:
        return loading.load_terms(self.sale_id)

    def load(self, terms: FallingTerms, batch: Sequence[PlaceClaim]) -> State:
        return loading.load_state(terms, batch, self.slot)

    def decide(self, state: State, batch: Sequence[PlaceClaim]) -> Decision:
        return decide(state, batch)

    def write(self, state: State, decision: Decision) -> None:
        write_decision(state, decision, gate=gates.home_gate(self.slot))
        if decision.made and not state.stock.units_left:
            # All is claimed: the sale is over before its time.
            due_work.schedule(sales.CLOSE, self.sale_id, due_at=state.standing.now + sales.CLOSE_GRACE)

    def is_new(self, command: PlaceClaim, outcome: ClaimValue) -> bool:
        return outcome.id == command.claim_id


lanes: Lanes[ClaimLane] = Lanes(ClaimLane)


def place_claim(sale_id: UUID, command: PlaceClaim) -> ClaimValue:
    """Claim. A repeat of the same key returns the first claim. Raises the refusals of the rules, or Busy."""
    return lanes[sale_id].call(command)


# The seller's side.


@joins_transaction
def make_draft(draft: SaleDraft, **terms: Any) -> Dutch:
    """A draft of a falling price, `terms` by the names of its columns. A repeat returns it. Raises Invalid, or IdTaken."""
    return draft_once(Dutch(**terms), draft, format="dutch", check=_check)


draft_dutch = retried_transaction(replayable=True, name="draft_dutch")(make_draft)
open_dutch = sales.opens(make_draft, name="open_dutch")


def _check(dutch: Dutch) -> None:
    if dutch.floor_minor >= dutch.start_minor:
        raise Invalid(_("The lowest price must be below the first one."), field="floor_minor")
    units = min(dutch.units_total, LIMIT_MAX)
    if dutch.start_minor * units * (10_000 + dutch.premium_bps) // 10_000 > MINOR_MAX:
        raise Invalid(_("All units at the first price would be more than one payment can be."), field="start_minor")
    check_worth(dutch.start_minor, units_an_order=1, units=dutch.units_total, field="start_minor")
