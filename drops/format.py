"""The drop as a format of the spine."""

from drops.forms import DropForm
from drops.hot import PLACE_ORDER
from drops.invariants import CHECKS
from drops.presenters import DropPresenter
from drops.services import draft_drop
from drops.settlement import DropRules
from sales.formats import Count, Format, Words

UNITS_LEFT = Count("units left", "SELECT coalesce(sum(units_left), 0) FROM drops_bucket WHERE drop_id = %(sale_id)s")

DROP = Format(
    name="drop",
    app="drops",
    words=Words(
        noun="drop",
        plural="drops",
        things="orders",
        calling_off="Everybody who paid gets all of their money back.",
        called_off="Everybody who paid gets all of it back.",
        hint="A drop takes a title, a price and a number of units; you look it over before it is published.",
    ),
    count=UNITS_LEFT,
    rules=DropRules(),
    checks=CHECKS,
    presenter=DropPresenter(),
    places=[PLACE_ORDER],
    mine="drops:orders",
    form=DropForm,
    draft=draft_drop,
)
