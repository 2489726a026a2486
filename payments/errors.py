from core.errors import Conflict, Invalid, NotFound


class TopUpNotFound(NotFound):
    detail = "This payment does not exist."


class TopUpConflict(Conflict):
    code = "top_up_conflict"
    detail = "This payment was started with another amount before."


class AmountOutOfRange(Invalid):
    code = "amount_out_of_range"


class NoProvider(Conflict):
    code = "payments_unavailable"
    detail = "Payments are not set up here yet."
