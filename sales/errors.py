from core.errors import Busy, Conflict, NotAllowed, NotAuthenticated


class NotOpen(Conflict):
    code = "not_open"
    detail = "This sale is not open."


class IdempotencyConflict(Conflict):
    code = "idempotency_conflict"
    detail = "This Idempotency-Key was used for a different request before."


class IdTaken(Conflict):
    code = "id_taken"
    detail = "This id belongs to something else. Please make a new one."


class NotEditable(Conflict):
    code = "not_editable"
    detail = "A published sale's terms are sealed. You can cancel it and make a new one."


class WrongState(Conflict):
    code = "wrong_state"
    detail = "The sale's state does not allow this."


class NotVerified(NotAllowed):
    code = "not_verified"
    detail = "Please confirm your e-mail address before you buy."


class BadBuyToken(NotAuthenticated):
    code = "bad_token"
    detail = "Your permission to buy has run out. Please reload the page."


class Frozen(Conflict):
    code = "frozen"
    detail = "This sale is paused by staff. Nothing is lost: holds stay, and every deadline moves on."


class CalledOff(NotOpen):
    code = "called_off"
    detail = "This sale was called off. Whatever you had paid or held goes back to your wallet."


class CannotRefund(Conflict):
    code = "cannot_refund"
    detail = "This cannot be refunded now."


class RefundChanged(Conflict):
    code = "refund_changed"
    detail = "This refund was made already, with another amount."


class BeingChecked(Busy):
    code = "being_checked"
    detail = "The checks of this sale run for the first time just now. Please look again in a moment."


class DraftChanged(Conflict):
    code = "draft_changed"
    detail = "Somebody else has changed this draft meanwhile. Look at what it says now, and change it again."


class TooManyDrafts(Conflict):
    code = "too_many_drafts"
    detail = "This shop has 200 drafts. Publish some, or throw them away."
