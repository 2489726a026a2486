"""The drop as a format of the spine."""

from drops.invariants import CHECKS
from drops.presenters import DropPresenter
from drops.services import DropRules
from sales.formats import Count, Format

UNITS_LEFT = Count("units left", "SELECT coalesce(sum(units_left), 0) FROM drops_bucket WHERE drop_id = %(sale_id)s")

DROP = Format(name="drop", label="Drop", count=UNITS_LEFT, rules=DropRules(), checks=CHECKS, presenter=DropPresenter())
