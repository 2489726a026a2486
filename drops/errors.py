from django.utils.translation import gettext_noop as N_

from core.errors import Conflict, Invalid, NotFound


class SoldOut(Conflict):
    code = "sold_out"
    detail = N_("Fewer units are left than you asked for.")


class LimitReached(Conflict):
    code = "limit_reached"
    detail = N_("You already have as many as one fan may buy.")


class HoldNotOffered(Invalid):
    code = "hold_not_offered"
    detail = N_("This drop sells at once; units cannot be held.")


class OrderNotFound(NotFound):
    detail = N_("This order does not exist.")


class OrderNotHeld(Conflict):
    code = "not_held"
    detail = N_("This order is not on hold any more.")


class CannotCancel(Conflict):
    code = "cannot_cancel"
    detail = N_("This order can no longer be given back.")
