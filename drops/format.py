"""The drop as a format of the spine."""

from django.utils.translation import gettext_noop as N_

from drops.forms import DropForm
from drops.hot import PLACE_ORDER
from drops.invariants import CHECKS
from drops.models import OrderState
from drops.presenters import DropPresenter, unsettled_minor
from drops.selectors import orders
from drops.services import draft_drop, refund_order
from drops.settlement import DropRules
from sales.formats import Count, Format, GiveBack, Words

UNITS_LEFT = Count(
    N_("units left"), "SELECT coalesce(sum(units_left), 0) FROM drops_bucket WHERE drop_id = %(sale_id)s"
)

DROP = Format(
    name="drop",
    app="drops",
    words=Words(
        noun=N_("drop"),
        idea=N_("So many units at one price, first come, first served."),
        plural=N_("drops"),
        things=N_("orders"),
        calling_off=N_("Everybody who paid gets all of their money back."),
        called_off=N_("Everybody who paid gets all of it back."),
        hint=N_("A drop takes a title, a price and a number of units; you look it over before it is published."),
    ),
    count=UNITS_LEFT,
    rules=DropRules(),
    checks=CHECKS,
    presenter=DropPresenter(),
    things=[orders],
    give_back=GiveBack(
        unsettled_minor,
        lambda order: order.state in (OrderState.CANCELLED, OrderState.REFUNDED),
        lambda order, now: refund_order(drop_id=order.drop_id, order_id=order.id, now=now),
    ),
    places=[PLACE_ORDER],
    mine="drops:orders",
    form=DropForm,
    draft=draft_drop,
)
