"""The rally as a format of the spine."""

from rallies.invariants import CHECKS
from rallies.presenters import RallyPresenter
from rallies.services import RallyRules
from sales.formats import Count, Format

JOINERS = Count("joiners", "SELECT coalesce(sum(joiners), 0) FROM rallies_bucket WHERE rally_id = %(sale_id)s")

RALLY = Format(
    name="rally", label="Rally", count=JOINERS, rules=RallyRules(), checks=CHECKS, presenter=RallyPresenter()
)
