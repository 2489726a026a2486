from django.utils.translation import gettext_noop as N_

from core.errors import Conflict, Invalid, NotFound, TooMany


class TopUpNotFound(NotFound):
    detail = N_("This payment does not exist.")


class TopUpConflict(Conflict):
    code = "top_up_conflict"
    detail = N_("This payment was started with another amount before.")


class AmountOutOfRange(Invalid):
    code = "amount_out_of_range"


class TooManyTopUps(TooMany):
    code = "too_many_top_ups"
    detail = N_("You have begun many payments and ended none of them. Please end one, or wait a while.")


class NoProvider(Conflict):
    code = "payments_unavailable"
    detail = N_("Payments are not set up here yet.")
