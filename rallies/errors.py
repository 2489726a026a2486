from django.utils.translation import gettext_noop as N_

from core.errors import Conflict, Invalid, NotAllowed, NotFound


class AlreadyJoined(Conflict):
    code = "already_joined"
    detail = N_("You have joined this rally already. Leave it first if you want to join differently.")


class Full(Conflict):
    code = "full"
    detail = N_("Fewer units are left in this rally than you asked for.")


class TooManyUnits(Invalid):
    code = "too_many_units"
    detail = N_("You asked for more than one fan may have.")


class PriceNeverReached(Invalid):
    code = "price_never_reached"
    detail = N_("This rally's price cannot fall that low.")


class InviteNeeded(NotAllowed):
    code = "invite_needed"
    detail = N_("This rally is for invited fans. Ask somebody who has joined for their link.")


class Removed(NotAllowed):
    code = "removed"
    detail = N_("The seller has removed you from this rally.")


class JoinNotFound(NotFound):
    detail = N_("You have not joined this rally.")


class CannotLeave(Conflict):
    code = "cannot_leave"
    detail = N_("It is too late to leave this rally.")


class NoLateJoins(Conflict):
    code = "no_late_joins"
    detail = N_("This rally cannot be joined any more.")


class LeftForGood(Conflict):
    code = "left_for_good"
    detail = N_("You left shortly before the end, when whoever is counted stays counted. You cannot join again.")
