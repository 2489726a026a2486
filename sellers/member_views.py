"""Who works at a shop: members, their roles, invitations."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from core import clock, rate_limit
from core.errors import Invalid, NotAllowed, NotFound
from core.http import user_id
from core.ids import uuid7
from core.language import within
from sellers import joining, selectors, services
from sellers.errors import LastOwner, TooManyInvitations
from sellers.forms import InviteForm
from sellers.models import MAY_EDIT_SALES, MAY_MANAGE_MEMBERS, Member, Role

with_way_back = require_http_methods(["GET", "HEAD", "POST"])


@with_way_back
@login_required
def members(request: HttpRequest, handle: str) -> HttpResponse:
    """The members, and for owners a form to invite somebody."""
    own = selectors.get_membership(user_id(request), handle)
    form = InviteForm(request.POST or None, initial={"invitation_id": uuid7()})
    if request.method == "POST":
        _owner(request, handle)
        if form.is_valid() and _invited(request, own, form):
            return redirect("sellers:members", handle)
    context = {
        "shop": own.seller, "own": own, "form": form, "may_edit": own.role in MAY_EDIT_SALES,
        "may_manage": own.role in MAY_MANAGE_MEMBERS, "roles": Role.choices,
        "members": selectors.list_members(own.seller_id),
        "invitations": joining.open_invitations(own.seller_id, clock.now()) if own.role in MAY_MANAGE_MEMBERS else [],
    }  # fmt: skip
    return render(request, "sellers/members.html", context, status=422 if form.errors else 200)


def _invited(request: HttpRequest, own: Member, form: InviteForm) -> bool:
    rate_limit.check("invite", str(own.user_id), allowed=30, window_s=3_600)
    said = form.cleaned_data
    try:
        invitation = joining.invite(
            invitation_id=said["invitation_id"], seller_id=own.seller_id, email=said["email"], role=Role(said["role"]),
            by=own.user_id, now=clock.now(),
        )  # fmt: skip
    except (Invalid, TooManyInvitations) as refusal:
        form.add_error(refusal.data.get("field"), refusal.said)
        return False
    url = request.build_absolute_uri(reverse("sellers:join", args=[invitation.id]))
    if joining.send(invitation, url):
        messages.success(request, _("{email} has a mail with the invitation.").format(email=invitation.email))
    else:
        messages.warning(
            request,
            _("The mail could not be sent. Give {email} this address yourself: {url}").format(
                email=invitation.email, url=url
            ),
        )
    return True


@require_POST
@login_required
def change(request: HttpRequest, handle: str, member_id: UUID) -> HttpResponse:
    """Give a member another role, or, with none, take them out."""
    own = _owner(request, handle)
    member = Member.objects.filter(id=member_id, seller_id=own.seller_id).first()
    role = request.POST.get("role", "")
    if member is None or (role and role not in Role.values):
        raise NotFound
    try:
        if role:
            services.set_member(seller_id=own.seller_id, user_id=member.user_id, role=Role(role))
        else:
            services.remove_member(seller_id=own.seller_id, user_id=member.user_id)
    except LastOwner as refusal:
        messages.error(request, refusal.said)
    else:
        messages.success(request, _("Done."))
    has_left = member.user_id == own.user_id and not role
    return redirect("sellers:shops") if has_left else redirect("sellers:members", handle)


@require_POST
@login_required
def take_back(request: HttpRequest, handle: str, invitation_id: UUID) -> HttpResponse:
    own = _owner(request, handle)
    joining.take_back(seller_id=own.seller_id, invitation_id=invitation_id)
    messages.success(request, _("The invitation is taken back."))
    return redirect("sellers:members", handle)


@with_way_back
@login_required
def join(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    """Take the place that one was invited to; first ask."""
    if request.method == "POST":
        member = joining.accept(invitation_id=invitation_id, user_id=user_id(request), now=clock.now())
        messages.success(request, _("You are one of {name} now.").format(name=member.seller.name))
        return redirect("sales:console", member.seller.handle)
    invitation = joining.get_invitation(invitation_id)
    context = {
        "heading": _("Join {name}?").format(name=invitation.seller.name), "action": _("Take the place"), "back": "/",
        "sentence": _("You are invited as {invitation}.").format(invitation=within(invitation.get_role_display())),
    }  # fmt: skip
    return render(request, "confirm.html", context)


def _owner(request: HttpRequest, handle: str) -> Member:
    own = selectors.get_editor(user_id(request), handle)
    if own.role not in MAY_MANAGE_MEMBERS:
        raise NotAllowed(_("Only an owner changes who works here."))
    return own
