"""How people become members of a shop: an owner invites an address, and whoever has confirmed it takes the place, once."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.selectors import language_of_address, verified_addresses
from core import letters
from core.errors import Invalid
from core.language import within
from core.transactions import retried_transaction
from sellers import events, services
from sellers.errors import InvitationOver, OtherAddress, TooManyInvitations
from sellers.models import Invitation, Member, Role

OPEN_FOR = dt.timedelta(days=7)
OPEN_MAX = 50  # of a shop


@retried_transaction(replayable=True)
def invite(*, invitation_id: UUID, seller_id: UUID, email: str, role: Role, by: UUID, now: dt.datetime) -> Invitation:
    """Offer a place. A repeat changes nothing; a new one for the same address takes the place of the one before.

    Raises Invalid for who is a member already, and TooManyInvitations.
    """
    email = email.lower()
    there = Invitation.objects.filter(id=invitation_id, seller_id=seller_id).first()
    if there is not None:
        return there
    if Member.objects.filter(seller_id=seller_id, user__email=email).exists():
        raise Invalid(_("Whoever has this address is a member already."), field="email")
    Invitation.objects.filter(seller_id=seller_id, email=email, accepted_at=None).delete()
    if open_invitations(seller_id, now).count() >= OPEN_MAX:
        raise TooManyInvitations
    invitation = Invitation(
        id=invitation_id, seller_id=seller_id, email=email, role=role, invited_by_id=by, made_at=now, expires_at=now + OPEN_FOR,
    )  # fmt: skip
    invitation.save(force_insert=True)
    events.write("invited", seller_id=seller_id, now=now, email=invitation.email, role=invitation.role)
    return invitation


def send(invitation: Invitation, url: str) -> bool:
    """Mail it, in the language of whose address it is, else in the inviter's; whether the mail server took it.

    The link alone is worth nothing: who follows it must have confirmed the address.
    """
    name = invitation.seller.name
    with translation.override(language_of_address(invitation.email) or translation.get_language()):
        text = _(
            "{name} invites you as {role}.\n\nTake the place within seven days, logged in with "
            "this address:\n\n{url}\n\nIf you do not know the shop, do nothing.\n"
        ).format(name=name, role=within(invitation.get_role_display()), url=url)
        return letters.send(invitation.email, _("a place at {name}").format(name=name), text)


@retried_transaction(replayable=True)
def accept(*, invitation_id: UUID, user_id: UUID, now: dt.datetime) -> Member:
    """Take the place. A repeat by the same user changes nothing. Raises InvitationOver and OtherAddress."""
    invitation = get_invitation(invitation_id)
    if invitation.email not in verified_addresses(user_id):
        raise OtherAddress
    member = Member.objects.filter(seller_id=invitation.seller_id, user_id=user_id).first()
    if invitation.accepted_at is not None and member is not None:
        return member
    # Whoever is no owner any more cannot let somebody in by what they left behind.
    owners = Member.objects.filter(seller_id=invitation.seller_id, role=Role.OWNER)
    if (
        invitation.accepted_at is not None
        or invitation.expires_at <= now
        or not owners.filter(user_id=invitation.invited_by_id)
    ):
        raise InvitationOver
    invitation.accepted_at = now
    invitation.save(update_fields=["accepted_at"])
    return services.give_role(seller_id=invitation.seller_id, user_id=user_id, role=Role(invitation.role))


@retried_transaction(replayable=True)
def take_back(*, seller_id: UUID, invitation_id: UUID) -> None:
    """Nobody can take the place any more. A repeat changes nothing."""
    Invitation.objects.filter(id=invitation_id, seller_id=seller_id, accepted_at=None).delete()


def open_invitations(seller_id: UUID, now: dt.datetime) -> QuerySet[Invitation]:
    return Invitation.objects.filter(seller_id=seller_id, accepted_at=None, expires_at__gt=now).order_by("-id")


def get_invitation(invitation_id: UUID) -> Invitation:
    invitation = Invitation.objects.select_related("seller").filter(id=invitation_id).first()
    if invitation is None:
        raise InvitationOver
    return invitation
